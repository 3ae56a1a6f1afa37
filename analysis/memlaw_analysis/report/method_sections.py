"""Sections that set methods side by side."""

import numpy as np
import pandas as pd

from memlaw.study.conditions import PROTOCOL
from memlaw_analysis.recall.methods import PLACE, TIME, Comparison, Difference, by_place
from memlaw_analysis.report.section import CAUTION, INFO, Section

_PROTOCOL = ("total_steps", "steps_trained", *(key for key in PROTOCOL if key != "steps"))


def method_sections(comparison: Comparison) -> list[Section]:
    """Return all sections of a comparison."""
    return [_sides(comparison), _differences(comparison)]


def _sides(comparison: Comparison) -> Section:
    metrics = [metric for metric in comparison.metrics if metric.column != TIME or not comparison.shares_time]
    rows = []
    for values, cells in comparison.cells.groupby([*PLACE, "method"]):
        length, rank, method = values
        row: dict[str, object] = {"ℓ": length, "rank": rank, "method": method, "seeds": cells["seed"].nunique()}
        if "steps_trained" in cells:
            row["steps"] = cells["steps_trained"].mean()
        row |= {metric.heading: cells[metric.column].mean() for metric in metrics}
        if "steps_to_recall" in cells:
            row["reached"] = f"{cells['steps_to_recall'].notna().sum()}/{len(cells)}"
        rows.append(row)
    formats = {
        "ℓ": "{:.0f}",
        "rank": "{:.0f}",
        "seeds": "{:.0f}",
        "steps": "{:.0f}",
        **{m.heading: m.format for m in metrics},
    }
    figures = ("methods", "convergence", "exact")
    notes = [(INFO, "Means over seeds; steps to full recall over the cells that reached it."), *_unfair(comparison)]
    return Section("sides", "Methods side by side", pd.DataFrame(rows), formats, tuple(notes), figures)


def _unfair(comparison: Comparison) -> list[tuple[str, str]]:
    """Name what makes the comparison less than fair."""
    notes = []
    for name in _PROTOCOL:
        if name in comparison.cells:
            values = comparison.cells.groupby("method")[name].unique()
            if len({str(sorted(map(str, distinct))) for distinct in values}) > 1:
                spelled = "; ".join(f"{method}: {_range(distinct)}" for method, distinct in values.items())
                notes.append((CAUTION, f"the methods differ in {name} ({spelled})"))
    if comparison.shares_time:
        notes.append(
            (
                CAUTION,
                "cells that trained in one pack share its time, so methods are not compared in seconds; "
                "pack.max_cells=1 times each cell",
            )
        )
    return notes


def _range(values: np.ndarray) -> str:
    """List few values; name the ends of many."""
    ordered = sorted(values)
    return ", ".join(map(str, ordered)) if len(ordered) < 4 else f"{ordered[0]} to {ordered[-1]}"


def _differences(comparison: Comparison) -> Section:
    rows = [
        {
            "": entry.metric.title,
            "methods": f"{entry.method} − {entry.reference}",
            "difference": entry.mean,
            "95 % from": entry.low,
            "to": entry.high,
            "unit": entry.metric.unit,
            "pairs": entry.pairs,
            "seeds": entry.seeds,
            "verdict": _verdict(entry),
        }
        for entry in comparison.differences
    ]
    notes = [(INFO, "Methods are paired over seeds: same text, same initial adapter. Intervals are Student's t over "
                    "seeds (95 %), each by itself. They are rough where seeds are few or values are 0 or 1. Steps to "
                    "full recall are those of the first recorded evaluation without an error. `memft_ot` gives "
                    "recalled tokens no weight by definition.")]  # fmt: skip
    for metric in comparison.metrics:
        entries = [entry for entry in comparison.differences if entry.metric == metric]
        if entries:
            verdicts = "; ".join(sentence(entry) + _places(comparison, entry) for entry in entries)
            notes.append((INFO, f"{metric.title[0].upper()}{metric.title[1:]}: {verdicts}."))
    formats = {"difference": "{:+.3g}", "95 % from": "{:+.3g}", "to": "{:+.3g}"}
    return Section("differences", "Who wins, and by how much", pd.DataFrame(rows), formats, tuple(notes))


def _verdict(entry: Difference) -> str:
    if entry.differs is None:
        return "one seed" if entry.seeds < 2 else f"{entry.better} better in all seeds"
    return f"{entry.better} better" if entry.differs else "no difference"


def sentence(entry: Difference) -> str:
    """Say which method is better, and by how much over all pairs.

    The interval of a winner's lead is above 0. That of no difference is of method − reference.
    """
    by = f"{abs(entry.mean):.3g} {entry.metric.unit}"
    worse = entry.reference if entry.better == entry.method else entry.method
    if entry.mean == 0 and not entry.differs:
        chance = " in one seed" if entry.seeds < 2 else ""
        text = f"no difference between {entry.method} and {entry.reference}: they are equal{chance}"
    elif entry.differs is None:
        chance = "in one seed, so it may be chance" if entry.seeds < 2 else f"in each of {entry.seeds} seeds"
        text = f"{entry.better} beats {worse} by {by} {chance}"
    elif entry.differs:
        low, high = sorted((abs(entry.low), abs(entry.high)))
        text = f"{entry.better} beats {worse} by {by} ({low:.3g} to {high:.3g})"
    else:
        interval = f"{entry.low:+.3g} to {entry.high:+.3g} {entry.metric.unit}"
        text = f"no difference between {entry.method} and {entry.reference} ({interval})"
    if any(reached < cells for reached, cells in entry.reached):
        counts = ", ".join(
            f"{name} {reached}/{cells}"
            for name, (reached, cells) in zip((entry.method, entry.reference), entry.reached, strict=True)
        )
        text += f" in the {entry.pairs} pairs where both have a value ({counts})"
    return text


def _places(comparison: Comparison, entry: Difference) -> str:
    """Name the places where a method is ahead by more than its seeds vary; empty for a single place."""
    places = list(by_place(comparison.cells, entry.metric, entry.method, entry.reference))
    if len(places) < 2:
        return ""
    ahead: dict[str, list[str]] = {}
    for place, here in places:
        if here.differs:
            at = f"r = {place['lora.rank']:g}, ℓ = {place['target_tokens']:g} by {abs(here.mean):.3g}"
            ahead.setdefault(here.better, []).append(at)
    spelled = [
        f"{name} ahead at {wins[0]}" if len(wins) == 1 else f"{name} ahead at {len(wins)} of {len(places)} places"
        for name, wins in ahead.items()
    ]
    return f" [{'; '.join(spelled)}]" if spelled else ""
