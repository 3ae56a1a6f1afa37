"""Packs of tiny cells, trained in this process."""

from collections.abc import Sequence

import numpy as np
from omegaconf import DictConfig

from memlaw.study.cell import Cell
from memlaw.study.records import read_tokens
from memlaw.training.pack import train_pack

STEPS = 50
COMMON = (f"steps={STEPS}", "stop.when_recalled=false", "seq_len=40", "lora.layers=[1]")
LONG = (*COMMON, "data.random_ratio=1.0")
BOOK = (*COMMON, "data=phonebook", "batch_size=3")


def train(cells: Sequence[Cell], cfg: DictConfig) -> list[np.ndarray]:
    """Train the cells as one pack; p of every target token after the last step, per cell."""
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.status.traceback for cell in cells] == [None] * len(cells)
    tables = [read_tokens(cell.paths.tokens) for cell in cells]
    assert all((table["base_nll"] - table["nll"]).max() > 1 for table in tables)  # all learned something
    return [table[table["step"] == table["step"].max()]["p"].to_numpy() for table in tables]


def make_cells(tiny, points, *operational: str) -> tuple[list[Cell], DictConfig]:
    """One cell per point, and the config of the first."""
    made = [tiny(*point, *operational) for point in points]
    return [cell for cell, _ in made], made[0][1]
