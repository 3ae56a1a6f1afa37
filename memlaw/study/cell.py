"""A cell: a grid point with its resolved scientific config, its directory and its status."""

import logging
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from memlaw.study.identity import add_later_keys, config_hash, flatten, readable_name
from memlaw.study.layout import CellPaths
from memlaw.study.status import FAILED, PENDING, RUNNING, Status, read_status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """A grid point of a study. Its config is read-only, so its hash, name and paths are computed once.

    Attributes:
        config: the resolved scientific config, without operational keys.
        study: the study's directory.
    """

    config: DictConfig
    study: Path

    def __post_init__(self) -> None:
        OmegaConf.set_readonly(self.config, True)

    @classmethod
    def load(cls, directory: Path) -> "Cell":
        """Read a planned cell from its directory. A config of an earlier version gets the keys that it lacks.

        Raises:
            ConfigError: the directory holds no config of a cell, or that of a cell with another name.
        """
        path = CellPaths(directory).config
        try:
            config = OmegaConf.load(path)
            assert isinstance(config, DictConfig)
            add_later_keys(config)
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
        """Return eight hexadecimal digits that identify the scientific config; see `config_hash`."""
        return config_hash(self.config)

    @cached_property
    def name(self) -> str:
        """Return a readable name that ends in the hash: `smollm2_135m-long_context-sft-r4-l256-s0-1a2b3c4d`."""
        return readable_name(self.config, self.hash)

    @cached_property
    def paths(self) -> CellPaths:
        """Return the paths of this cell's files."""
        return CellPaths(self.study / self.name)

    @cached_property
    def flat(self) -> dict[str, Any]:
        """Return the scientific config as a flat row with dotted keys (`lora.rank`), without `_target_`."""
        container = OmegaConf.to_container(self.config, resolve=True)
        return dict(flatten(container))

    def check_directory(self) -> None:
        """Raise ConfigError where the cell's directory holds another config than the cell's."""
        if self.paths.config.exists():
            Cell.load(self.paths.directory)

    def plan(
        self,
        wanted: Callable[[], object] = lambda: True,
        *,
        afresh: bool = False,
        total_steps: int | None = None,
        step_flops: float | None = None,
    ) -> None:
        """Freeze the config in the cell's directory, and set the status to pending unless a process trains the cell.

        Call `check_directory` first. A config that another version wrote is rewritten: it may name code that has moved
        (`_target_`).

        Args:
            wanted: asked while holding the lock, so that nobody else can change the cell. If it says no, the status
                stays.
            afresh: remove the checkpoint of an earlier attempt.
            total_steps, step_flops: see `Status`; None where they have not been computed.
        """
        text = OmegaConf.to_yaml(self.config, resolve=True, sort_keys=True)
        if not self.paths.config.exists() or self.paths.config.read_text(encoding="utf-8") != text:
            write_text(self.paths.config, text)
        with self.lock_if_free() as free:
            if free and wanted():
                self._write(Status(PENDING, self.status.attempt, total_steps, step_flops))
                remove_unfinished(self.paths.directory)
                if afresh:
                    self.paths.checkpoint.unlink(missing_ok=True)

    @property
    def status(self) -> Status:
        """Read `status.json`; see `read_status`."""
        return read_status(self.paths.status)

    @property
    def state(self) -> str:
        """Read the state of `status`."""
        return self.status.state

    def start(self, **details: Any) -> None:
        """Record that this process trains the cell. Count an attempt, and drop the details of the attempt before."""
        before = self.status
        self.paths.heartbeat.unlink(missing_ok=True)  # of a process that was killed; it would tell of silence
        process = {"host": socket.gethostname(), "pid": os.getpid(), "started": _now()}
        self._write(Status(RUNNING, before.attempt + 1, **{**before.forecast, **process, **details}))

    def set_status(self, state: str, **details: Any) -> None:
        """Write a new state and `details`. Other fields of the status stay."""
        self._write(replace(self.status, state=state, **details))

    def fail(self, error: BaseException) -> None:
        """Log the cause in one line, and write it with the traceback to the status. Log it where the disk is full."""
        plain = isinstance(error, CellError | ConfigError)
        text = str(error) if plain else f"{type(error).__name__}: {error}"
        cause = (text.splitlines() or [type(error).__name__])[0]
        log.error("failed %s: %s", self.name, cause)
        try:
            self.set_status(FAILED, cause=cause, traceback="".join(traceback.format_exception(error)))
        except OSError as unwritten:  # a full disk; readers see a dead cell, which the next sweep trains again
            log.error("%s: its failure could not be recorded: %s", self.name, unwritten)

    def _write(self, status: Status) -> None:
        write_json(self.paths.status, replace(status, updated=_now()).to_json())

    def lock(self) -> FileLock:
        """Return the lock that the training process holds. Acquire it with `timeout=0`."""
        self.paths.directory.mkdir(parents=True, exist_ok=True)
        return FileLock(self.paths.lock)

    @contextmanager
    def lock_if_free(self) -> Iterator[bool]:
        """Hold the lock and yield True, or yield False where another process holds it."""
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.debug("%s is being trained by another process", self.name)
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
