"""A cell: one grid point with its resolved scientific config, its directory and its status."""

import logging
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from memlaw.core.errors import CellError, ConfigError
from memlaw.core.files import remove_unfinished, write_json, write_text
from memlaw.study.identity import config_hash, flatten, readable_name
from memlaw.study.layout import CellPaths
from memlaw.study.status import FAILED, PENDING, RUNNING, Status, read_status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One grid point of a study. Its config is read-only, so its hash, name and paths are computed once.

    Attributes:
        config: the resolved scientific config, nothing operational.
        study: the study's directory.
    """

    config: DictConfig
    study: Path

    def __post_init__(self) -> None:
        OmegaConf.set_readonly(self.config, True)

    @classmethod
    def load(cls, directory: Path) -> "Cell":
        """Read a planned cell back.

        Raises:
            ConfigError: the stored config is no cell's, or does not have the hash that the directory's name claims.
        """
        path = CellPaths(directory).config
        try:
            config = OmegaConf.load(path)
            assert isinstance(config, DictConfig)
            cell = cls(config, directory.parent)
            name = cell.name
        except (AssertionError, AttributeError, OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
            raise ConfigError(f"{path} is not the config of a cell; move the directory away") from error
        if name != directory.name:
            raise ConfigError(
                f"{directory} holds the config of another cell ({name}); "
                "it was edited or moved. Restore it or move the directory away."
            )
        return cell

    @cached_property
    def hash(self) -> str:
        """Eight hexadecimal digits that identify the scientific config; see `config_hash`."""
        return config_hash(self.config)

    @cached_property
    def name(self) -> str:
        """Readable name ending in the hash, e.g. `smollm2_135m-long_context-sft-r4-l256-s0-1a2b3c4d`."""
        return readable_name(self.config, self.hash)

    @cached_property
    def paths(self) -> CellPaths:
        """The files of this cell."""
        return CellPaths(self.study / self.name)

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The scientific config as one flat row with dotted keys (`lora.rank`), without `_target_`."""
        container = OmegaConf.to_container(self.config, resolve=True)
        return dict(flatten(container))

    def plan(
        self,
        wanted: Callable[[], object] = lambda: True,
        *,
        afresh: bool = False,
        total_steps: int | None = None,
        step_flops: float | None = None,
    ) -> None:
        """Create the directory with the frozen config, and say pending unless a process trains it right now.

        A config that another version froze is written anew: it may name code where it no longer is (`_target_`).

        Args:
            wanted: asked while nobody else can change the cell; when it says no, the status stays as it is.
            afresh: forget how far it came before an interruption.
            total_steps, step_flops: see `Status`; None where nothing has computed them.

        Raises:
            ConfigError: the directory holds another config.
        """
        self._freeze_config()
        try:
            with self.lock().acquire(timeout=0):
                if not wanted():
                    return
                self._write(Status(PENDING, self.status.attempt, total_steps, step_flops))
                remove_unfinished(self.paths.directory)
                if afresh:
                    self.paths.checkpoint.unlink(missing_ok=True)
        except Timeout:
            log.debug("%s is being trained by another process", self.name)

    def _freeze_config(self) -> None:
        text = OmegaConf.to_yaml(self.config, resolve=True, sort_keys=True)
        if self.paths.config.exists():
            Cell.load(self.paths.directory)
            if self.paths.config.read_text(encoding="utf-8") == text:
                return
        write_text(self.paths.config, text)

    @property
    def status(self) -> Status:
        """Read `status.json`; see `read_status`."""
        return read_status(self.paths.status)

    @property
    def state(self) -> str:
        """Read the state of `status`."""
        return self.status.state

    def start(self, **details: Any) -> None:
        """Say that this process now trains the cell; counts an attempt and forgets the one before."""
        before = self.status
        process = {"host": socket.gethostname(), "pid": os.getpid(), "started": _now()}
        self._write(Status(RUNNING, before.attempt + 1, **{**before.forecast, **process, **details}))

    def set_status(self, state: str, **details: Any) -> None:
        """Write a new state; `details` replace those of the same name and the others stay."""
        self._write(replace(self.status, state=state, **details))

    def fail(self, error: BaseException) -> None:
        """Log the cause in one line, and set the status to failed with it and the traceback, if the disk takes it."""
        plain = isinstance(error, CellError | ConfigError)
        text = str(error) if plain else f"{type(error).__name__}: {error}"
        cause = (text.splitlines() or [type(error).__name__])[0]
        log.error("failed %s: %s", self.name, cause)
        try:
            self.set_status(FAILED, cause=cause, traceback="".join(traceback.format_exception(error)))
        except OSError as unwritten:  # a full disk; whoever looks sees a dead cell, which is trained again
            log.error("%s: its failure could not be recorded: %s", self.name, unwritten)

    def _write(self, status: Status) -> None:
        write_json(self.paths.status, replace(status, updated=_now()).to_json())

    def lock(self) -> FileLock:
        """A lock that the training process holds; acquire it with `timeout=0`."""
        self.paths.directory.mkdir(parents=True, exist_ok=True)
        return FileLock(self.paths.lock)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
