"""`python -m analysis.report runs/STUDY`: cells, law, rivals and figures of a study, or of published points."""

import argparse
import contextlib
import re
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from analysis.collapse import fit_collapse
from analysis.compare import compare
from analysis.forms import FORMS
from analysis.law import LawFit, TooFewCells, fit_law
from analysis.load import NoCells, conditions, last_tokens, load_points, load_study
from analysis.phase import first_failures, transition
from analysis.plots import (
    collapse_figure,
    law_figure,
    loss_heat_map,
    prediction_figure,
    residual_figure,
    transition_figure,
)
from analysis.sensitivity import sensitivity
from analysis.terminal import print_cells, print_fit, print_rivals, print_sensitivity, print_transition
from analysis.uncertainty import bootstrap, bootstrap_intervals, profile_intervals
from memlaw.files import atomic_path, write_json


def report(study: Path, console: Console) -> Path:
    """Write `report/` in the study and print a summary.

    Returns:
        The report's directory: `cells.csv`, and per condition what `report_condition` writes.

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
        report_condition(cells, title.strip(), directory, console)
        report_tokens(last_tokens(study, cells["cell"]), title.strip(), directory, console)
    console.print(f"Report: {target}", soft_wrap=True, highlight=False)
    return target


def report_condition(cells: pd.DataFrame, title: str, directory: Path, console: Console) -> None:
    """Fit one condition; write `law.json`, `sensitivity.csv`, `rivals.csv` and figures, and print a summary."""
    print_cells(cells, title, console)
    fit: LawFit | None = None
    try:
        fit = fit_law(cells)
    except TooFewCells as error:
        console.print(f"No law fitted: {error}", soft_wrap=True)
        write_json(directory / "law.json", {"fitted": False, "reason": str(error)})
    else:
        profile, resampled = profile_intervals(fit), bootstrap_intervals(bootstrap(fit))
        print_fit(fit, profile, resampled, console)
        write_json(directory / "law.json", law_record(fit, profile, resampled))
        ways, rivals = sensitivity(cells), compare(cells)
        print_sensitivity(ways, console)
        print_rivals(rivals, console)
        for name, rows in (("sensitivity", ways), ("rivals", rivals)):
            with atomic_path(directory / f"{name}.csv") as temporary:
                rows.to_csv(temporary, index=False)
    for name, figure in _figures(cells, fit, title).items():
        with atomic_path(directory / f"{name}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=150)
        console.print(f"Figure: {directory / name}.png", soft_wrap=True, highlight=False)


def report_tokens(tokens: pd.DataFrame, title: str, directory: Path, console: Console) -> None:
    """What the tokens of one condition's cells show of the p > 0.5 transition; writes `transition.*` and prints it."""
    table, failures = transition(tokens), first_failures(tokens)
    print_transition(tokens, failures, console)
    with atomic_path(directory / "transition.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(directory / "transition.png") as temporary:
        transition_figure(table, failures, title).savefig(temporary, format="png", dpi=150)
    console.print(f"Figure: {directory / 'transition'}.png", soft_wrap=True, highlight=False)


def _figures(cells: pd.DataFrame, fit: LawFit | None, title: str) -> dict[str, Figure]:
    figures = {"law": law_figure(cells, fit, title), "loss": loss_heat_map(cells, title)}
    if fit:
        try:
            fits = [fit, fit_law(cells, FORMS["saturating"])]
        except TooFewCells:
            fits = [fit]
        figures |= {"prediction": prediction_figure(fits, title), "residuals": residual_figure(fits, title)}
    with contextlib.suppress(TooFewCells):
        figures["collapse"] = collapse_figure(cells, fit_collapse(cells), title)
    return figures


def law_record(
    fit: LawFit, profile: dict[str, tuple[float, float]], resampled: dict[str, tuple[float, float]]
) -> dict[str, object]:
    """The fit in full precision and every choice made, for `law.json`."""

    def sides(intervals: dict[str, tuple[float, float]], name: str) -> list[float] | None:
        found = intervals.get(name)
        return list(found) if found and all(abs(side) < float("inf") for side in found) else None

    return {
        "fitted": True,
        "form": f"delta_loss_nats = {fit.form.formula}",
        "parameters": {
            name: {
                "value": value,
                "stderr": stderr,
                "profile_95": sides(profile, name),
                "bootstrap_95": sides(resampled, name),
            }
            for name, (value, stderr) in fit.parameters.items()
        },
        "alpha_over_beta": {"value": fit.exponent_ratio, "bootstrap_95": sides(resampled, "alpha/beta")},
        "identified": not fit.not_identified,
        "not_identified": list(fit.not_identified),
        "cautions": list(fit.cautions),
        "r_squared": fit.r_squared,
        "cells": len(fit.used),
        "excluded_saturated_cells": len(fit.excluded),
        "saturation_rule": str(fit.rule),
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", help="a study's directory, e.g. runs/default")
    parser.add_argument("--points", type=Path, help="a CSV of rank, seq_len, delta_loss_nats, instead of a study")
    parser.add_argument("--base-loss", type=float, help="L0 of the points, nats per token")
    parser.add_argument("--out", type=Path, help="where the report on points goes; default: <points>-report")
    arguments = parser.parse_args()
    if (arguments.study is None) == (arguments.points is None):
        parser.error("give either a study or --points")
    if arguments.points and arguments.base_loss is None:
        parser.error("--points needs --base-loss")
    try:
        if arguments.study:
            report(arguments.study, Console())
            return
        points = load_points(arguments.points, arguments.base_loss)
        out = arguments.out or arguments.points.with_name(f"{arguments.points.stem}-report")
        report_condition(points, arguments.points.stem, out, Console())
    except NoCells as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
