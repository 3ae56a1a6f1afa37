"""The parts of a report: conditions, models together, methods side by side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from memlaw.study.conditions import PROTOCOL
from memlaw_analysis.findings import Findings, find
from memlaw_analysis.recall.methods import Comparison, compare_methods, variants
from memlaw_analysis.report.part import Kind, Part, findings_part, methods_part
from memlaw_analysis.tables.conditions import condition_title, conditions
from memlaw_analysis.tables.tokens import all_tokens, without_tokens


def study_parts(table: pd.DataFrame, study: Path | None, with_tokens: bool) -> Iterator[Part]:
    """Make all parts of a table: its conditions, models together, and methods side by side.

    Args:
        table: cells of studies or W&B runs.
        study: directory that commands add cells to; None for none.
        with_tokens: whether the cells' token tables are on disk.
    """
    single = list(condition_findings(table, with_tokens))
    yield from (findings_part(findings, study) for findings in single)
    yield from (findings_part(findings, study, Kind.TOGETHER) for findings in together_findings(table))
    yield from (methods_part(comparison) for comparison in comparisons(table, single))


def condition_findings(table: pd.DataFrame, with_tokens: bool) -> Iterator[Findings]:
    """Compute the findings of each condition of a table."""
    for label, cells in conditions(table):
        complete = with_tokens and not without_tokens(cells)
        yield find(cells, condition_title(cells, label), label, all_tokens(cells) if complete else None)


def together_findings(table: pd.DataFrame) -> Iterator[Findings]:
    """Compute the findings of several models together, where conditions differ in the model alone."""
    for label, cells in conditions(table, ignoring=("model.",)):
        if cells["model.name"].nunique() > 1:
            together = f"{Kind.TOGETHER.value} {label}".strip()
            yield find(cells, f"{cells['data.name'].iloc[0]} {together}", together, None)


def comparisons(table: pd.DataFrame, single: Sequence[Findings]) -> Iterator[Comparison]:
    """Compare methods, where conditions differ in the method and its protocol alone.

    Args:
        table: the cells of `single`.
        single: `condition_findings` of the table. Their cells have columns made from the tokens.
    """
    cells = pd.concat([findings.cells for findings in single], ignore_index=True)
    histories = [findings.tokens.history for findings in single if findings.tokens]
    history = pd.concat(histories or [pd.DataFrame({"cell": []})], ignore_index=True)
    for label, rows in conditions(table, ignoring=("method.",), following=PROTOCOL):
        if variants(rows).nunique() > 1:
            compared = cells[cells["cell"].isin(rows["cell"])].reset_index(drop=True)
            models = ", ".join(map(str, compared["model.name"].unique()))
            methods = f"{Kind.METHODS.value} {label}".strip()
            title = " ".join([models, str(compared["data.name"].iloc[0]), methods])
            evaluated = history[history["cell"].isin(compared["cell"])]
            yield compare_methods(compared, evaluated, methods, title)
