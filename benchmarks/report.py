"""Tables of a benchmark's raw numbers, in Markdown: `python benchmarks/report.py runs/bench.jsonl`.

Exits with an error when the arms did not do the same work: the first loss must agree to 1e-6 and every token's
probability after the last step to 1e-3, arm against arm, for the same cell, in fp32.
"""

import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]

PARTS = ("raw", "prefix", "head", "lightning", "D")
RATIOS = (
    ("lightning", "B", "one cell, against B"),
    ("lightning", "B*", "one cell, against B*"),
    ("block lightning", "A", "one cell in block placement, against A"),
    ("D", "B", "packed, against B"),
)


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Median and range."""
    ordered = sorted(values)
    if not ordered:
        return "–"
    middle = statistics.median(ordered)
    return f"{middle:.{digits}f} ({ordered[0]:.{digits}f}–{ordered[-1]:.{digits}f})"


def table(headings: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [[str(cell) for cell in headings], *[[str(cell) for cell in row] for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


class Raw:
    """The records of a run."""

    def __init__(self, path: Path):
        self.machine, *self.rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        self.lengths = sorted({row["seq_len"] for row in self.rows})
        self.rank = next(row["rank"] for row in self.rows if row["arm"] == "B*")
        self.dtype = {"float32": "fp32", "bfloat16": "bf16"}[self.machine["dtype"]]

    def of(self, arm: str, seq_len: int | None = None, rank: int | None = None, dtype: str | None = None) -> list[Row]:
        """Records of an arm; those in memlaw's precision unless another is asked for, B's in its own."""
        dtype = dtype or ("fp32" if arm == "B" else self.dtype)
        return [
            row
            for row in self.rows
            if row["arm"] == arm
            and row["dtype"] == dtype
            and seq_len in (None, row["seq_len"])
            and rank in (None, row["rank"])
        ]

    def step_seconds(self, arm: str, seq_len: int, dtype: str | None = None) -> dict[int, float]:
        """Seconds of a step of the arm's cell at the common rank, per round."""
        return {row["round"]: row["step_seconds"] for row in self.of(arm, seq_len, self.rank, dtype)}

    def ratio(self, ours: str, theirs: str, seq_len: int) -> str:
        """How many times faster a step of `ours` is, round by round."""
        a, b = (self.step_seconds(arm, seq_len) for arm in (ours, theirs))
        return spread(b[number] / a[number] for number in a.keys() & b.keys())


def steps_table(raw: Raw) -> str:
    """Steps of a cell per second."""
    arms = ["A", "block lightning", "B", "B*", "lightning", "D"]
    rows = [
        [length, *(spread(1 / s for s in raw.step_seconds(arm, length).values()) for arm in arms)]
        for length in raw.lengths
    ]
    return table(["seq_len", *arms], rows)


def ratio_table(raw: Raw) -> str:
    """memlaw against the others, steps per second."""
    headings = ["seq_len", *(name for _, _, name in RATIOS)]
    return table(headings, [[length, *(raw.ratio(a, b, length) for a, b, _ in RATIOS)] for length in raw.lengths])


def parts_table(raw: Raw) -> str:
    """What each part brings: milliseconds of a cell's step, and the share of the machine's arithmetic."""
    rows: list[list[object]] = []
    for dtype in dict.fromkeys(("fp32", raw.dtype)):
        for arm in PARTS:
            times = [raw.step_seconds(arm, length, dtype).values() for length in raw.lengths]
            if any(times):
                rows.append([f"{arm}, {dtype}", *(spread((1e3 * s for s in values), 0) for values in times)])
    rate, share, tokens = raw.machine["gflops"] * 1e9, [], []
    for length in raw.lengths:
        seconds = list(raw.step_seconds("D", length).values())
        flops = raw.of("D", length, raw.rank)[0]["step_flops"]
        share.append(spread(flops / s / rate for s in seconds))
        tokens.append(spread((length / s for s in seconds), 0))
    rows += [["D: share of the roofline", *share], ["D: scored tokens per second", *tokens]]
    return table(["ms", *raw.lengths], rows)


def grid_table(raw: Raw) -> str:
    """Cells per hour, processes and their start included; B's whole grid is run in the first round alone."""
    ours = {row["round"]: row["wall_seconds"] for row in raw.of("D")}
    cells = len({(row["rank"], row["seq_len"]) for row in raw.of("D")})
    theirs = sum(row["wall_seconds"] for row in raw.of("B") if row["round"] == 0)
    rows = [
        ["B, one round", f"{theirs:.0f}", f"{3600 * cells / theirs:.0f}", "1"],
        ["D", spread(ours.values(), 0), spread((3600 * cells / s for s in ours.values()), 0),
         spread(theirs / s for s in ours.values())],
    ]  # fmt: skip
    return table([f"{cells} cells", "seconds", "cells per hour", "times B"], rows)


def overhead_table(raw: Raw) -> str:
    """Lightning's loop, with what memlaw does beside it, over the loop written by hand with the same parts."""
    rows = []
    for length in raw.lengths:
        a, b = (raw.step_seconds(arm, length) for arm in ("head", "lightning"))
        rows.append([length, spread((100 * (b[number] / a[number] - 1) for number in a), 1)])
    return table(["seq_len", "%"], rows)


def setup_table(raw: Raw) -> str:
    """Seconds before and beside the loop."""
    named: dict[str, list[float]] = {}
    for arm in ("A", "B", "B*", "raw", "prefix", "lightning"):
        for row in raw.of(arm, rank=raw.rank):
            for name, seconds in {**row["setup_seconds"], "first step": row["first_step_seconds"]}.items():
                if name != "first step" or row["seq_len"] == raw.lengths[0]:
                    named.setdefault(f"{'parts' if arm == 'raw' else arm}: {name}", []).append(seconds)
    return table(["what", "seconds"], [[name, spread(values)] for name, values in named.items() if max(values) > 0.01])


def memory_table(raw: Raw) -> str:
    """Peak resident memory of an arm's processes, base model included; D packs the ranks of a length."""
    arms = ["A", "B", "B*", "D"]
    return table(["arm", "GB"], [[arm, spread(row["peak_gb"] for row in raw.of(arm))] for arm in arms])


def losing_table(raw: Raw) -> str:
    """All layers adapted: no prefix to save."""
    (length,) = {row["seq_len"] for row in raw.of("all layers B*")}
    a, b = (raw.step_seconds(arm, length) for arm in ("all layers B*", "all layers lightning"))
    rows = [[length, spread(1 / s for s in a.values()), spread(1 / s for s in b.values()),
             spread(a[number] / b[number] for number in a)]]  # fmt: skip
    return table(["seq_len", "B*, steps/s", "memlaw, steps/s", "times B*"], rows)


GATES = (
    ("D", "B"), ("D", "B*"), ("lightning", "raw"), ("head", "raw"), ("prefix", "raw"), ("block lightning", "A"),
    ("all layers lightning", "all layers B*"),
)  # fmt: skip


def gates(raw: Raw) -> tuple[str, bool]:
    """Whether the arms did the same work in fp32: largest differences over all cells and rounds."""
    rows, passed = [], True
    for mine, other in GATES:
        losses, differences = [], []
        for row in raw.of(other, dtype="fp32"):
            for own in raw.of(mine, row["seq_len"], row["rank"], "fp32"):
                if (own["round"], own["steps"]) == (row["round"], row["steps"]):
                    losses.append(abs(own["first_loss"] / row["first_loss"] - 1))
                    differences.append(float(np.abs(np.array(own["p"]) - np.array(row["p"])).max()))
        if not losses and raw.dtype != "fp32":
            continue  # an arm that was run in bf16 alone
        good = bool(losses) and bool(np.max(losses) <= 1e-6) and bool(np.max(differences) <= 1e-3)
        passed &= good
        largest = (f"{np.max(values or [np.nan]):.1e}" for values in (losses, differences))
        rows.append([f"{mine} and {other}", len(losses), *largest, "yes" if good else "NO"])
    return table(["arms", "cells", "first loss, relative", "p of a token", "agree"], rows), passed


def main(path: Path) -> None:
    """Print all tables."""
    raw = Raw(path)
    print(json.dumps(raw.machine, indent=1), "\n")
    agreement, passed = gates(raw)
    for title, text in (
        ("Steps per second of a cell", steps_table(raw)),
        ("Times faster", ratio_table(raw)),
        ("The whole grid", grid_table(raw)),
        ("Part by part", parts_table(raw)),
        ("Lightning over the raw loop", overhead_table(raw)),
        ("All layers adapted", losing_table(raw)),
        ("Start-up", setup_table(raw)),
        ("Peak memory", memory_table(raw)),
        ("The same work", agreement),
    ):
        print(f"### {title}\n\n{text}")
    if not passed:
        sys.exit("the arms did not do the same work")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
