"""What a report says of methods side by side, in words and tables."""

import pandas as pd

from analysis.methods import PLACE, Comparison, Difference, by_place
from analysis.sections import CAUTION, INFO, Section

_PROTOCOL = ("total_steps", "batch_size", "epochs", "optimizer.lr")


def method_sections(found: Comparison) -> list[Section]:
    """All sections of a comparison."""
    return [_sides(found), _differences(found)]


def _sides(found: Comparison) -> Section:
    metrics = found.metrics
    rows = []
    for values, own in found.cells.groupby([*PLACE, "method.name"]):
        length, rank, method = values
        row: dict[str, object] = {"ℓ": length, "rank": rank, "method": method, "seeds": own["seed"].nunique()}
        row |= {metric.heading: own[metric.column].mean() for metric in metrics}
        reached = own["steps_to_recall"].notna().sum() if "steps_to_recall" in own else None
        rows.append(row if reached is None else {**row, "reached": f"{reached}/{len(own)}"})
    formats = {"ℓ": "{:.0f}", "rank": "{:.0f}", "seeds": "{:.0f}", **{m.heading: m.format for m in metrics}}
    figures = ("methods", "convergence", "exact")
    notes = [(INFO, "Means over seeds; steps to full recall over the cells that reached it."), *_unlike(found)]
    return Section("sides", "Methods side by side", pd.DataFrame(rows), formats, tuple(notes), figures, True)


def _unlike(found: Comparison) -> list[tuple[str, str]]:
    """What makes the comparison less than fair."""
    notes = []
    for name in _PROTOCOL:
        if name in found.cells:
            values = found.cells.groupby("method.name")[name].unique()
            if len({str(sorted(map(str, own))) for own in values}) > 1:
                spelled = "; ".join(f"{method}: {', '.join(map(str, own))}" for method, own in values.items())
                notes.append((CAUTION, f"the methods differ in {name} ({spelled})"))
    if "pack_size" in found.cells and (found.cells["pack_size"] > 1).any():
        notes.append(
            (
                CAUTION,
                "cells that trained in one pack share its time, so seconds say nothing of a method; "
                "pack.max_cells=1 times them",
            )
        )
    return notes


def _differences(found: Comparison) -> Section:
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
        for entry in found.differences
    ]
    notes = [(INFO, "Paired over seeds: same text, same initial adapter. Intervals are Student's t over seeds (95 %), "
                    "each for itself: where nothing differs, one in twenty excludes zero all the same.")]  # fmt: skip
    for metric in found.metrics:
        entries = [entry for entry in found.differences if entry.metric == metric]
        if entries:
            said = "; ".join(_sentence(found, entry) for entry in entries)
            notes.append((INFO, f"{metric.title[0].upper()}{metric.title[1:]}: {said}."))
    formats = {"difference": "{:+.3g}", "95 % from": "{:+.3g}", "to": "{:+.3g}"}
    return Section("differences", "Who wins, and by how much", pd.DataFrame(rows), formats, tuple(notes))


def _verdict(entry: Difference) -> str:
    if entry.differs is None:
        return "one seed"
    return f"{entry.better} better" if entry.differs else "no difference"


def _sentence(found: Comparison, entry: Difference) -> str:
    """Who wins and by how much over all pairs, and where the difference is largest."""
    by = f"{abs(entry.mean):.3g} {entry.metric.unit}"
    sides = f"{entry.low:+.3g} to {entry.high:+.3g}"
    if entry.differs is None:
        worse = entry.other if entry.better == entry.one else entry.one
        if entry.mean == 0:
            return f"{entry.one} and {entry.other} are equal (one seed, so nothing is known of chance)"
        return f"{entry.better} ahead of {worse} by {by} (one seed, so nothing is known of chance)"
    if not entry.differs:
        said = f"no difference between {entry.one} and {entry.other} ({sides} {entry.metric.unit})"
    else:
        worse = entry.other if entry.better == entry.one else entry.one
        said = f"{entry.better} beats {worse} by {by} ({sides})"
    places = [(place, own) for place, own in by_place(found.cells, entry.metric, entry.one, entry.other) if own.differs]
    if len(found.cells[PLACE].drop_duplicates()) > 1 and places:
        place, most = max(places, key=lambda pair: abs(pair[1].mean))
        at = f"r = {place['lora.rank']:g}, ℓ = {place['target_tokens']:g}"
        said += f", most at {at}: {most.better} by {abs(most.mean):.3g}"
    return said
