"""What a report says of methods side by side, in words and tables."""

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
    for values, own in comparison.cells.groupby([*PLACE, "method"]):
        length, rank, method = values
        row: dict[str, object] = {"ℓ": length, "rank": rank, "method": method, "seeds": own["seed"].nunique()}
        if "steps_trained" in own:
            row["steps"] = own["steps_trained"].mean()
        row |= {metric.heading: own[metric.column].mean() for metric in metrics}
        reached = own["steps_to_recall"].notna().sum() if "steps_to_recall" in own else None
        rows.append(row if reached is None else {**row, "reached": f"{reached}/{len(own)}"})
    formats = {
        "ℓ": "{:.0f}",
        "rank": "{:.0f}",
        "seeds": "{:.0f}",
        "steps": "{:.0f}",
        **{m.heading: m.format for m in metrics},
    }
    figures = ("methods", "convergence", "exact")
    notes = [(INFO, "Means over seeds; steps to full recall over the cells that reached it."), *_unlike(comparison)]
    return Section("sides", "Methods side by side", pd.DataFrame(rows), formats, tuple(notes), figures)


def _unlike(comparison: Comparison) -> list[tuple[str, str]]:
    """What makes the comparison less than fair."""
    notes = []
    for name in _PROTOCOL:
        if name in comparison.cells:
            values = comparison.cells.groupby("method")[name].unique()
            if len({str(sorted(map(str, own))) for own in values}) > 1:
                spelled = "; ".join(f"{method}: {_range(own)}" for method, own in values.items())
                notes.append((CAUTION, f"the methods differ in {name} ({spelled})"))
    if comparison.shares_time:
        notes.append(
            (
                CAUTION,
                "cells that trained in one pack share its time, so seconds say nothing of a method; "
                "pack.max_cells=1 times them",
            )
        )
    return notes


def _range(values: np.ndarray) -> str:
    """Few values one by one, many by their ends."""
    ordered = sorted(values)
    return ", ".join(map(str, ordered)) if len(ordered) < 4 else f"{ordered[0]} to {ordered[-1]}"


def _differences(comparison: Comparison) -> Section:
    rows = [
        {
            "": entry.metric.title,
            "methods": f"{entry.one} − {entry.other}",
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
    notes = [(INFO, "Paired over seeds: same text, same initial adapter. Intervals are Student's t over seeds (95 %), "
                    "each for itself, and rough where seeds are few or values are 0 or 1. Steps to full recall are "
                    "those of the first recorded evaluation. Only-threshold puts no weight on recalled tokens by "
                    "its rule.")]  # fmt: skip
    for metric in comparison.metrics:
        entries = [entry for entry in comparison.differences if entry.metric == metric]
        if entries:
            said = "; ".join(sentence(comparison, entry) for entry in entries)
            notes.append((INFO, f"{metric.title[0].upper()}{metric.title[1:]}: {said}."))
    formats = {"difference": "{:+.3g}", "95 % from": "{:+.3g}", "to": "{:+.3g}"}
    return Section("differences", "Who wins, and by how much", pd.DataFrame(rows), formats, tuple(notes))


def _verdict(entry: Difference) -> str:
    if entry.differs is None:
        return "one seed" if entry.seeds < 2 else f"{entry.better} better in all seeds"
    return f"{entry.better} better" if entry.differs else "no difference"


def sentence(comparison: Comparison, entry: Difference) -> str:
    """Say which method is better and by how much over all pairs, and at which places."""
    by = f"{abs(entry.mean):.3g} {entry.metric.unit}"
    sides = f"{entry.low:+.3g} to {entry.high:+.3g}"
    worse = entry.other if entry.better == entry.one else entry.one
    if entry.mean == 0 and not entry.differs:
        chance = " in one seed" if entry.seeds < 2 else ""
        said = f"no difference between {entry.one} and {entry.other}: they are equal{chance}"
    elif entry.differs is None:
        chance = "in one seed, so nothing is known of chance" if entry.seeds < 2 else f"in each of {entry.seeds} seeds"
        said = f"{entry.better} beats {worse} by {by} {chance}"
    elif entry.differs:
        said = f"{entry.better} beats {worse} by {by} ({sides})"
    else:
        said = f"no difference between {entry.one} and {entry.other} ({sides} {entry.metric.unit})"
    (one, all_one), (other, all_other) = entry.reached
    if one < all_one or other < all_other:
        counts = f"{entry.one} {one}/{all_one}, {entry.other} {other}/{all_other}"
        said += f" in the {entry.pairs} pairs where both have a value ({counts})"
    return said + _places(comparison, entry)


def _places(comparison: Comparison, entry: Difference) -> str:
    """Where which method is ahead by more than its seeds vary; nothing for a single place."""
    places = list(by_place(comparison.cells, entry.metric, entry.one, entry.other))
    if len(places) < 2:
        return ""
    ahead: dict[str, list[str]] = {}
    for place, own in places:
        if own.differs:
            at = f"r = {place['lora.rank']:g}, ℓ = {place['target_tokens']:g} by {abs(own.mean):.3g}"
            ahead.setdefault(own.better, []).append(at)
    spelled = [
        f"{name} ahead at {own[0]}" if len(own) == 1 else f"{name} ahead at {len(own)} of {len(places)} places"
        for name, own in ahead.items()
    ]
    return f" [{'; '.join(spelled)}]" if spelled else ""
