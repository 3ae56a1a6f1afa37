"""What a sweep gets from elsewhere: the base model and W&B."""

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
from memlaw.tracking.mode import base_url, has_credentials, resolve_mode, told
from memlaw.tracking.wandb_service import WandbService

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def base_model(source: ModelSource) -> Verdict:
    """Whether a base model can be had without a network."""
    match source:
        case RandomModel():
            return Verdict("model", "green", f"{source.name}: random weights, nothing to fetch")
        case LocalModel():
            try:
                found = Path(source.path).expanduser()
                place = found if found.suffix == ".gguf" and found.is_file() else source.directory()
            except ConfigError as error:
                return Verdict("model", "red", str(error), "give an existing model.path")
            return Verdict("model", "green", f"{source.name}: {place}")
        case PackagedModel():
            file = source.file()
            if file:
                return Verdict("model", "green", f"{source.name}: {file.name} in the package {source.package}")
            return _hub(source.name, source.id, source.revision)
        case HubModel():
            return _hub(source.name, source.id, source.revision)
    return Verdict("model", "yellow", f"{type(source).__name__} is no kind that can be checked", "train one cell first")


def _hub(name: str, model_id: str, revision: str | None) -> Verdict:
    remedy = f"once, where there is a network: hf download {model_id}" + (f" --revision {revision}" if revision else "")
    try:
        snapshot = Path(snapshot_download(model_id, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        snapshot = None
    if snapshot and complete(snapshot):
        return Verdict("model", "green", f"{name}: {model_id} is in the local Hub cache")
    what = "only partly" if snapshot else "not"
    finding = f"{name}: {model_id} is {what} in the local Hub cache"
    if is_offline_mode():
        return Verdict(
            "model", "red", f"{finding}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to fetch it", remedy
        )
    return Verdict("model", "yellow", f"{finding}: the sweep has to download it", remedy)


def complete(snapshot: Path) -> bool:
    """Whether a directory in transformers' format has its config, a tokenizer and every shard of its weights."""
    index = snapshot / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        weights = all((snapshot / shard).is_file() for shard in shards)
    else:
        weights = any(path.is_file() for pattern in WEIGHTS for path in snapshot.glob(pattern))
    return weights and (snapshot / "config.json").is_file() and any(snapshot.glob("tokenizer*"))


def tracking(logger: DictConfig) -> Verdict:
    """Whether what mirrors the runs can do so.

    Raises:
        ConfigError: a value of `logger` is impossible.
    """
    service = instantiate_checked(logger)
    if isinstance(service, WandbService):
        return wandb(logger.mode)
    where = "disabled: results are on disk alone" if service.mode == "disabled" else "runs are kept on this machine"
    return Verdict(service.name, "green", where)


def wandb(mode: str) -> Verdict:
    """Whether W&B can be mirrored to as `logger.mode` asks. Raises ConfigError when W&B refuses its own settings."""
    chosen = resolve_mode(mode)
    if chosen == "disabled":
        return Verdict("W&B", "green", "disabled: results are on disk alone")
    if chosen == "offline":
        if mode == "auto" and told() is None:
            return Verdict("W&B", "yellow", "no login: runs are kept offline", "wandb login, or logger.mode=offline")
        return Verdict("W&B", "green", "offline: runs are kept in the study's directory")
    server = urlparse(base_url())
    if not has_credentials():
        return Verdict("W&B", "red", f"online, but there is no login for {server.hostname}", "wandb login")
    try:
        port = server.port or (80 if server.scheme == "http" else 443)
        socket.create_connection((server.hostname or "", port), timeout=5).close()
    except OSError as error:
        finding = f"online, but {server.hostname} cannot be reached ({error}): cells train, runs are not mirrored"
        return Verdict("W&B", "yellow", finding, "logger.mode=offline, and wandb sync later")
    return Verdict("W&B", "green", f"online: login for {server.hostname}, which answers")
