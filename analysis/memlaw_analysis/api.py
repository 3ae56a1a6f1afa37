"""The Python interface: load a study, fit a form, ask for advice. `memlaw` exports these functions.

study = memlaw.load_study("runs/default")
print(memlaw.fit(study).summary)
print(memlaw.advise(study, data="facts.jsonl", recall=0.99))
"""

from pathlib import Path
from typing import Any

import pandas as pd

from memlaw_analysis.advice import rank_advice
from memlaw_analysis.advice.advice import Advice, Question
from memlaw_analysis.advice.data_bits import score_data
from memlaw_analysis.advice.train_command import base_model
from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.forms import FORMS
from memlaw_analysis.law.saturation import Rule
from memlaw_analysis.study import Study
from memlaw_analysis.tables.studies import load_studies


def load_study(directory: str | Path) -> Study:
    """Read the finished cells of a study.

    Args:
        directory: the study's directory, such as `runs/default`.

    Raises:
        NoCells: it holds no finished cell.
    """
    return Study(load_studies([Path(directory)]), str(directory))


def fit(
    study: Study | pd.DataFrame, form: str = "power", rule: Rule | None = None, condition: str | None = None
) -> LawFit:
    """Fit a form of the law to the usable cells of one condition.

    Args:
        study: a study, or a table with the columns `lora.rank`, `target_tokens`, `base_loss_nats`, `delta_loss_nats`.
        form: a key of `memlaw_analysis.law.forms.FORMS`, such as `power` or `saturating`.
        rule: which cells count as saturated and are left out. None leaves out ΔL ≥ 0.85·L0, or no cell for a
            saturating form.
        condition: a key of `study.conditions`; None where there is only one.

    Raises:
        ValueError: no such form. Of its subclasses:
        NoCells: the table has no row, or lacks a column.
        NoCondition: no such condition, or several and none named.
        TooFewCells: the cells cannot determine the form.
    """
    if form not in FORMS:
        raise ValueError(f"no form {form!r}; there are {', '.join(FORMS)}")
    return _as_study(study).fits(condition).law(FORMS[form], rule)


def advise(
    study: Study | pd.DataFrame,
    *,
    data: str | Path | None = None,
    bits: float | None = None,
    tokens: float | None = None,
    rank: float | None = None,
    recall: float | None = None,
    delta_loss: float | None = None,
    parameters_per_rank: float | None = None,
    condition: str | None = None,
    extrapolate: bool = False,
) -> Advice:
    """Answer which rank a memory needs, or how long a memory a rank holds. `print` shows the answer in words.

    Args:
        study: a study, or a table as for `fit`, with `recalled_share` where a recall is asked for.
        data: a file that `memlaw verify` reads, to ask for the rank; the study's base model scores it.
        bits: bits of a memory that the base model does not know, to ask for the rank.
        tokens: length of a text like the study's in tokens, to ask for the rank.
        rank: LoRA rank, to ask for the length.
        recall: share of tokens with p > 0.5 to reach; 0.99 where `delta_loss` is None too.
        delta_loss: ΔL to reach, nats per token of the study's text, in place of `recall`.
        parameters_per_rank: trainable parameters per rank of the adapter that is asked about; None: the study's.
        condition: a key of `study.conditions`; None where there is only one.
        extrapolate: allow an answer far beyond the measured cells.

    Raises:
        ValueError: not exactly one of data, bits, tokens and rank, or a value outside its range. Of its subclasses:
        NoCells, NoCondition: as for `fit`.
        NoAdvice: the cells do not answer; the message says why.
        ConfigError: the data cannot be scored.
    """
    goal: dict[str, Any] = {"recall": recall, "delta_loss": delta_loss, "parameters_per_rank": parameters_per_rank}
    if data is None:
        question = Question(tokens=tokens, bits=bits, rank=rank, **goal)
        return rank_advice.advise(_as_study(study).fits(condition), question, extrapolate)
    if any(value is not None for value in (bits, tokens, rank)):
        raise ValueError("give data alone, without bits, tokens or rank")
    fits = _as_study(study).fits(condition)
    scored = score_data(Path(data), base_model(fits.cells))
    return rank_advice.advise(fits, Question(bits=scored.bits, pairs=scored.pairs, **goal), extrapolate)


def _as_study(study: Study | pd.DataFrame) -> Study:
    return study if isinstance(study, Study) else Study(study, "the table")
