"""Bits per parameter at saturation: plain and effective, over bases of fp32 and bf16."""

import pandas as pd

from memlaw_analysis.experiments.capacity_figure import capacity_figure
from memlaw_analysis.experiments.estimate import Estimate, ratio_of
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.published import FACT_BITS, TOKEN_BITS
from memlaw_analysis.experiments.rows import EFFECTIVE, ORIGINS, counted
from memlaw_analysis.law.capacity import COUNTS, Capacity, fit_capacity, loads
from memlaw_analysis.law.enough import TooFewCells

_PAIR = ["lora.rank", "target_tokens", "steps", "seed"]


def plateaus(rows: pd.DataFrame) -> pd.DataFrame:
    """Fit the plateau of each precision, number of steps and count of parameters.

    Columns: precision, steps, count, cells, best (bits per parameter), capacity (`Capacity`, or None), reason (why
    there is none).
    """
    table = []
    for (precision, steps), cells in rows.groupby(["precision", "steps"]):
        for count in COUNTS:
            kept = cells[cells[count] > 0]
            if kept.empty:
                continue
            capacity, reason = _fitted(kept, count)
            best = float(loads(kept, count)["bits_per_parameter"].max())
            table.append([precision, int(steps), count, len(kept), best, capacity, reason])
    return pd.DataFrame(table, columns=["precision", "steps", "count", "cells", "best", "capacity", "reason"])


def _fitted(cells: pd.DataFrame, count: str) -> tuple[Capacity | None, str]:
    try:
        return fit_capacity(cells, count), ""
    except TooFewCells as error:
        return None, str(error)


def precision_ratio(rows: pd.DataFrame) -> Estimate:
    """Return the bits over a base of bf16 by those over one of fp32, over cells that are otherwise the same.

    Raises:
        TooFewCells: fewer than two pairs.
    """
    wide = rows.pivot_table(index=_PAIR, columns="precision", values="memorized_bits")
    if not {"bf16", "fp32"} <= set(wide.columns):
        raise TooFewCells(f"cells of {', '.join(map(str, wide.columns))} alone; both bf16 and fp32 are needed")
    pairs = wide[["bf16", "fp32"]].dropna()
    return ratio_of(pairs["bf16"], pairs["fp32"])


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `capacity`."""
    stored, origin = counted(rows)
    table = plateaus(stored)
    most = table[table["steps"] == table.groupby("precision")["steps"].transform("max")]
    claims = [_plateau_claim(row) for _, row in most.iterrows()]
    try:
        ratio = precision_ratio(stored)
        claims.append(_precision_claim(ratio))
    except TooFewCells as error:
        ratio = None
        claims.append(Claim(Stance.OPEN, f"bf16 against fp32 is open: {error}."))
    return Outcome(
        claims=ordered(claims),
        numbers={
            "counted": ORIGINS[origin],
            "bf16_over_fp32": ratio,
            "effective_measured": bool(rows[EFFECTIVE].notna().any()),
            "reached": any(capacity.reached for capacity in most["capacity"] if capacity)
            if most["capacity"].any()
            else None,
            "levels": [{"where": _where(row), "text": _level(row)} for _, row in most.iterrows()],
        },
        tables={"plateaus": _plateaus_table(table), "cells": _cells_table(stored)},
        figure=capacity_figure(stored, ORIGINS[origin]),
    )


def _where(row: pd.Series) -> str:
    return f"{row['precision']}, {row['steps']} steps, per {COUNTS[row['count']]}"


def _level(row: pd.Series) -> str:
    """The plateau, or the most bits as a lower bound."""
    capacity = row["capacity"]
    reached = capacity is not None and capacity.reached
    return str(Estimate(capacity.plateau, *capacity.plateau_interval)) if reached else f"at least {row['best']:.2f}"


def _plateau_claim(row: pd.Series) -> Claim:
    where, unit = f"{row['precision']}, {row['steps']} steps", f"bits per {COUNTS[row['count']]}"
    capacity = row["capacity"]
    if capacity is None:
        return Claim(
            Stance.OPEN, f"{where}: no plateau can be fitted ({row['reason']}); the most is {row['best']:.2f} {unit}."
        )
    if not capacity.reached:
        low, high = capacity.slope_interval
        return Claim(
            Stance.AGAINST,
            f"**{where}: no plateau**: {unit} still rise like load^{capacity.slope:.2f} ({low:.2f} to {high:.2f}), so "
            f"{row['best']:.2f} is a lower bound, and comparing it with {FACT_BITS.value:g} or "
            f"{TOKEN_BITS[0].value:g} to {TOKEN_BITS[1].value:g} says nothing.",
        )
    agrees, place = relation(Estimate(capacity.plateau, *capacity.plateau_interval))
    text = f"**{where}: a plateau at {_level(row)} {unit}**, {place}."
    return Claim(Stance.FOR if agrees else Stance.AGAINST, text)


def relation(plateau: Estimate) -> tuple[bool, str]:
    """Return whether a plateau includes a published one, and where it lies among them."""
    low, high = (bits.value for bits in TOKEN_BITS)
    facts = f"the {FACT_BITS.value:g} of facts in full training"
    tokens = f"the {low:g} to {high:g} of random tokens in whole models"
    if plateau.includes(FACT_BITS.value):
        return True, f"which includes {facts}"
    if plateau.high >= low and plateau.low <= high:
        return True, f"which includes {tokens}"
    if plateau.high < FACT_BITS.value:
        return False, f"below {facts} and {tokens}"
    return False, f"between {facts} and {tokens}" if plateau.high < low else f"above {facts} and {tokens}"


def _precision_claim(ratio: Estimate) -> Claim:
    text = f"over a base of bf16 an adapter holds {ratio} times the bits that it holds over one of fp32"
    if ratio.includes(1):
        return Claim(
            Stance.FOR if ratio.is_close_to(1) else Stance.OPEN,
            f"The precision of the base makes no difference that shows: {text}.",
        )
    return Claim(Stance.AGAINST, f"**The precision of the base matters**: {text}.")


def _plateaus_table(table: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "precision": row["precision"],
            "steps": row["steps"],
            "bits per": COUNTS[row["count"]],
            "cells": row["cells"],
            "most": row["best"],
            "slope at the largest loads": Estimate(row["capacity"].slope, *row["capacity"].slope_interval)
            if row["capacity"]
            else "–",
            "plateau": _plateau(row["capacity"]),
        }
        for _, row in table.iterrows()
    ]
    return pd.DataFrame(rows)


def _plateau(capacity: Capacity | None) -> object:
    if capacity is None:
        return "too few cells"
    return Estimate(capacity.plateau, *capacity.plateau_interval) if capacity.reached else "not reached"


def _cells_table(rows: pd.DataFrame) -> pd.DataFrame:
    ordered_rows = rows.sort_values(["precision", "steps", "lora.rank", "target_tokens", "seed"])
    return pd.DataFrame(
        {
            "precision": ordered_rows["precision"],
            "steps": ordered_rows["steps"],
            "r": ordered_rows["lora.rank"],
            "ℓ": ordered_rows["target_tokens"],
            "seed": ordered_rows["seed"],
            "stored (nats per token)": ordered_rows["delta_loss_nats"],
            "of the text": ordered_rows["delta_loss_nats"] / ordered_rows["base_loss_nats"],
            "bits per parameter": ordered_rows["memorized_bits"] / ordered_rows["trainable_parameters"],
            "bits per effective parameter": ordered_rows["memorized_bits"] / ordered_rows[EFFECTIVE],
        }
    )


CAPACITY = Experiment("capacity", "How many bits does a parameter hold?", "law", ("capacity", "convergence"), analyze)
