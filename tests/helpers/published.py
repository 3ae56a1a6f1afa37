"""The paper's digitised points, and the page that tells what others have published."""

import re
from pathlib import Path

import memlaw_analysis
import pandas as pd
import pytest
from memlaw_analysis.tables.points import load_points

from helpers.checkout import ROOT

BASE_LOSS = 12.33
POINTS = load_points(Path(memlaw_analysis.__file__).parent / "data/paper_points.csv", BASE_LOSS)
WITHOUT_FIRST = POINTS[(POINTS["lora.rank"] > 1) | (POINTS["seq_len"] > 200)]
UNSATURATED = POINTS[POINTS["delta_loss_nats"] < 0.8 * BASE_LOSS]

PAGE = (ROOT / "docs/published-points.md").read_text(encoding="utf-8")
PROSE = " ".join(PAGE.split())


def table(head: str) -> list[list[str]]:
    """The rows of the page's table whose first head this is: a list of cells each."""
    lines = PAGE.split(f"\n| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def numbers(text: str) -> list[str]:
    """The numbers that a text prints, without separators of thousands."""
    return re.findall(r"[−-]?\d+(?:\.\d+)?", text.replace(",", ""))


def prints(text: str, *values: float) -> bool:
    """Whether a text prints these values and no others, each rounded to the digits that it prints."""
    printed = numbers(text)
    return len(printed) == len(values) and all(
        value == pytest.approx(float(number.replace("−", "-")), abs=0.6 * 10 ** -len(number.partition(".")[2]))
        for number, value in zip(printed, values, strict=True)
    )


def delta_loss(cells: pd.DataFrame) -> pd.Series:
    """ΔL of cells, nats per token."""
    return cells["delta_loss_nats"]
