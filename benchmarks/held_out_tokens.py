"""What an adapter has learned that is not its target: its loss on tokens that it was not trained on.

`python benchmarks/held_out_tokens.py STUDY --out FILE.parquet` scores each finished cell of a study with plain PEFT on
its own target, whose loss must be the recorded one, and on the targets of other seeds. For a uniform source of entropy
H, an adapter that knows the source and nothing of a target loses H nats per token there.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from peft import PeftModel

from memlaw.config.instantiation import instantiate_checked
from memlaw.data.memory import Memory
from memlaw.models.base import BaseModel
from memlaw.models.devices import resolve_device, resolve_precision
from memlaw.planning.resolved import resolve
from memlaw.study.cell import Cell
from memlaw.study.kept_cells import cell_directories
from memlaw.study.result import read_result
from memlaw.study.status import DONE
from memlaw.training.prepare import build_memory

TOLERANCE_NATS = {"fp32": 1e-3, "bf16": 0.05}
"""Largest difference between the recorded loss of a cell's target and PEFT's, by precision of the base model."""


@cache
def base_of(model: str, precision: str, device: str) -> BaseModel:
    """Load a base model from the values of `conf/model` as YAML."""
    source: Any = instantiate_checked(OmegaConf.create(model))
    chosen = resolve_device(device)
    return source.load(resolve_precision(precision, chosen), chosen)


def memory_of(config: DictConfig, seed: int, base: BaseModel) -> Memory:
    """Build the memory that a cell would have with another seed."""
    changed = OmegaConf.merge(config, {"seed": seed})
    assert isinstance(changed, DictConfig)
    return build_memory(resolve(Cell(changed, Path())), base)


@torch.no_grad()
def mean_loss(model: Any, memory: Memory) -> float:
    """Return the mean loss of a memory's target tokens, nats, one pair at a time."""
    losses = []
    for pair in memory.pairs:
        ids, start = torch.tensor([pair.query_ids + pair.target_ids], device=model.device), len(pair.query_ids)
        logits = model(input_ids=ids).logits[0, start - 1 : -1].float()
        losses.append(F.cross_entropy(logits, ids[0, start:], reduction="none"))
    return float(torch.cat(losses).mean())


def scored(cell: Cell, others: int, device: str) -> Iterator[dict[str, Any]]:
    """Score a finished cell on its own target and those of the next `others` seeds: a row for each.

    Raises:
        ValueError: the loss of its own target is not the recorded one.
    """
    config, recorded = cell.config, read_result(cell.paths.directory)
    base = base_of(OmegaConf.to_yaml(config.model), config.precision, device)
    adapted = PeftModel.from_pretrained(base.model, cell.paths.adapter).eval()
    try:
        for seed in range(config.seed, config.seed + others + 1):
            memory = memory_of(config, seed, base)
            loss = mean_loss(adapted, memory)
            if seed == config.seed and abs(loss - recorded["loss_nats"]) > TOLERANCE_NATS[config.precision]:
                raise ValueError(f"{cell.name}: PEFT's loss is {loss:.4f}; {recorded['loss_nats']:.4f} is recorded")
            with adapted.disable_adapter():
                base_loss = mean_loss(adapted, memory)
            yield {
                "cell": cell.name,
                "rank": config.lora.rank,
                "seq_len": config.seq_len,
                "steps": recorded["steps_trained"],
                "seed": config.seed,
                "other_seed": seed,
                "source_entropy_nats": memory.source_entropy_nats,
                "base_loss_nats": base_loss,
                "loss_nats": loss,
            }
    finally:
        adapted.unload()


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Average by rank, steps and length: ΔL of the own target and of others, and L0 − H, what the source is worth."""
    gain = rows.assign(
        delta=rows["base_loss_nats"] - rows["loss_nats"], source=rows["base_loss_nats"] - rows["source_entropy_nats"]
    )
    is_own, keys = gain["seed"] == gain["other_seed"], ["rank", "steps", "seq_len"]
    on_own, on_others = (part.groupby(keys) for part in (gain[is_own], gain[~is_own]))
    return pd.DataFrame(
        {
            "own ΔL": on_own["delta"].mean(),
            "others' ΔL": on_others["delta"].mean(),
            "others' L0 − H": on_others["source"].mean(),
        }
    )


def main(words: Sequence[str] | None = None) -> None:
    """Score the cells of a study and write a row per cell and target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="parquet file for the rows")
    parser.add_argument("--others", type=int, default=2, help="targets of other seeds per cell")
    parser.add_argument("--longest", type=int, default=512, help="largest seq_len to score")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(words)
    cells = [Cell.load(Path(str(directory))) for directory in cell_directories(asked.study)]
    chosen = [cell for cell in cells if cell.state == DONE and cell.config.seq_len <= asked.longest]
    rows = pd.DataFrame([row for cell in chosen for row in scored(cell, asked.others, asked.device)])
    rows.to_parquet(asked.out, index=False)
    print(summary(rows).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
