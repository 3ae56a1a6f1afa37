"""The Python interface: load a study, fit a form, ask for advice. `memlaw` exports these functions.

study = memlaw.load_study("runs/default")
print(memlaw.fit(study).summary)
print(memlaw.advise(study, tokens=500, recall=0.99))
"""

from pathlib import Path

import pandas as pd

from memlaw_analysis.advice import rank_advice
from memlaw_analysis.advice.advice import Advice, Question
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
    tokens: float | None = None,
    rank: float | None = None,
    recall: float | None = None,
    delta_loss: float | None = None,
    condition: str | None = None,
    extrapolate: bool = False,
) -> Advice:
    """Answer which rank a text needs, or how long a text a rank holds. `print` shows the answer in words.

    Args:
        study: a study, or a table as for `fit`, with `recalled_share` where a recall is asked for.
        tokens: length of the text in tokens, to ask for the rank.
        rank: LoRA rank, to ask for the length.
        recall: share of tokens with p > 0.5 to reach; 0.99 where `delta_loss` is None too.
        delta_loss: ΔL to reach, nats per token, in place of `recall`.
        condition: a key of `study.conditions`; None where there is only one.
        extrapolate: allow an answer far beyond the measured cells.

    Raises:
        ValueError: not exactly one of tokens and rank, or a value outside its range. Of its subclasses:
        NoCells, NoCondition: as for `fit`.
        NoAdvice: the cells do not answer; the message says why.
    """
    question = Question(tokens=tokens, rank=rank, recall=recall, delta_loss=delta_loss)
    return rank_advice.advise(_as_study(study).fits(condition), question, extrapolate)


def _as_study(study: Study | pd.DataFrame) -> Study:
    return study if isinstance(study, Study) else Study(study, "the table")
