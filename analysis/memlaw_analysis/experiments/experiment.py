"""An experiment, and what its rows show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import pandas as pd
from matplotlib.figure import Figure


class Stance(IntEnum):
    """How a claim stands to the law and to published numbers. Pages show claims in this order."""

    AGAINST = 0
    OPEN = 1
    FOR = 2


@dataclass(frozen=True)
class Claim:
    """A conclusion that a rule drew from the rows.

    Attributes:
        stance: whether it contradicts the law or a published number, leaves the question open, or agrees.
        text: one or more sentences in Markdown; their numbers are computed.
    """

    stance: Stance
    text: str


@dataclass(frozen=True)
class Outcome:
    """What the rows of an experiment show.

    Attributes:
        claims: the conclusions, those against first.
        numbers: named results in full precision: numbers, estimates (value, low, high), texts, and mappings of these.
            The page's template takes them by name.
        tables: name → table of the page, in full precision. Column names are the page's.
        figure: the figure; None where the rows have nothing to draw.
    """

    claims: tuple[Claim, ...]
    numbers: Mapping[str, object]
    tables: Mapping[str, pd.DataFrame]
    figure: Figure | None


@dataclass(frozen=True)
class Experiment:
    """A question to the law, and the cells that answer it.

    Attributes:
        name: name of its page, record and figure, and of the page's template.
        question: the page's title.
        study: the study that holds its cells, and the name of its file of rows. Experiments may share one.
        parts: experiments of `conf/experiment/` that train its cells.
        analyze: rows of its cells → outcome. Raises nothing for rows that are too few; its claims say what is missing.
    """

    name: str
    question: str
    study: str
    parts: tuple[str, ...]
    analyze: Callable[[pd.DataFrame], Outcome]


def ordered(claims: list[Claim]) -> tuple[Claim, ...]:
    """Sort claims: those against first, then open ones; otherwise in the order given."""
    return tuple(sorted(claims, key=lambda claim: claim.stance))
