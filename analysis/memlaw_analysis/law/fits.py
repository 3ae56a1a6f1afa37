"""The fits of one condition, each made once."""

from functools import cached_property

import pandas as pd

from memlaw_analysis.law.capacity import Capacity, fit_capacity
from memlaw_analysis.law.collapse import Collapse, fit_collapse
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fit import LawFit, default_rule, fit_law
from memlaw_analysis.law.forms import POWER, Form
from memlaw_analysis.law.saturation import Rule
from memlaw_analysis.law.unintended import Unintended, fit_unintended
from memlaw_analysis.law.usable import usable


class Fits:
    """Make each fit to the usable cells of a condition when it is first asked for, and keep it.

    Every fit raises `TooFewCells` where no cell is usable, or where the usable ones cannot determine it.

    Attributes:
        usable: the condition's cells, sorted by whether fits may use them.
    """

    def __init__(self, cells: pd.DataFrame):
        self.usable = usable(cells)
        self._laws: dict[tuple[str, Rule, str], LawFit] = {}

    @property
    def cells(self) -> pd.DataFrame:
        """The cells that fits use."""
        return self.usable.cells

    def law(self, form: Form = POWER, rule: Rule | None = None, loss: str = "linear") -> LawFit:
        """Return the fit of a form. The arguments are those of `memlaw_analysis.law.fit.fit_law`."""
        self._check_any()
        rule = rule or default_rule(form)
        key = form.name, rule, loss
        if key not in self._laws:
            self._laws[key] = fit_law(self.cells, form, rule, loss)
        return self._laws[key]

    @cached_property
    def collapse(self) -> Collapse:
        """All cells as one curve of r^κ/ℓ."""
        self._check_any()
        return fit_collapse(self.cells)

    @cached_property
    def capacity(self) -> Capacity:
        """Bits per trainable parameter over the load."""
        self._check_any()
        return fit_capacity(self.cells)

    @cached_property
    def effective_capacity(self) -> Capacity:
        """Bits per effective parameter over the load, of the cells that know their number."""
        self._check_any()
        return fit_capacity(self.cells, "effective_parameters")

    @cached_property
    def unintended(self) -> Unintended:
        """What is stored beyond the source, of the cells that know its entropy."""
        self._check_any()
        return fit_unintended(self.cells)

    def _check_any(self) -> None:
        if self.usable.nothing:
            raise TooFewCells(self.usable.nothing)
