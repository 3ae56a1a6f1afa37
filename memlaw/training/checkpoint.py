"""The state of an unfinished cell: its adapter, optimizer moments, method state, evaluations and clocks.

Each cell has a separate checkpoint, so that it can continue in another pack. The checkpoint is a safetensors file, so
nothing is unpickled, and has no weights of the base model. It needs no random state: data, initial weights and order
of pairs follow from the seed and the step.

Shapes: R rank, I and O input and output size of a module, P pairs, E evaluations, S target tokens.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from memlaw.core.errors import CellError, one_line
from memlaw.core.files import atomic_path

log = logging.getLogger(__name__)

FORMAT = 2
_PROGRESS = "progress"

_HEAD: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "model_fingerprint": str,
    "data_fingerprint": str,
    "curves": list,
    "recalled_checks": int,
    "worker_seconds": (int, float),
    "seconds": (int, float),
}
"""The required fields of a header: the step, and those that `LiveCell.save` adds."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a cell after some steps.

    Attributes:
        step: optimizer steps taken.
        tensors: by name; see `memlaw.training.live_pack.LivePack.state` and `memlaw.training.history.History.state`.
        progress: small values, as JSON takes them; see `memlaw.training.live_cell.LiveCell.save`.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    progress: dict[str, Any]

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Pick the tensors whose names begin with `name.`, and strip this prefix."""
        return {
            key.removeprefix(f"{name}."): value for key, value in self.tensors.items() if key.startswith(f"{name}.")
        }

    def write(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        head = {"format": FORMAT, "step": self.step, **self.progress}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={_PROGRESS: json.dumps(head)})


def step_of(path: Path) -> int:
    """Read the step of a checkpoint; 0 when there is none, or it cannot be read."""
    head = _head(path)
    return head["step"] if head else 0


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint; None when there is none, or it cannot be read."""
    head = _head(path)
    if head is None:
        return None
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    progress = {name: value for name, value in head.items() if name not in ("format", "step")}
    return Checkpoint(head["step"], tensors, progress)


def check_origin(path: Path, model_fingerprint: str, data_fingerprint: str) -> None:
    """Raise CellError for a checkpoint of another base model or memory."""
    head = _head(path)
    for name, fingerprint in (("model", model_fingerprint), ("data", data_fingerprint)):
        if head and head[f"{name}_fingerprint"] != fingerprint:
            raise CellError(f"{path} was trained on another {name}; remove that file to start again")


def _head(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            head = json.loads(file.metadata()[_PROGRESS])
        if head["format"] == FORMAT:
            _check_head(head)
            return head
        log.warning("%s is of another version of memlaw; the cell starts again", path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s cannot be read (%s); the cell starts again", path, one_line(error))
    return None


def _check_head(head: dict[str, Any]) -> None:
    """Raise ValueError when a header lacks a field, or has one of another type."""
    for name, kind in _HEAD.items():
        if name not in head:
            raise ValueError(f"its header lacks {name}")
        if isinstance(head[name], bool) or not isinstance(head[name], kind):
            raise ValueError(f"its header's {name} is a {type(head[name]).__name__}")
    if head["step"] < 0:
        raise ValueError(f"its header's step is {head['step']}")
