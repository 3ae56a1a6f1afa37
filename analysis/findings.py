"""What a condition's cells say: everything that a report shows, computed once. No I/O, no formatting."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from analysis.capacity import Capacity, capacity
from analysis.collapse import Collapse, fit_collapse
from analysis.dynamics import evaluations, final, learned
from analysis.forms import FORMS, POWER
from analysis.law import LawFit, TooFewCells, fit_law
from analysis.load import NoTokens, last_tokens
from analysis.residuals import Residuals, diagnose
from analysis.rivals import compare, ranked
from analysis.sensitivity import sensitivity
from analysis.transition import first_failures, transition
from analysis.uncertainty import Interval, bootstrap, bootstrap_intervals, profile_intervals
from analysis.usable import Usable, usable

T = TypeVar("T")


@dataclass(frozen=True)
class Fitted:
    """A fit with its uncertainty and its residuals.

    Attributes:
        fit: the fit.
        profile: profile-likelihood intervals, by parameter.
        resampled: bootstrap intervals, by parameter, and of `alpha/beta`.
        residuals: diagnostics.
        draws: how many bootstrap draws could be fitted.
    """

    fit: LawFit
    profile: dict[str, Interval]
    resampled: dict[str, Interval]
    residuals: Residuals
    draws: int

    @classmethod
    def of(cls, fit: LawFit) -> "Fitted":
        """Compute the uncertainty of a fit."""
        draws = bootstrap(fit)
        return cls(fit, profile_intervals(fit), bootstrap_intervals(draws), diagnose(fit), len(draws))


@dataclass(frozen=True)
class Tokens:
    """What the per-token tables say.

    Attributes:
        last: the last evaluation of each cell, token by token.
        history: `analysis.dynamics.evaluations` of all cells.
        transition: `analysis.transition.transition`.
        failures: `analysis.transition.first_failures`.
    """

    last: pd.DataFrame
    history: pd.DataFrame
    transition: pd.DataFrame
    failures: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """All of one condition. What could not be computed is None, and `missing` says why.

    Attributes:
        title: model, data, and what else sets the condition apart.
        label: `analysis.load.conditions`'s.
        cells: its rows.
        usable: which of them fits rest on, and which not.
        law: the paper's law on unsaturated cells, with the model's size where that varies.
        saturating: the saturating form on all cells.
        ways: `analysis.sensitivity.sensitivity`.
        rivals: `analysis.rivals.ranked`.
        collapse: the collapse.
        capacity: bits per parameter.
        tokens: of the cells' tables; None for published points and for W&B runs.
        missing: what is None → why.
    """

    title: str
    label: str
    cells: pd.DataFrame
    usable: Usable
    law: Fitted | None
    saturating: LawFit | None
    ways: pd.DataFrame | None
    rivals: pd.DataFrame | None
    collapse: Collapse | None
    capacity: Capacity | None
    tokens: Tokens | None
    missing: dict[str, str]


def find(cells: pd.DataFrame, title: str, label: str, tables: Iterator[pd.DataFrame] | None) -> Findings:
    """Compute everything about the cells of one condition.

    Args:
        cells: of one condition.
        title, label: see `Findings`.
        tables: `analysis.load.all_tokens` of the cells, or None where there are none. One that cannot be read costs
            what tokens say of this condition.
    """
    missing: dict[str, str] = {}
    sorted_out = usable(cells)
    fitted = sorted_out.cells

    def known(name: str, compute: Callable[[], T]) -> T | None:
        try:
            return compute()
        except (TooFewCells, NoTokens) as error:
            missing[name] = str(error)
            return None

    def fit(name: str, compute: Callable[[], T]) -> T | None:
        if sorted_out.nothing:
            missing[name] = sorted_out.nothing
            return None
        return known(name, compute)

    sized = FORMS["power_model"].can_describe(fitted)
    law = fit("law", lambda: Fitted.of(fit_law(fitted, FORMS["power_model"] if sized else POWER)))
    bent = FORMS["saturating_model" if sized else "saturating"]
    tokens = known("tokens", lambda: _tokens(tables))
    if tokens:
        shares = final(tokens.history)[["cell", "first_wrong_share", "exact_share"]].merge(learned(tokens.history))
        cells = cells.merge(shares, on="cell", how="left", validate="one_to_one")
    return Findings(
        title=title,
        label=label,
        cells=cells,
        usable=sorted_out,
        law=law,
        saturating=fit("saturating", lambda: fit_law(fitted, bent)),
        ways=sensitivity(fitted) if law else None,
        rivals=ranked(compare(fitted)) if law else None,
        collapse=fit("collapse", lambda: fit_collapse(fitted)),
        capacity=fit("capacity", lambda: capacity(fitted)),
        tokens=tokens,
        missing=missing,
    )


def _tokens(tables: Iterator[pd.DataFrame] | None) -> Tokens:
    if tables is None:
        raise NoTokens("the token tables of all cells are not at hand (`tokens.parquet` of a study on disk)")
    last, history = [], []
    for table in tables:
        last.append(last_tokens([table]))
        history.append(evaluations(table))
    latest = pd.concat(last, ignore_index=True)
    return Tokens(latest, pd.concat(history, ignore_index=True), transition(latest), first_failures(latest))
