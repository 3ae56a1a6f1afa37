"""Write the pages of the experiments into a directory, or compare them with what is written there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from memlaw.core.files import atomic_path, write_json, write_text
from memlaw.core.json_file import read_object
from memlaw_analysis.experiments.catalogue import EXPERIMENTS
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance
from memlaw_analysis.experiments.grid import Coverage, cover, declared_points
from memlaw_analysis.experiments.page import INDEX, index, page
from memlaw_analysis.experiments.record import record
from memlaw_analysis.experiments.rows import load_rows
from memlaw_analysis.figures.drawing import draw
from memlaw_analysis.report.check import differences

NOTHING = Outcome((Claim(Stance.OPEN, "No declared cell has been run yet."),), {}, {}, None)
"""Outcome of an experiment without rows."""


class Analyzed(NamedTuple):
    """An experiment with its outcome, and what of its grid was run."""

    experiment: Experiment
    outcome: Outcome
    coverage: Coverage


def analyze(experiment: Experiment, directory: Path) -> Analyzed:
    """Analyze an experiment from the rows of its study in a directory, `STUDY.parquet`.

    Raises:
        NoCells: the file cannot be read as rows.
    """
    file = directory / f"{experiment.study}.parquet"
    rows = load_rows(file) if file.is_file() else pd.DataFrame()
    coverage = cover(rows, declared_points(experiment.parts))
    return Analyzed(experiment, experiment.analyze(coverage.rows) if len(coverage.rows) else NOTHING, coverage)


def write_pages(directory: Path) -> list[Analyzed]:
    """Write the index and, per experiment, its page, record and figure. Returns what they show."""
    analyzed = [analyze(experiment, directory) for experiment in EXPERIMENTS]
    figures = {each.experiment.name: each.outcome.figure for each in analyzed if each.outcome.figure}
    for name, drawing in draw(figures, "experiment").items():
        with atomic_path(directory / f"{name}.png") as temporary:
            temporary.write_bytes(drawing.png)
    for each in analyzed:
        write_json(directory / f"{each.experiment.name}.json", record(each.outcome, each.coverage))
        write_text(directory / f"{each.experiment.name}.md", page(*each))
    write_text(directory / INDEX, index(analyzed))
    return analyzed


def check_pages(directory: Path) -> tuple[list[str], list[str]]:
    """Compute every number and page again, and write nothing.

    Returns:
        A line for each number, page or figure that differs from what is written, and a line for each package whose
        version differs.
    """
    analyzed = [analyze(experiment, directory) for experiment in EXPERIMENTS]
    moved: list[str] = []
    versions: set[str] = set()
    for each in analyzed:
        file = directory / f"{each.experiment.name}.json"
        try:
            before = read_object(file)
        except (OSError, ValueError) as error:
            moved.append(f"{file.name} cannot be read: {error}")
            continue
        now: dict[str, Any] = json.loads(json.dumps(record(each.outcome, each.coverage)))
        versions |= set(differences(before.pop("versions", {}), now.pop("versions"), "versions"))
        moved += [f"{file.name}: {line}" for line in differences(before, now)]
        moved += _text_moved(directory / f"{each.experiment.name}.md", page(*each))
        if each.outcome.figure and not (directory / f"{each.experiment.name}.png").is_file():
            moved.append(f"{each.experiment.name}.png is missing")
    return moved + list(_text_moved(directory / INDEX, index(analyzed))), sorted(versions)


def _text_moved(file: Path, now: str) -> Iterator[str]:
    """A line that names the first line of a page that differs."""
    if not file.is_file():
        yield f"{file.name} is missing"
        return
    before = file.read_text(encoding="utf-8")
    if before != now:
        pairs = zip([*before.splitlines(), ""], [*now.splitlines(), ""], strict=False)
        line = next((index for index, (old, new) in enumerate(pairs, start=1) if old != new), 1)
        yield f"{file.name}: line {line} would be written otherwise now"
