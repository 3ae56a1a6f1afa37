"""Everything that a report shows of a condition, computed once. No I/O, no formatting."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from memlaw_analysis.law.capacity import Capacity
from memlaw_analysis.law.collapse import Collapse
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, POWER
from memlaw_analysis.law.residuals import Residuals, diagnose
from memlaw_analysis.law.rivals import compare_forms, ranked
from memlaw_analysis.law.sensitivity import sensitivity
from memlaw_analysis.law.uncertainty import Interval, bootstrap, bootstrap_intervals, profile_intervals
from memlaw_analysis.law.unintended import Unintended
from memlaw_analysis.law.usable import Usable
from memlaw_analysis.recall.dynamics import evaluations, final, learned
from memlaw_analysis.recall.transition import first_failures, transition
from memlaw_analysis.tables.tokens import NoTokens, last_tokens

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
    """The token tables of a condition, and what follows from them.

    Attributes:
        last: the last evaluation of each cell, token by token.
        history: `memlaw_analysis.recall.dynamics.evaluations` of all cells.
        transition: `memlaw_analysis.recall.transition.transition`.
        failures: `memlaw_analysis.recall.transition.first_failures`.
    """

    last: pd.DataFrame
    history: pd.DataFrame
    transition: pd.DataFrame
    failures: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """Everything about one condition. What could not be computed is None, and `missing` says why.

    Attributes:
        title: model, data, and what else sets the condition apart.
        label: as `memlaw_analysis.tables.conditions.conditions` yields it.
        cells: its rows.
        usable: those cells, sorted by whether fits may use them.
        law: the paper's law on unsaturated cells, with the model's size where that varies.
        saturating: the saturating form on all cells.
        sensitivity: `memlaw_analysis.law.sensitivity.sensitivity`.
        rivals: `memlaw_analysis.law.rivals.ranked`, of `compare_forms`.
        collapse: the collapse.
        capacity: bits per trainable parameter.
        effective_capacity: bits per effective parameter; None for cells of a memlaw that did not count them.
        unintended: what is stored beyond the source; None where its entropy is not known, and for several models.
        tokens: None for published points and for W&B runs.
        missing: name of a field that is None → why.
    """

    title: str
    label: str
    cells: pd.DataFrame
    usable: Usable
    law: Fitted | None
    saturating: LawFit | None
    sensitivity: pd.DataFrame | None
    rivals: pd.DataFrame | None
    collapse: Collapse | None
    capacity: Capacity | None
    effective_capacity: Capacity | None
    unintended: Unintended | None
    tokens: Tokens | None
    missing: dict[str, str]


def find(cells: pd.DataFrame, title: str, label: str, tables: Iterator[pd.DataFrame] | None) -> Findings:
    """Compute everything about the cells of one condition.

    Args:
        cells: of one condition.
        title, label: see `Findings`.
        tables: `memlaw_analysis.tables.tokens.all_tokens` of the cells, or None where there are none. Where a table
            cannot be read, `tokens` is None.
    """
    missing: dict[str, str] = {}
    fits = Fits(cells)

    def attempt(name: str, compute: Callable[[], T]) -> T | None:
        try:
            return compute()
        except (TooFewCells, NoTokens) as error:
            missing[name] = str(error)
            return None

    sized = FORMS["power_model"].can_describe(fits.cells)
    law_form, saturating_form = (
        (FORMS["power_model"], FORMS["saturating_model"]) if sized else (POWER, FORMS["saturating"])
    )
    law = attempt("law", lambda: Fitted.of(fits.law(law_form)))
    tokens = attempt("tokens", lambda: _tokens(tables))
    if tokens:
        shares = final(tokens.history)[["cell", "first_wrong_share", "exact_share"]].merge(learned(tokens.history))
        cells = cells.merge(shares, on="cell", how="left", validate="one_to_one")
    return Findings(
        title=title,
        label=label,
        cells=cells,
        usable=fits.usable,
        law=law,
        saturating=attempt("saturating", lambda: fits.law(saturating_form)),
        sensitivity=sensitivity(fits) if law else None,
        rivals=ranked(compare_forms(fits)) if law else None,
        collapse=attempt("collapse", lambda: fits.collapse),
        capacity=attempt("capacity", lambda: fits.capacity),
        effective_capacity=attempt("effective_capacity", lambda: fits.effective_capacity),
        unintended=None if sized else attempt("unintended", lambda: fits.unintended),
        tokens=tokens,
        missing=missing,
    )


def _tokens(tables: Iterator[pd.DataFrame] | None) -> Tokens:
    if tables is None:
        raise NoTokens("the token tables are missing (`tokens.parquet` of every cell of a study on disk)")
    last, history = [], []
    for table in tables:
        last.append(last_tokens([table]))
        history.append(evaluations(table))
    latest = pd.concat(last, ignore_index=True)
    return Tokens(latest, pd.concat(history, ignore_index=True), transition(latest), first_failures(latest))
