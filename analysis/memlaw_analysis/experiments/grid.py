"""The declared grid of an experiment: the cells that its files in `conf/experiment/` train, and their rows."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from memlaw.config.canonical import canonical_lora
from memlaw.config.compose import compose_config
from memlaw.study.conditions import spelled
from memlaw.study.identity import flatten

DEPTHS = {"smollm2_135m": 30}
"""Decoder layers of the experiments' models, by which a fraction of the depth names a layer."""

_NOT_OF_CELLS = ("lookup", "study")
"""Keys of the config that are none of a cell's: tables in which values look themselves up, and the study's name, for
which rows have its path."""

Point = Mapping[str, Any]
"""A declared cell: its flat config."""


@dataclass(frozen=True)
class Coverage:
    """The declared cells of an experiment beside the rows of its study.

    Attributes:
        rows: the rows of declared cells.
        declared: number of declared cells.
        missing: each declared cell without a row: the keys that tell the declared cells apart → its values.
    """

    rows: pd.DataFrame
    declared: int
    missing: tuple[Mapping[str, str], ...]

    @property
    def gaps(self) -> list[str]:
        """The missing cells in words. A line stands for every combination of its values."""
        if not self.missing:
            return []
        boxes: list[dict[str, tuple[str, ...]]] = [
            {key: (value,) for key, value in cell.items()} for cell in self.missing
        ]
        count = {key: len({cell[key] for cell in self.missing}) for key in self.missing[0]}
        for key in sorted(count, key=lambda name: -count[name]):
            merged: dict[tuple[tuple[str, tuple[str, ...]], ...], tuple[str, ...]] = {}
            for box in boxes:
                others = tuple((name, values) for name, values in box.items() if name != key)
                merged[others] = merged.get(others, ()) + box[key]
            boxes = [{name: {**dict(others), key: values}[name] for name in count} for others, values in merged.items()]
        return ["; ".join(f"`{key}` {', '.join(values)}" for key, values in box.items()) for box in boxes]


def declared_points(parts: Sequence[str]) -> list[Point]:
    """Return the cells that experiments of `conf/experiment/` train, each once."""
    points = {tuple(map(repr, sorted(point.items()))): point for part in parts for point in _points(part)}
    return list(points.values())


def _points(part: str) -> Iterator[Point]:
    config = compose_config([f"experiment={part}"], with_hydra=True)
    params = config.hydra.sweeper.params or {}
    words = [f"{key}={value}" for key, value in params.items() if value]
    sweeps = [
        [
            (override.key_or_group, value)
            for value in (override.sweep_iterator() if override.is_sweep_override() else [override.value()])
        ]
        for override in OverridesParser.create().parse_overrides(words)
    ]
    with open_dict(config):
        del config["hydra"]
    for choice in itertools.product(*sweeps):
        yield _point(config, dict(choice))


def _point(config: DictConfig, choice: Mapping[str, Any]) -> Point:
    """The flat config of one cell, its `lora` spelled as in rows."""
    cell = config.copy()
    for key, value in choice.items():
        OmegaConf.update(cell, key, value)
    values = OmegaConf.to_container(cell, resolve=True)
    assert isinstance(values, dict)
    depth = DEPTHS.get(values["model"]["name"])
    lora = canonical_lora(values["lora"], lambda: depth)
    return dict(
        flatten({**{str(key): value for key, value in values.items() if key not in _NOT_OF_CELLS}, "lora": lora})
    )


def cover(rows: pd.DataFrame, points: Sequence[Point]) -> Coverage:
    """Find the rows of declared cells, and the declared cells that have none.

    Cells are told apart by the columns in which the rows or the declared cells differ.

    Args:
        rows: of the study; it may have none.
        points: the declared cells.
    """
    shared = [key for key in points[0] if key in rows] if len(rows) else list(points[0])
    values = {key: {*map(spelled, rows.get(key, ())), *(spelled(point[key]) for point in points)} for key in shared}
    keys = [key for key in shared if len(values[key]) > 1]
    declared = {tuple(spelled(point[key]) for key in keys): point for point in points}
    names = [tuple(map(spelled, row)) for row in rows[keys].itertuples(index=False)] if len(rows) else []
    varying = [key for key in keys if len({spelled(point[key]) for point in points}) > 1]
    run = set(names)
    missing = [{key: spelled(point[key]) for key in varying} for name, point in declared.items() if name not in run]
    matching = rows[[name in declared for name in names]].reset_index(drop=True)
    return Coverage(matching, len(declared), tuple(missing))
