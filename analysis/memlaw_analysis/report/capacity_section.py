"""The section on capacity: bits per trainable and per effective parameter."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw_analysis.advice.next_cells import longer
from memlaw_analysis.advice.train_command import train_command
from memlaw_analysis.findings import Findings
from memlaw_analysis.law.capacity import LITERATURE, RISING, Capacity
from memlaw_analysis.report.section import CAUTION, COMMAND, INFO, MISSING, Section

EFFECTIVE = (
    "Effective parameters are those that can matter: the degrees of freedom of the adapter over the rank of its "
    "inputs, r·(out + k − r) for one module whose inputs have rank k. With several modules their number is an upper "
    "bound."
)


def capacity_section(findings: Findings, study: Path | None) -> Section:
    """Show bits per parameter over the load, and whether they level off."""
    title, capacity, effective = "Capacity in bits", findings.capacity, findings.effective_capacity
    if not capacity:
        return Section("capacity", title, notes=((MISSING, findings.missing["capacity"]),))
    notes = [*_notes(capacity)]
    if not capacity.reached and study:
        cells = findings.usable.cells
        ranks, lengths = longer(cells, pd.Series(False, index=cells.index))
        notes.append((COMMAND, train_command(findings.cells, study, ranks[:1], lengths)))
    table = _by_rank(capacity)
    if effective:
        notes += [(INFO, EFFECTIVE), *_notes(effective)]
        table = table.merge(_by_rank(effective).drop(columns=["cells", "largest load"]), on="rank", how="left")
    literature = "; ".join(f"{level:g} for {subject}" for subject, level in LITERATURE.items())
    notes.append((INFO, f"Literature, in bits per parameter: {literature}."))
    formats = {name: "{:g}" if name == "rank" else "{:.3f}" for name in table if name != "cells"}
    return Section("capacity", title, table, {**formats, "largest load": "{:.2f}"}, tuple(notes), ("bits",))


def _notes(capacity: Capacity) -> Iterator[tuple[str, str]]:
    """Say how large the bits per parameter get, and whether they level off."""
    parameter, best = capacity.parameter, capacity.loads.loc[capacity.loads["bits_per_parameter"].idxmax()]
    yield (
        INFO,
        (
            f"The largest value is {capacity.best:.2f} bits per {parameter}, at r = {best['lora.rank']:g}, "
            f"ℓ = {best['target_tokens']:g}."
        ),
    )
    if capacity.reached:
        low, high = capacity.plateau_interval
        yield INFO, f"Bits per {parameter} level off at {capacity.plateau:.2f} (95 % interval {low:.2f} to {high:.2f})."
        return
    low, high = capacity.slope_interval
    certainty = f"95 % interval {low:.2f} to {high:.2f}" if np.isfinite(low) else "interval not known"
    yield (
        CAUTION,
        (
            f"no plateau within the measured loads: bits per {parameter} still grow like load^{capacity.slope:.2f} "
            f"({certainty}; a plateau would be below {RISING}). The largest value is a lower bound of the capacity"
        ),
    )


def _by_rank(capacity: Capacity) -> pd.DataFrame:
    rows = capacity.loads.groupby("lora.rank").agg(
        cells=("load", "size"), load=("load", "max"), bits=("bits_per_parameter", "max")
    )
    return rows.reset_index().set_axis(
        ["rank", "cells", "largest load", f"largest bits per {capacity.parameter}"], axis=1
    )
