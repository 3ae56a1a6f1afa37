"""`python -m analysis.report runs/STUDY`: cells, law and figures of a study."""

import argparse
import re
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.law import SATURATION, LawFit, TooFewCells, fit_law
from analysis.load import NoCells, conditions, load_study
from analysis.plots import law_figure, loss_heat_map
from memlaw.files import atomic_path, write_json

_SHOWN = {
    "seq_len": "ℓ",
    "lora.rank": "rank",
    "seed": "seed",
    "base_loss_nats": "L0",
    "loss_nats": "L",
    "delta_loss_nats": "ΔL",
    "recalled_share": "p > 0.5",
    "first_stubborn": "stubborn",
    "bits_per_parameter": "bits/par",
}


def report(study: Path, console: Console) -> Path:
    """Write `report/` in the study and print a summary.

    Returns:
        The report's directory: `cells.csv`, and per condition `law.json`, `law.png` and `loss.png`.

    Raises:
        NoCells: the study holds no finished cell.
    """
    table = load_study(study)
    target = study / "report"
    with atomic_path(target / "cells.csv") as temporary:
        table.to_csv(temporary, index=False)
    for label, cells in conditions(table):
        title = " ".join([str(cells["model.name"].iloc[0]), str(cells["data.name"].iloc[0]), label])
        directory = target / re.sub(r"[^\w.=]+", "_", label) if label else target
        _report_condition(cells, title.strip(), directory, console)
    console.print(f"Report: {target}", soft_wrap=True, highlight=False)
    return target


def _report_condition(cells: pd.DataFrame, title: str, directory: Path, console: Console) -> None:
    console.print(_cells_table(cells, title))
    fit: LawFit | None = None
    try:
        fit = fit_law(cells)
    except TooFewCells as error:
        console.print(f"No law fitted: {error}", soft_wrap=True)
        record: dict[str, object] = {"fitted": False, "reason": str(error)}
    else:
        _print_fit(fit, console)
        record = law_record(fit)
    write_json(directory / "law.json", record)
    for name, figure in (("law", law_figure(cells, fit, title)), ("loss", loss_heat_map(cells, title))):
        with atomic_path(directory / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=150)
        console.print(f"Figure: {directory / name}.png", soft_wrap=True, highlight=False)


def _cells_table(cells: pd.DataFrame, title: str) -> Table:
    table = Table(*_SHOWN.values(), title=title, title_justify="left", box=None)
    for column in table.columns:
        column.justify = "right"
    for row in cells[list(_SHOWN)].to_dict("records"):
        table.add_row(*(_format(name, value) for name, value in row.items()))
    return table


def _format(name: str, value: object) -> str:
    if pd.isna(value):
        return "–"
    if name == "recalled_share":
        return f"{value:.1%}"
    if name == "first_stubborn":
        return f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _print_fit(fit: LawFit, console: Console) -> None:
    console.print(
        f"Law ΔL = C·r^α·ℓ^(−β) + b, least squares on {fit.cells} unsaturated cells; {fit.excluded} saturated "
        f"ones (ΔL ≥ {SATURATION:g}·L0) left out:",
        soft_wrap=True,
        highlight=False,
    )
    for name, (value, stderr) in fit.parameters().items():
        error = "" if stderr is None else f" ± {stderr:.2g} (standard error)"
        console.print(f"  {name:<6}{value:>10.4g}{error}", highlight=False)
    console.print(f"  R²    {fit.r_squared:>10.4f} (on ΔL)", highlight=False)
    for warning in fit.warnings:
        console.print(f"  [yellow]caution:[/] {warning}", soft_wrap=True, highlight=False)


def law_record(fit: LawFit) -> dict[str, object]:
    """The fit in full precision, for `law.json`."""
    return {
        "fitted": True,
        "form": "delta_loss_nats = C * rank**alpha * seq_len**-beta + b",
        "parameters": {name: {"value": v, "stderr": e} for name, (v, e) in fit.parameters().items()},
        "r_squared": fit.r_squared,
        "cells": fit.cells,
        "excluded_saturated_cells": fit.excluded,
        "saturation_rule": f"delta_loss_nats >= {SATURATION:g} * base_loss_nats",
        "warnings": list(fit.warnings),
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description=__doc__)
    parser.add_argument("study", type=Path, help="a study's directory, e.g. runs/default")
    arguments = parser.parse_args()
    try:
        report(arguments.study, Console())
    except NoCells as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
