"""Collects the result columns of a pack's cells that are fixed before training."""

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Sequence
from typing import Any

from memlaw.adapters.targets import Target, module_names
from memlaw.core.version import __version__
from memlaw.models.base import BaseModel
from memlaw.planning.cost import step_flops
from memlaw.planning.model_shape import ModelShape
from memlaw.planning.sizes import sizes_of
from memlaw.training.input_rank import InputRank, effective_parameters, input_ranks
from memlaw.training.live_pack import LivePack

_VERSIONED = ("torch", "lightning", "transformers", "peft", "numpy", "faker")


def versions() -> dict[str, str]:
    """Look up the versions that numbers may depend on, as result columns."""
    python = {"version.python": platform.python_version(), "version.memlaw": __version__}
    return python | {f"version.{name}": importlib.metadata.version(name) for name in _VERSIONED}


def pack_facts(pack: LivePack, base: BaseModel, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Collect the facts of each cell of a pack, as columns of `memlaw.study.records.RESULT_COLUMNS`.

    The decoder runs once for each memory of the pack.

    Args:
        pack: the cells, none of them dropped yet.
        base: their base model, whole.
        targets: the adapted modules.
    """
    model, cached = base.model, pack.prefix.extent if pack.prefix else "none"
    shared = {
        "adapted_modules": json.dumps(module_names(targets)),
        "adapted_layers": json.dumps(sorted({target.layer for target in targets})),
        "base_parameters": model.num_parameters(),
        "pack_size": len(pack.cells),
        "prefix_cached": cached,
        "device": str(base.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "model_fingerprint": base.fingerprint,
        "model_commit": getattr(model.config, "_commit_hash", None),
        **versions(),
    }
    model_shape = ModelShape.of(model, targets)
    sizes = [
        sizes_of(
            live.cell,
            shape=(max(pack.table.pairs), pack.table.row_tokens),
            model=model_shape,
            targets=targets,
            value_bytes=model.dtype.itemsize,
            cached=cached,
        )
        for live in pack.cells
    ]
    return [
        {
            "trainable_parameters": pack.adapters.trainable_parameters(n),
            **effective_parameters(live.spec.rank, targets, inputs),
            "scale": live.spec.scale,
            **shared,
            "step_flops": step_flops(sizes[n]),
        }
        for n, (live, inputs) in enumerate(zip(pack.cells, _input_ranks(pack, base, targets), strict=True))
    ]


def _input_ranks(pack: LivePack, base: BaseModel, targets: Sequence[Target]) -> Iterator[list[InputRank]]:
    """Yield each cell's `input_ranks`, which cells of equal memories share."""
    measured: dict[str, list[InputRank]] = {}
    for n, live in enumerate(pack.cells):
        memory = live.memory.fingerprint
        if memory not in measured:
            measured[memory] = input_ranks(base, targets, pack.table.select([n]), live.schedule.batch_rows)
        yield measured[memory]
