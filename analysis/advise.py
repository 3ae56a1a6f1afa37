"""`python -m analysis.advise runs/STUDY --tokens 500 --recall 0.99`: which rank does a text of this length need?

Built on a fit of the law and on what the study's own cells show: how mean loss and recalled share go together.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from analysis.command import command
from analysis.forms import FORMS, Inputs
from analysis.law import LawFit, TooFewCells, fit_law, gradient
from analysis.link import Link, NoAdvice
from analysis.load import NoCells, conditions, load_studies
from analysis.next_cells import most_informative
from analysis.uncertainty import DRAWS, ENOUGH, resamples
from analysis.usable import usable
from memlaw.errors import refuse

EXTRAPOLATION = 2.0
"""How far beyond the measured ranks and lengths an answer may lie, as a factor, unless it is asked for."""

_LARGEST = 1e6

Predict = Callable[[Inputs], np.ndarray]
"""A law with its parameters: inputs → ΔL in nats per token."""

Goal = Callable[[pd.DataFrame], float]
"""The ΔL asked for, nats per token, given the cells."""


def solve(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Where a monotone function of a positive number crosses zero, searched on a log scale; NaN where it does not."""
    at_low, at_high = decreasing(low), decreasing(high)
    if np.sign(at_low) == np.sign(at_high):
        return float("nan")
    return float(np.exp(brentq(lambda x: decreasing(float(np.exp(x))), np.log(low), np.log(high))))


def rank_needed(predict: Predict, tokens: float, delta_loss: float, base_loss: float) -> float:
    """Rank at which a law predicts `delta_loss` nats for `tokens` tokens; 1 if that suffices, NaN if none does."""

    def short(r: float) -> float:
        return float(predict(Inputs.grid(r, tokens, base_loss))) - delta_loss

    return 1.0 if short(1.0) >= 0 else solve(short, 1.0, _LARGEST)


def longest(predict: Predict, rank: float, delta_loss: float, base_loss: float) -> float:
    """Length in tokens at which a law predicts `delta_loss` nats for `rank`; NaN where it never does."""
    return solve(lambda l: float(predict(Inputs.grid(rank, l, base_loss))) - delta_loss, 1, 1e9)


@dataclass(frozen=True)
class Advice:
    """An answer: a value with its 95 % interval, and what it was asked for.

    Attributes:
        value, low, high: rank, or length in tokens.
        delta_loss: ΔL that it stands for, nats per token.
        recalled_share: share of tokens with p > 0.5 to expect there.
        extrapolation: how far beyond the measured range it lies, as a factor; 1 inside.
        formula: of the form that it rests on.
        next_cells: (rank, length) of the cells that would narrow it most.
        cells: how many it rests on.
        cautions: which others were left out, and why.
    """

    value: float
    low: float
    high: float
    delta_loss: float
    recalled_share: float
    extrapolation: float
    formula: str
    next_cells: list[tuple[int, int]]
    cells: int
    cautions: tuple[str, ...]


def best_fit(cells: pd.DataFrame) -> LawFit:
    """The saturating form on all cells, with its offset where the cells identify it, else without.

    It saturates because the cells that matter to an answer lie near L0.

    Raises:
        NoAdvice: neither is identified; the message says why.
    """
    problems = []
    for name in ("saturating", "saturating_no_offset"):
        try:
            fit = fit_law(cells, FORMS[name])
        except TooFewCells as error:
            problems.append(str(error))
            continue
        if not fit.not_identified:
            return fit
        problems.append(f"{name}: {'; '.join(fit.not_identified)}")
    raise NoAdvice(f"the cells do not identify the law: {problems[-1]}")


def advise(cells: pd.DataFrame, goal: Goal, tokens: float | None = None, rank: float | None = None) -> Advice:
    """The rank that `tokens` tokens need, or the longest text that `rank` holds, at the ΔL that `goal` asks for.

    It rests on the usable cells. The interval is a bootstrap over cells and seeds, of the law and of the goal.

    Raises:
        NoAdvice: no usable cell, no identified fit, or the fit never reaches the goal.
    """
    sorted_out = usable(cells)
    if sorted_out.nothing:
        raise NoAdvice(sorted_out.nothing)
    cells = sorted_out.cells
    fit = best_fit(cells)

    def solved(predict: Predict, delta_loss: float) -> float:
        base_loss = float(cells["base_loss_nats"].mean())
        if tokens is not None:
            return rank_needed(predict, tokens, delta_loss, base_loss)
        assert rank is not None
        return longest(predict, rank, delta_loss, base_loss)

    wanted = goal(cells)
    value = solved(fit.predict, wanted)
    if np.isnan(value):
        of = float(cells["base_loss_nats"].mean())
        raise NoAdvice(f"ΔL = {wanted:.3g} of L0 = {of:.3g} nats is never reached by the fit")
    drawn = []
    for again in resamples(cells):
        with contextlib.suppress(TooFewCells, NoAdvice):
            drawn.append(solved(fit_law(again, fit.form, like=fit).predict, goal(again)))
    enough = np.isfinite(drawn).sum() >= ENOUGH * DRAWS
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if enough else (np.nan, np.nan)
    beyond = max(
        _beyond(value if rank is None else rank, cells["lora.rank"]),
        _beyond(value if tokens is None else tokens, cells["target_tokens"]),
    )
    share = wanted / float(cells["base_loss_nats"].mean())
    recalled = Link.of(cells).recalled(share) if "recalled_share" in cells else float("nan")
    slope = gradient(fit, lambda predict: np.log(solved(predict, wanted)))
    next_cells = most_informative(fit, cells, slope) if np.isfinite(slope).all() and slope.any() else []
    return Advice(
        value, float(low), float(high), wanted, recalled, beyond, fit.form.formula, next_cells,
        len(cells), tuple(sorted_out.cautions()),
    )  # fmt: skip


def _beyond(value: float, measured: pd.Series) -> float:
    return max(1.0, value / float(measured.max()), float(measured.min()) / value)


def say(cells: pd.DataFrame, study: Path, advice: Advice, tokens: float | None, rank: float | None) -> Iterator[str]:
    """An answer, what it costs, and the cells that would sharpen it, a sentence a line."""
    asked = f"{tokens:g} tokens need rank" if tokens is not None else f"Rank {rank:g} holds up to"
    unit = "" if tokens is not None else " tokens"
    sure = f"95 % interval {advice.low:.3g} to {advice.high:.3g}" if np.isfinite(advice.low) else "interval not known"
    yield f"{asked} {advice.value:.3g}{unit} ({sure}) for ΔL = {advice.delta_loss:.3f} nats per token."
    whole = int(np.ceil(advice.high if np.isfinite(advice.high) else advice.value)) if rank is None else int(rank)
    if "trainable_parameters" in cells:
        size = float((cells["trainable_parameters"] / cells["lora.rank"]).mean()) * whole
        safe = f"To be safe take rank {whole}" if rank is None else f"Rank {whole}"
        yield f"  {safe}: {size:,.0f} parameters, {4 * size / 1e6:.2f} MB in fp32."
    if np.isfinite(advice.recalled_share):
        yield f"  Expect {advice.recalled_share:.1%} of the tokens at p > 0.5, as in cells with that ΔL/L0."
    if advice.extrapolation > 1:
        yield f"  This lies {advice.extrapolation:.2g} times beyond the measured cells: an extrapolation."
    yield f"  By ΔL = {advice.formula} on {advice.cells} cells."
    yield from (f"  Caution: {caution}" for caution in advice.cautions)
    if advice.next_cells:
        yield "  These cells would narrow it most, per token trained:"
        for r, l in advice.next_cells:
            yield f"    {command(cells, study, [r], [l])}"


def answer(cells: pd.DataFrame, study: Path, given: argparse.Namespace) -> Iterator[str]:
    """The lines for one condition.

    Raises:
        NoAdvice: no answer, or one beyond what was measured that was not asked for.
    """

    def goal(table: pd.DataFrame) -> float:
        if given.delta_loss is not None:
            return float(given.delta_loss)
        return Link.of(table).needed(given.recall) * float(table["base_loss_nats"].mean())

    advice = advise(cells, goal, given.tokens, given.rank)
    if advice.extrapolation > EXTRAPOLATION and not given.extrapolate:
        raise NoAdvice(
            f"the answer, {advice.value:.3g}, lies {advice.extrapolation:.2g} times beyond the measured cells, more "
            f"than {EXTRAPOLATION:g} times; add cells nearer to it, or ask with --extrapolate"
        )
    yield from say(cells, study, advice, given.tokens, given.rank)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.advise", description=__doc__)
    parser.add_argument("study", type=Path, help="a study's directory, e.g. runs/default")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tokens", type=_positive, help="length of the text: which rank?")
    what.add_argument("--rank", type=_positive, help="rank: how long a text?")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--recall", type=_share, default=0.99, help="share of tokens with p > 0.5 (default 0.99)")
    goal.add_argument("--delta-loss", type=_positive, help="ΔL in nats per token, instead")
    parser.add_argument(
        "--extrapolate", action="store_true", help=f"also beyond {EXTRAPOLATION:g} times the measured range"
    )
    return parser


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _share(text: str) -> float:
    share = _positive(text)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share of tokens: above 0 and at most 1")
    return share


def main() -> None:
    """Command line entry; exit code 2 for what the user can mend, 1 when no condition has an answer."""
    given = _parser().parse_args()
    try:
        table = load_studies([given.study])
    except (NoCells, OSError) as error:
        refuse(error)
    answered = False
    for label, cells in conditions(table):
        if label:
            print(f"{label}:")
        try:
            print("\n".join(answer(cells, given.study, given)))
            answered = True
        except NoAdvice as error:
            print(f"No answer: {error}", file=sys.stderr)
    sys.exit(0 if answered else 1)


if __name__ == "__main__":
    main()
