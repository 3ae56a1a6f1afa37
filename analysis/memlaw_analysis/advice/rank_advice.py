"""Answer which rank a text needs, or which text a rank holds, from a study's cells.

The answer comes from a fit of the law, and from the link between mean loss and recalled share in the study's own cells.
"""

import contextlib

import numpy as np
import pandas as pd

from memlaw_analysis.advice.advice import Advice, Question
from memlaw_analysis.advice.cautions import cautions
from memlaw_analysis.advice.link import Link, NoAdvice
from memlaw_analysis.advice.next_cells import most_informative
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fit import LawFit, fit_law
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, Predict
from memlaw_analysis.law.gradient import gradient
from memlaw_analysis.law.inverse import longest_length, rank_needed
from memlaw_analysis.law.uncertainty import DRAWS, ENOUGH, LEVEL, Interval, resamples

EXTRAPOLATION = 2.0
"""How far beyond the measured ranks and lengths an answer may lie, as a factor, unless more is allowed."""


def advise(fits: Fits, question: Question, extrapolate: bool = False) -> Advice:
    """Answer a question from the usable cells of one condition.

    The interval is a bootstrap over grid points and seeds, of the fit and of the link from loss to recall.

    Args:
        fits: fits of the condition.
        question: rank, length or bits, and the goal.
        extrapolate: whether the answer may lie more than `EXTRAPOLATION` times beyond the measured cells.

    Raises:
        NoAdvice: no usable cell, no identified fit, the goal is never reached, or the answer lies too far beyond the
            measured cells.
    """
    fit, cells = saturating_fit(fits), fits.cells
    base_loss, size = float(cells["base_loss_nats"].mean()), _parameters_per_rank(cells)
    asked, scale = question, _scale(question, size)
    question = asked.for_study(base_loss, scale)
    delta_loss = question.delta_loss_for(cells)
    value = _answer(fit.predict, question, delta_loss, base_loss)
    if np.isnan(value):
        raise NoAdvice(f"ΔL = {delta_loss:.3g} of L0 = {base_loss:.3g} nats is never reached by the fit")
    beyond = max(
        _beyond(value if question.rank is None else question.rank, cells["lora.rank"]),
        _beyond(value if question.tokens is None else question.tokens, cells["target_tokens"]),
    )
    if beyond > EXTRAPOLATION and not extrapolate:
        raise NoAdvice(
            f"the answer, {_for_asked(value, asked, scale):.3g}, lies {beyond:.2g} times beyond the measured cells, "
            f"more than {EXTRAPOLATION:g} times; add cells nearer to it, or allow it (--extrapolate, or "
            "extrapolate=True)"
        )
    low, high = _interval(fit, question, cells)
    value, low, high = (_for_asked(each, asked, scale) for each in (value, low, high))
    has_recall = "recalled_share" in cells and cells["recalled_share"].notna().any()
    return Advice(
        question=asked,
        value=value,
        low=low,
        high=high,
        base_loss=base_loss,
        delta_loss=delta_loss,
        recalled_share=Link.of(cells).recalled(delta_loss / base_loss) if has_recall else float("nan"),
        parameters_per_rank=asked.parameters_per_rank or size,
        extrapolation=beyond,
        formula=fit.form.formula,
        cells=len(cells),
        cautions=(*fits.usable.cautions(), *cautions(asked)),
        next_cells=_next_cells(fit, question, delta_loss, cells),
    )


def _parameters_per_rank(cells: pd.DataFrame) -> float:
    """Trainable parameters per rank of the study's adapters; NaN where unknown."""
    if "trainable_parameters" not in cells:
        return float("nan")
    return float((cells["trainable_parameters"] / cells["lora.rank"]).mean())


def _scale(question: Question, size: float) -> float:
    """How many ranks of the study's adapter have the parameters of one rank of the asked one."""
    if question.parameters_per_rank is None:
        return 1.0
    if np.isnan(size):
        raise NoAdvice("the cells do not say how many parameters their adapters have, so no other adapter compares")
    return question.parameters_per_rank / size


def _for_asked(answer: float, asked: Question, scale: float) -> float:
    """Put an answer in the study's terms into those of the question: ranks of its adapter; a length stays."""
    return answer if asked.rank is not None else float(np.maximum(answer / scale, 1))


def saturating_fit(fits: Fits) -> LawFit:
    """Fit the saturating form to all cells, with its offset where the cells identify it, else without.

    A saturating form is needed because the cells that matter to an answer lie near L0.

    Raises:
        NoAdvice: neither is identified; the message says why.
    """
    if fits.usable.nothing:
        raise NoAdvice(fits.usable.nothing)
    problems = []
    for name in ("saturating", "saturating_no_offset"):
        try:
            fit = fits.law(FORMS[name])
        except TooFewCells as error:
            problems.append(str(error))
            continue
        if not fit.not_identified:
            return fit
        problems.append(f"{name}: {'; '.join(fit.not_identified)}")
    raise NoAdvice(f"the cells do not identify the law: {problems[-1]}")


def _answer(predict: Predict, question: Question, delta_loss: float, base_loss: float) -> float:
    """Rank or length at which the law predicts ΔL; NaN where it never does."""
    if question.tokens is not None:
        return rank_needed(predict, question.tokens, delta_loss, base_loss)
    assert question.rank is not None
    return longest_length(predict, question.rank, delta_loss, base_loss)


def _interval(fit: LawFit, question: Question, cells: pd.DataFrame) -> Interval:
    """Bootstrap interval of the answer at L0 of the cells; NaN where too few draws have one."""
    base_loss = float(cells["base_loss_nats"].mean())
    answers = []
    for sample in resamples(cells):
        with contextlib.suppress(TooFewCells, NoAdvice):
            refit = fit_law(sample, fit.form, like=fit)
            answers.append(_answer(refit.predict, question, question.delta_loss_for(sample), base_loss))
    if np.isfinite(answers).sum() < ENOUGH * DRAWS:
        return float("nan"), float("nan")
    low, high = np.nanquantile(answers, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _next_cells(fit: LawFit, question: Question, delta_loss: float, cells: pd.DataFrame) -> tuple[tuple[int, int], ...]:
    """(rank, length) of the cells that narrow the logarithm of the answer most; none where no parameter moves it."""
    base_loss = float(cells["base_loss_nats"].mean())
    slope = gradient(fit, lambda predict: np.log(_answer(predict, question, delta_loss, base_loss)))
    if not (np.isfinite(slope).all() and slope.any()):
        return ()
    return tuple(most_informative(fit, cells, slope))


def _beyond(value: float, measured: pd.Series) -> float:
    """How far a value lies outside the measured range, as a factor; 1 inside."""
    return max(1.0, value / float(measured.max()), float(measured.min()) / value)
