"""`python -m analysis.advise runs/STUDY --tokens 500 --recall 0.99`: which rank does a text of this length need?

Built on a fit of the law and on what the study's own cells show: how mean loss and recalled share go together.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from scipy.optimize import brentq, isotonic_regression

from analysis.forms import FORMS
from analysis.law import LawFit, TooFewCells, fit_law
from analysis.load import NoCells, conditions, load_study
from analysis.uncertainty import resample

EXTRAPOLATION = 2.0
"""How far beyond the measured ranks and lengths an answer may lie, as a factor, unless it is asked for."""

DRAWS = 200
_LARGEST = 1e6


class NoAdvice(ValueError):
    """The study cannot answer; the message says why and which cells would help."""


@dataclass(frozen=True)
class Link:
    """The measured link from ΔL/L0 to the share of recalled tokens, monotone.

    Attributes:
        delta_loss_share: ΔL/L0 of the cells, ascending.
        recalled_share: share of tokens with p > 0.5, not descending.
    """

    delta_loss_share: np.ndarray
    recalled_share: np.ndarray

    @classmethod
    def of(cls, cells: pd.DataFrame) -> "Link":
        """Isotonic regression over the cells."""
        ordered = cells.assign(share=cells["delta_loss_nats"] / cells["base_loss_nats"]).sort_values("share")
        recalled = isotonic_regression(ordered["recalled_share"].to_numpy(float)).x
        return cls(ordered["share"].to_numpy(float), recalled)

    def recalled(self, delta_loss_share: float) -> float:
        """Share of recalled tokens at a ΔL/L0, between the measured cells in a straight line."""
        return float(np.interp(delta_loss_share, self.delta_loss_share, self.recalled_share))

    def needed(self, recalled_share: float) -> float:
        """The smallest measured ΔL/L0 at which that share is reached.

        Raises:
            NoAdvice: no cell reaches it.
        """
        reached = self.delta_loss_share[self.recalled_share >= recalled_share]
        if not len(reached):
            raise NoAdvice(
                f"no cell of the study recalls {recalled_share:.1%} of its tokens; the best recalls "
                f"{self.recalled_share.max():.1%}. Add larger ranks or shorter lengths."
            )
        return float(reached[0])


def solve(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Where a monotone function of a positive number crosses zero, searched on a log scale; NaN where it does not."""
    at_low, at_high = decreasing(low), decreasing(high)
    if np.sign(at_low) == np.sign(at_high):
        return float("nan")
    return float(np.exp(brentq(lambda x: decreasing(float(np.exp(x))), np.log(low), np.log(high))))


def rank_needed(fit: LawFit, tokens: float, delta_loss: float, base_loss: float) -> float:
    """Rank at which the fit predicts `delta_loss` nats for `tokens` tokens; NaN where it never does."""
    return solve(lambda r: float(fit.predict(r, tokens, base_loss)) - delta_loss, 1e-3, _LARGEST)


def longest(fit: LawFit, rank: float, delta_loss: float, base_loss: float) -> float:
    """Length in tokens at which the fit predicts `delta_loss` nats for `rank`; NaN where it never does."""
    return solve(lambda l: float(fit.predict(rank, l, base_loss)) - delta_loss, 1, 1e9)


@dataclass(frozen=True)
class Advice:
    """An answer: a value with its 95 % interval, and what it was asked for.

    Attributes:
        value, low, high: rank, or length in tokens.
        delta_loss: ΔL that it stands for, nats per token.
        recalled_share: share of tokens with p > 0.5 to expect there.
        extrapolation: how far beyond the measured range it lies, as a factor; 1 inside.
    """

    value: float
    low: float
    high: float
    delta_loss: float
    recalled_share: float
    extrapolation: float


def advise(
    cells: pd.DataFrame, delta_loss: float, tokens: float | None = None, rank: float | None = None, seed: int = 0
) -> Advice:
    """The rank that `tokens` tokens need, or the longest text that `rank` holds, at `delta_loss` nats per token.

    The saturating form is fitted, for the cells that matter lie near L0; the interval is a bootstrap over cells.

    Raises:
        NoAdvice: no fit, or the fit never reaches `delta_loss`.
    """
    base_loss = float(cells["base_loss_nats"].mean())

    def solved(fit: LawFit) -> float:
        if tokens is not None:
            return rank_needed(fit, tokens, delta_loss, base_loss)
        assert rank is not None
        return longest(fit, rank, delta_loss, base_loss)

    form = FORMS["saturating_no_offset"]
    try:
        fit = fit_law(cells, form)
    except TooFewCells as error:
        raise NoAdvice(str(error)) from error
    value = solved(fit)
    if np.isnan(value):
        raise NoAdvice(f"ΔL = {delta_loss:.3g} of L0 = {base_loss:.3g} nats is never reached by the fit")
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        try:
            drawn.append(solved(fit_law(resample(cells, rng), form, start=fit.result.best_values)))
        except TooFewCells:
            continue
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    ranks = value if rank is None else rank
    lengths = value if tokens is None else tokens
    beyond = max(_beyond(ranks, cells["lora.rank"]), _beyond(lengths, cells["target_tokens"]))
    recalled = Link.of(cells).recalled(delta_loss / base_loss) if "recalled_share" in cells else float("nan")
    return Advice(value, float(low), float(high), delta_loss, recalled, beyond)


def _beyond(value: float, measured: pd.Series) -> float:
    return max(1.0, value / float(measured.max()), float(measured.min()) / value)


def say(cells: pd.DataFrame, advice: Advice, tokens: float | None, rank: float | None, console: Console) -> None:
    """Print an answer, what it costs, and the cells that would sharpen it."""
    asked = f"{tokens:g} tokens need rank" if tokens is not None else f"Rank {rank:g} holds up to"
    unit = "" if tokens is not None else " tokens"
    console.print(
        f"{asked} {advice.value:.3g}{unit} (95 % interval {advice.low:.3g} to {advice.high:.3g}) "
        f"for ΔL = {advice.delta_loss:.3f} nats per token.",
        soft_wrap=True,
        highlight=False,
    )
    whole = int(np.ceil(advice.high if tokens is not None and np.isfinite(advice.high) else advice.value))
    if tokens is not None and "trainable_parameters" in cells:
        size = float((cells["trainable_parameters"] / cells["lora.rank"]).mean()) * whole
        console.print(
            f"  To be safe take rank {whole}: {size:,.0f} parameters, {4 * size / 1e6:.2f} MB in fp32.", highlight=False
        )
    if np.isfinite(advice.recalled_share):
        console.print(f"  Expect {advice.recalled_share:.1%} of the tokens at p > 0.5.", highlight=False)
    if advice.extrapolation > 1:
        console.print(f"  [yellow]This lies {advice.extrapolation:.2g} times beyond the measured cells.[/]")
    ranks = sorted({max(1, whole // 2), whole, 2 * whole}) if tokens is not None else [int(rank or 1)]
    lengths = [int(tokens)] if tokens is not None else sorted({int(advice.low), int(advice.value), int(advice.high)})
    console.print(
        f"  These cells would tell most: python -m memlaw.train -m lora.rank={','.join(map(str, ranks))} "
        f"seq_len={','.join(map(str, lengths))}",
        soft_wrap=True,
        highlight=False,
    )


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m analysis.advise", description=__doc__)
    parser.add_argument("study", type=Path, help="a study's directory, e.g. runs/default")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tokens", type=float, help="length of the text: which rank?")
    what.add_argument("--rank", type=float, help="rank: how long a text?")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--recall", type=float, default=0.99, help="share of tokens with p > 0.5 (default 0.99)")
    goal.add_argument("--delta-loss", type=float, help="ΔL in nats per token, instead")
    parser.add_argument(
        "--extrapolate", action="store_true", help=f"also beyond {EXTRAPOLATION:g} times the measured range"
    )
    given = parser.parse_args()
    console = Console()
    try:
        for label, cells in conditions(load_study(given.study)):
            if label:
                console.print(label, highlight=False)
            base_loss = float(cells["base_loss_nats"].mean())
            goal_nats = given.delta_loss
            if goal_nats is None:
                goal_nats = Link.of(cells).needed(given.recall) * base_loss
            advice = advise(cells, goal_nats, given.tokens, given.rank)
            if advice.extrapolation > EXTRAPOLATION and not given.extrapolate:
                raise NoAdvice(
                    f"the answer, {advice.value:.3g}, lies {advice.extrapolation:.2g} times beyond the measured cells; "
                    "add cells nearer to it, or ask with --extrapolate"
                )
            say(cells, advice, given.tokens, given.rank, console)
    except (NoCells, NoAdvice) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
