"""What the report prints: cells, law, sensitivity and rivals."""

from collections.abc import Mapping

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.law import LawFit
from analysis.phase import decoupled, lucky_share, violations
from analysis.sensitivity import spread_of

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

Intervals = Mapping[str, tuple[float, float]]


def print_cells(cells: pd.DataFrame, title: str, console: Console) -> None:
    """A row per cell."""
    shown = {name: heading for name, heading in _SHOWN.items() if name in cells}
    table = _table(title, *shown.values())
    for row in cells[list(shown)].to_dict("records"):
        table.add_row(*(_format(name, value) for name, value in row.items()))
    console.print(table)


def _format(name: str, value: object) -> str:
    if pd.isna(value):
        return "–"
    if name == "recalled_share":
        return f"{value:.1%}"
    if name == "first_stubborn":
        return f"{value:.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_fit(fit: LawFit, profile: Intervals, resampled: Intervals, console: Console) -> None:
    """Parameters with their three kinds of uncertainty, and what speaks against them."""
    table = _table(
        f"Law ΔL = {fit.form.formula}: least squares on {len(fit.used)} cells; "
        f"{len(fit.excluded)} saturated ones ({fit.rule}) left out",
        "", "value", "standard error", "profile 95 %", "bootstrap 95 %",
    )  # fmt: skip
    for name, (value, stderr) in fit.parameters.items():
        error = "held" if not fit.result.params[name].vary else "–" if stderr is None else f"{stderr:.2g}"
        table.add_row(name, f"{value:.4g}", error, _interval(profile, name), _interval(resampled, name))
    if fit.exponent_ratio is not None:
        table.add_row("α/β", f"{fit.exponent_ratio:.4g}", "", "", _interval(resampled, "alpha/beta"))
    table.add_row("R²", f"{fit.r_squared:.4f}", "on ΔL", f"{fit.r_squared_log:.4f}", "on ln ΔL")
    console.print(table)
    for problem in fit.not_identified:
        console.print(f"  [red]not identified:[/] {problem}", soft_wrap=True, highlight=False)
    if fit.not_identified:
        console.print("  [red]C, alpha, beta and b mean nothing by themselves here.[/] Add unsaturated cells: longer "
                      "lengths, smaller ranks.", soft_wrap=True, highlight=False)  # fmt: skip
    for caution in fit.cautions:
        console.print(f"  [yellow]caution:[/] {caution}", soft_wrap=True, highlight=False)


def print_sensitivity(ways: pd.DataFrame, console: Console) -> None:
    """The exponents by the way they were fitted, and their range over the ways that identify them."""
    table = _table(
        "The exponents depend on how saturation is treated",
        "form", "left out", "loss", "cells", "alpha", "beta", "b", "α/β", "R²", "",
    )  # fmt: skip
    for row in ways.to_dict("records"):
        values = [_with_error(row, name) for name in ("alpha", "beta", "b")]
        numbers = [_number(row.get("cells"), "{:.0f}"), *values, _number(row.get("alpha/beta"), "{:.3f}")]
        table.add_row(row["form"], row["rule"], row["loss"], *numbers, _number(row.get("r_squared"), "{:.4f}"),
                      row["problem"])  # fmt: skip
    console.print(table)
    if (ways["problem"] == "").any():
        ranges = [f"{name} {low:.2f} to {high:.2f}" for name in ("alpha", "beta", "alpha/beta")
                  for low, high in [spread_of(ways, name)]]  # fmt: skip
        console.print(f"  Over the ways that identify them: {', '.join(ranges)}.", soft_wrap=True, highlight=False)


def print_rivals(rivals: pd.DataFrame, console: Console) -> None:
    """The forms, best first by the mean relative error on cells that they have not seen."""
    known = ["form", "formula", "cells", "r_squared", "r_squared_log", "alpha/beta", "aicc", "problem"]
    splits = [name for name in rivals if name not in known]
    table = _table("Relative error on unseen cells, %", "form", "cells", "R²", "α/β", *splits, "")
    fitted = rivals[splits].notna().any(axis=1)
    shared = [name for name in splits if rivals.loc[fitted, name].notna().all()]  # else a form gains by failing
    ranked = rivals.assign(error=rivals[shared].mean(axis=1)).sort_values("error")
    for row in ranked.to_dict("records"):
        errors = [_number(100 * row[name], "{:.1f}") for name in splits]
        numbers = [_number(row.get("cells"), "{:.0f}"), _number(row.get("r_squared"), "{:.4f}")]
        table.add_row(row["form"], *numbers, _number(row.get("alpha/beta"), "{:.3f}"), *errors, row["problem"])
    console.print(table)
    if shared and ranked["error"].notna().any():
        best = ranked.iloc[0]
        console.print(f"  Unseen cells are predicted best by {best['form']}: {best['formula']}", soft_wrap=True,
                      highlight=False)  # fmt: skip


def print_transition(tokens: pd.DataFrame, failures: pd.DataFrame, console: Console) -> None:
    """The p > 0.5 transition in four sentences; a violated bound is called a bug."""
    console.print(f"The p > 0.5 transition, {len(tokens)} tokens of {tokens['cell'].nunique()} cells", highlight=False)
    broken = violations(tokens)
    if len(broken):
        listed = ", ".join(sorted(broken["cell"].unique()))
        console.print(f"  [red]BUG:[/] {len(broken)} tokens have p > 0.5 and another argmax: {listed}", soft_wrap=True)
    else:
        console.print("  Every token with p > 0.5 is the argmax.", highlight=False)
    lucky = lucky_share(tokens)
    if not pd.isna(lucky):
        console.print(f"  Of the tokens that are the argmax, {lucky:.1%} are so at p ≤ 0.5.", highlight=False)
    later = int((failures["first_wrong"] > failures["first_stubborn"]).sum())
    console.print(
        f"  The first wrong argmax comes after the first p ≤ 0.5 in {later} of {len(failures)} pairs.", highlight=False
    )
    names = decoupled(tokens)
    if names:
        console.print(
            f"  {len(names)} cells have a mean loss below ln 2 and are not recalled to the end all the same: "
            f"{', '.join(names)}",
            soft_wrap=True,
            highlight=False,
        )


def _table(title: str, *headings: str) -> Table:
    table = Table(*headings, title=title, title_justify="left", box=None)
    for column in table.columns:
        column.justify = "right"
    return table


def _interval(intervals: Intervals, name: str) -> str:
    return f"{intervals[name][0]:.3g} to {intervals[name][1]:.3g}" if name in intervals else "–"


def _with_error(row: Mapping[str, object], name: str) -> str:
    value, error = row.get(name), row.get(f"{name}_stderr")
    return _number(value, "{:.3f}") + ("" if error is None or pd.isna(error) else f" ± {error:.2f}")


def _number(value: object, form: str) -> str:
    return "–" if value is None or pd.isna(value) else form.format(value)
