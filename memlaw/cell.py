"""A cell: one grid point, its resolved scientific config, its identity, its directory and its status."""

import hashlib
import json
import logging
import os
import re
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from memlaw.canonical import canonical_lora
from memlaw.cell_paths import CellPaths
from memlaw.errors import CellError, ConfigError
from memlaw.files import NAME_BYTES, PATH_BYTES, TEMPORARY_BYTES, remove_unfinished, write_json, write_text
from memlaw.hydra_errors import explained
from memlaw.keys import SCIENTIFIC, check_keys
from memlaw.status_file import DONE as DONE
from memlaw.status_file import FAILED, PENDING, RUNNING, Status, read_status

log = logging.getLogger(__name__)

_WORD_BYTES = 34
"""What is left of each word of a cell's name that is too long."""


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
    def from_config(cls, cfg: DictConfig) -> "Cell":
        """Cut the scientific config out of a composed one.

        Raises:
            ConfigError: a key is unknown, a mandatory value is missing or an interpolation cannot be resolved.
        """
        own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])  # values may look up others
        check_keys(own)
        with explained():
            whole = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
        assert isinstance(whole, dict)
        container: dict[str, Any] = {key: whole[key] for key in SCIENTIFIC}
        if isinstance(container["lora"], dict):
            container["lora"] = canonical_lora(container["lora"], partial(_depth, json.dumps(container["model"])))
        for section, path, content in (("data", "path", "content"), ("eval", "side_effects", "side_effects_content")):
            values = container[section]
            if isinstance(values, dict) and content in values and values[content] is None:
                values[content] = file_hash(values[path])
        return cls(OmegaConf.create(container), study_dir(cfg))

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
        """Readable name ending in the hash, e.g. `smollm2_135m-long_context-sft-r4-l256-s0-1a2b3c4d`.

        Of the words of a name that file systems would not take, only the ends are kept; `model.name` is one.
        """
        c = self.config
        words = (c.model.name, c.data.name, c.method.name, f"r{c.lora.rank}", f"l{c.seq_len}", f"s{c.seed}", self.hash)
        safe = [re.sub(r"[^\w.]+", "_", str(word)) for word in words]
        if len("-".join(safe).encode()) > NAME_BYTES - TEMPORARY_BYTES:
            safe = [word.encode()[-_WORD_BYTES:].decode(errors="ignore") for word in safe]
        return "-".join(safe)

    @cached_property
    def paths(self) -> CellPaths:
        """The files of this cell."""
        return CellPaths(self.study / self.name)

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The scientific config as one flat row with dotted keys (`lora.rank`), without `_target_`."""
        container = OmegaConf.to_container(self.config, resolve=True)
        return dict(flatten(container))

    def plan(self, wanted: Callable[[], object] = lambda: True, afresh: bool = False, **forecast: float) -> None:
        """Create the directory with the frozen config, and say pending unless a process trains it right now.

        Args:
            wanted: asked while nobody else can change the cell; when it says no, the status stays as it is.
            afresh: forget how far it came before an interruption.
            forecast: what `FORECAST` names, for the status.

        Raises:
            ConfigError: the directory holds another config.
        """
        if self.paths.config.exists():
            Cell.load(self.paths.directory)
        else:
            write_text(self.paths.config, OmegaConf.to_yaml(self.config, resolve=True, sort_keys=True))
        try:
            with self.lock().acquire(timeout=0):
                if not wanted():
                    return
                self._write(Status(PENDING, self.status.attempt, **forecast))  # type: ignore[arg-type]
                remove_unfinished(self.paths.directory)
                if afresh:
                    self.paths.checkpoint.unlink(missing_ok=True)
        except Timeout:
            log.debug("%s is being trained by another process", self.name)

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


@cache
def _depth(model: str) -> int | None:
    """Decoder layers of a base model, from `conf/model` as JSON; None where its configuration cannot be read here."""
    from memlaw.anatomy import layers_path  # import torch
    from memlaw.base_model import without_weights
    from memlaw.checks import instantiate_checked

    try:
        source = instantiate_checked(OmegaConf.create({"model": json.loads(model)}).model)
        skeleton = without_weights(source.config())
    except ConfigError:  # whoever needs the model says so
        return None
    path = layers_path(skeleton)
    return None if path is None else len(skeleton.get_submodule(path))  # type: ignore[arg-type]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def study_dir(cfg: DictConfig) -> Path:
    """Directory of the study, `runs_dir/study`, absolute.

    Raises:
        ConfigError: `study` is not the name of one directory, or `runs_dir` no path, or they are too long.
    """
    study, runs = cfg.study, cfg.runs_dir
    if study is None or str(study) in ("", ".", "..") or not re.fullmatch(r"[^/\x00-\x1f\x7f]+", str(study)):
        raise ConfigError(f"study={study!r} is not a directory's name: no slash, no control character, not . or ..")
    if runs is None or not re.fullmatch(r"[^\x00-\x1f\x7f]+", str(runs)):
        raise ConfigError(f"runs_dir={runs!r} is not the path of a directory")
    path = Path(str(runs)).expanduser().resolve() / str(study)
    for part in path.parts:
        if len(os.fsencode(part)) > NAME_BYTES:
            key = "study" if part == path.name else "runs_dir"
            raise ConfigError(f"{key}={part[:100]}… is longer than a directory's name may be, {NAME_BYTES} bytes")
    if len(os.fsencode(path)) > PATH_BYTES - 2 * NAME_BYTES:  # a cell's directory and its files come below it
        raise ConfigError(
            f"runs_dir={str(runs)[:100]}… is longer than a path may be, {PATH_BYTES} bytes with its cells"
        )
    return path


def file_hash(path: Any) -> str | None:
    """Sixteen hexadecimal digits of a file's SHA-256; None when there is no such file."""
    if not isinstance(path, str):
        return None
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, RuntimeError, ValueError):  # also the home of an unknown user, and a NUL in the path
        return None


def config_hash(config: DictConfig) -> str:
    """First eight hexadecimal digits of the SHA-256 of the resolved scientific config.

    Code locations (`_target_`) do not count, nor does the spelling of a number: 1, 1.0 and 1e0 are one.
    """
    canonical = json.dumps(_canonical(OmegaConf.to_container(config, resolve=True)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items() if key != "_target_"}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a nested config, without `_target_`; a list becomes its JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "_target_":
                yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(value) if isinstance(value, list) else value
