"""What is judged: a PEFT checkpoint, a memlaw cell, a model that an adapter was merged into, or the base alone."""

import hashlib
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any, cast

from peft import PeftConfig
from peft.utils import CONFIG_NAME
from transformers.utils import CONFIG_NAME as MODEL_CONFIG

from memlaw.config.instantiation import instantiate_checked
from memlaw.core.errors import ConfigError, one_line
from memlaw.models.sources import ModelSource
from memlaw.study.cell import Cell
from memlaw.study.verification import BASE
from memlaw.verification.base_source import recorded_source

_CONTENT = (".safetensors", ".bin", "config.json")
"""How the names of files end that make a checkpoint what it is."""

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
"""Files of a PEFT checkpoint that may hold its weights."""


class Kind(Enum):
    """Kinds of subjects."""

    BASE = "base"
    ADAPTER = "adapter"
    MODEL = "model"


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        name: for tables; no other subject of the verification has it.
        kind: the base model, an adapter on it, or a whole model beside it.
        path: of the checkpoint; None for the base model.
        config: of the adapter; None without one.
        cell: the memlaw cell that holds it; None: it is none's.
    """

    name: str
    kind: Kind
    path: Path | None = None
    config: PeftConfig | None = None
    cell: Cell | None = None

    @property
    def where(self) -> str:
        """Its name in errors."""
        return f"--adapter {self.path or self.name}"

    def base_source(self) -> ModelSource:
        """Find the base model that it was trained on. Raises ConfigError when it does not say."""
        if self.cell:
            return cast(ModelSource, instantiate_checked(self.cell.config.model))
        if self.config is None:
            raise ConfigError(f"{self.where} does not name a base model; give it with --model")
        return recorded_source(self.config.base_model_name_or_path, self.config.revision, self.where)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of its weights and its config; of the base alone, zeros."""
        if self.path is None:
            return "0" * 16
        digest = hashlib.sha256()
        for file in sorted(chain.from_iterable(self.path.glob(f"*{suffix}") for suffix in _CONTENT)):
            with file.open("rb") as content:
                digest.update(file.name.encode() + hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()[:16]


def subjects_of(paths: list[str]) -> list[Subject]:
    """Find subjects by the values of `--adapter`.

    Args:
        paths: directories, or `none` for the base model.

    Raises:
        ConfigError: a directory is missing or holds nothing that can be judged, or one is given twice.
    """
    repeated = [path for path in paths if paths.count(path) > 1]
    if repeated:
        raise ConfigError(f"--adapter {repeated[0]} is given twice")
    short = [Path(path).name or path for path in paths]
    names = [name if short.count(name) == 1 else path for name, path in zip(short, paths, strict=True)]
    return [_subject(path, name) for path, name in zip(paths, names, strict=True)]


def _subject(given: str, name: str) -> Subject:
    if given == BASE:
        return Subject(BASE, Kind.BASE)
    path = Path(given).expanduser()
    where = f"--adapter {given}"
    if not path.is_dir():
        raise ConfigError(f"{where} is not a directory; give a PEFT checkpoint, a memlaw cell, a merged model, or none")
    cell = Cell.load(path) if (path / "config.yaml").is_file() else None
    if cell:
        if cell.config.lora.placement != "linear":
            raise ConfigError(f"{where}: PEFT has no block placement; only cells with lora.placement=linear are judged")
        path = cell.paths.adapter
    if (path / CONFIG_NAME).is_file():
        return Subject(name, Kind.ADAPTER, path, _adapter_config(path, where), cell)
    if (path / MODEL_CONFIG).is_file():
        return Subject(name, Kind.MODEL, path)
    inside = "its adapter/ has" if cell else "it has"
    files = f"neither {CONFIG_NAME} (PEFT) nor {MODEL_CONFIG} (a whole model)"
    raise ConfigError(f"{where} is no checkpoint: {inside} {files}")


def _adapter_config(path: Path, where: str) -> PeftConfig:
    try:
        config: Any = PeftConfig.from_pretrained(str(path))
    except Exception as error:  # foreign files cause errors of many classes
        raise ConfigError(f"{where}: its {CONFIG_NAME} cannot be read: {one_line(error)}") from error
    if config.is_prompt_learning:
        raise ConfigError(
            f"{where} is a {config.peft_type} adapter, which adds virtual tokens; only changed weights are judged"
        )
    if not any((path / name).is_file() for name in WEIGHTS):
        raise ConfigError(f"{where} lacks its weights: {' or '.join(WEIGHTS)}")
    return cast(PeftConfig, config)
