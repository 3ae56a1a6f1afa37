"""Checks the services that a sweep needs: the source of the base model, and the tracking service."""

import json
import socket
from pathlib import Path
from urllib.parse import urlparse

from huggingface_hub import is_offline_mode, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from omegaconf import DictConfig

from memlaw.config.instantiation import instantiate_checked
from memlaw.core.errors import ConfigError
from memlaw.doctor.verdict import Verdict
from memlaw.models.random_weights import RandomModel
from memlaw.models.sources import HubModel, LocalModel, ModelSource, PackagedModel
from memlaw.tracking.mode import base_url, has_credentials, requested_mode, resolve_mode
from memlaw.tracking.wandb_service import WandbService

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def base_model(source: ModelSource) -> Verdict:
    """Check that a base model can be loaded without a network."""
    match source:
        case RandomModel():
            return Verdict("model", "green", f"{source.name}: random weights, nothing to fetch")
        case LocalModel():
            try:
                path = Path(source.path).expanduser()
                location = path if path.suffix == ".gguf" and path.is_file() else source.directory()
            except ConfigError as error:
                return Verdict("model", "red", str(error), "give an existing model.path")
            return Verdict("model", "green", f"{source.name}: {location}")
        case PackagedModel():
            file = source.file()
            if file:
                return Verdict("model", "green", f"{source.name}: {file.name} in the package {source.package}")
            return _hub(source.name, source.id, source.revision)
        case HubModel():
            return _hub(source.name, source.id, source.revision)
    return Verdict("model", "yellow", f"no check for {type(source).__name__}", "train one cell first")


def _hub(name: str, model_id: str, revision: str | None) -> Verdict:
    remedy = f"run once with a network: hf download {model_id}" + (f" --revision {revision}" if revision else "")
    try:
        snapshot = Path(snapshot_download(model_id, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        snapshot = None
    if snapshot and complete(snapshot):
        return Verdict("model", "green", f"{name}: {model_id} is in the local Hub cache")
    extent = "only partly" if snapshot else "not"
    finding = f"{name}: {model_id} is {extent} in the local Hub cache"
    if is_offline_mode():
        return Verdict(
            "model", "red", f"{finding}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids downloads", remedy
        )
    return Verdict("model", "yellow", f"{finding}: the sweep has to download it", remedy)


def complete(snapshot: Path) -> bool:
    """Tell whether a directory in transformers' format has its config, a tokenizer and every shard of its weights."""
    index = snapshot / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        weights = all((snapshot / shard).is_file() for shard in shards)
    else:
        weights = any(path.is_file() for pattern in WEIGHTS for path in snapshot.glob(pattern))
    return weights and (snapshot / "config.json").is_file() and any(snapshot.glob("tokenizer*"))


def tracking(logger: DictConfig) -> Verdict:
    """Check that the tracking service can take runs.

    Raises:
        ConfigError: a value of `logger` is impossible.
    """
    service = instantiate_checked(logger)
    if isinstance(service, WandbService):
        return wandb(logger.mode)
    finding = "disabled: results are on disk alone" if service.mode == "disabled" else "runs are stored on this machine"
    return Verdict(service.name, "green", finding)


def wandb(mode: str) -> Verdict:
    """Check that W&B can be reached as `logger.mode` asks. Raises ConfigError when W&B refuses its own settings."""
    chosen = resolve_mode(mode)
    if chosen == "disabled":
        return Verdict("W&B", "green", "disabled: results are on disk alone")
    if chosen == "offline":
        if mode == "auto" and requested_mode() is None:
            return Verdict("W&B", "yellow", "no login: runs are stored offline", "wandb login, or logger.mode=offline")
        return Verdict("W&B", "green", "offline: runs are stored in the study's directory")
    server = urlparse(base_url())
    if not has_credentials():
        return Verdict("W&B", "red", f"online, but there is no login for {server.hostname}", "wandb login")
    try:
        port = server.port or (80 if server.scheme == "http" else 443)
        socket.create_connection((server.hostname or "", port), timeout=5).close()
    except OSError as error:
        finding = f"online, but {server.hostname} cannot be reached ({error}): cells train, runs are not mirrored"
        return Verdict("W&B", "yellow", finding, "logger.mode=offline, and memlaw sync later")
    return Verdict("W&B", "green", f"online: login for {server.hostname}, which answers")
