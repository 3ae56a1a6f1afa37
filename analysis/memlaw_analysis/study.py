"""A study's finished cells as one object, for notebooks and scripts."""

from functools import cached_property

import pandas as pd

from memlaw_analysis.law.fits import Fits
from memlaw_analysis.tables.conditions import conditions
from memlaw_analysis.tables.studies import NoCells
from memlaw_analysis.tables.tokens import all_tokens

NEEDED = ("lora.rank", "target_tokens", "base_loss_nats", "delta_loss_nats")


class NoCondition(ValueError):
    """A study has several conditions and none was named, or none of that name; the message lists them."""


class Study:
    """Finished cells, split into conditions: cells that differ in rank, length and seed alone.

    Attributes:
        cells: a row per finished cell: its result (`memlaw.study.records.RESULT_COLUMNS`) and its config.
        source: where the cells come from, for people.
    """

    def __init__(self, cells: pd.DataFrame, source: str):
        """Take a table of cells.

        Raises:
            NoCells: it has no row, or lacks a column of `NEEDED`.
        """
        missing = [name for name in NEEDED if name not in cells]
        if missing or cells.empty:
            raise NoCells(f"{source} has no " + (f"column {', '.join(missing)}" if missing else "row"))
        self.cells = cells
        self.source = source
        self._fits: dict[str, Fits] = {}

    def __repr__(self) -> str:
        lines = [f"{label or 'one condition'}: {_describe(cells)}" for label, cells in self.conditions.items()]
        return "\n  ".join([f"Study {self.source}: {len(self.cells)} finished cells", *lines])

    @cached_property
    def conditions(self) -> dict[str, pd.DataFrame]:
        """Name of each condition → its rows of `cells`. The name says what varies; it is empty for a single one."""
        return dict(conditions(self.cells))

    def fits(self, condition: str | None = None) -> Fits:
        """Return the fits of a condition; each is made once.

        Args:
            condition: its name; None where there is one condition.

        Raises:
            NoCondition: there is none of that name, or several and none was named.
        """
        name = self._named(condition)
        if name not in self._fits:
            self._fits[name] = Fits(self.conditions[name])
        return self._fits[name]

    def tokens(self, cells: pd.DataFrame | None = None) -> pd.DataFrame:
        """Read the token tables: a row per cell, evaluation and token.

        Columns are `memlaw.study.records.TOKEN_COLUMNS`, `p` and `cell`.

        Args:
            cells: rows of `self.cells`; None for all.

        Raises:
            NoTokens: a table is missing or damaged.
        """
        return pd.concat(all_tokens(self.cells if cells is None else cells), ignore_index=True)

    def _named(self, condition: str | None) -> str:
        names = list(self.conditions)
        if condition is None and len(names) == 1:
            return names[0]
        if condition in names:
            return condition
        problem = "name one of them" if condition is None else f"none is {condition!r}"
        raise NoCondition(f"{self.source} has {len(names)} conditions, {problem}: " + ", ".join(map(repr, names)))


def _describe(cells: pd.DataFrame) -> str:
    """Number of cells, and the ranks, lengths and seeds that they cover."""
    axes = {"ranks": "lora.rank", "lengths": "target_tokens", "seeds": "seed"}
    values = {axis: sorted(cells[name].dropna().unique()) for axis, name in axes.items() if name in cells}
    covered = ", ".join(f"{axis} {' '.join(f'{value:g}' for value in numbers)}" for axis, numbers in values.items())
    return f"{len(cells)} cells, {covered}"
