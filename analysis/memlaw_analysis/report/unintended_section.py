"""The section on unintended memorization: what is stored beyond the source of the target."""

import pandas as pd

from memlaw_analysis.law.unintended import HALF, Unintended
from memlaw_analysis.report.section import CAUTION, INFO, Section

COUNTED = (
    "I = ℓ·(H − L): nats that the adapter stores about this target beyond its source, whose entropy is H nats per "
    "token (unintended memorization, arXiv 2505.24832). ℓ·ΔL is larger by ℓ·(L0 − H), which is won by learning the "
    "source alone."
)


def unintended_section(unintended: Unintended) -> Section:
    """Show I over rank and length, and whether it depends on the length."""
    low, high = unintended.slope_interval
    notes = [
        (INFO, COUNTED),
        (INFO, f"Over {len(unintended.free)} cells that store at most {HALF:.0%} of their target, I grows like "
               f"ℓ^{unintended.slope:.2f} at one rank (95 % interval {low:.2f} to {high:.2f}); 0 is a store of fixed "
               "size. Cells that store more stand in brackets: there I follows the length."),
    ]  # fmt: skip
    nothing = int((unintended.cells["nats"] <= 0).sum())
    if nothing:
        notes.append((CAUTION, f"{nothing} cells store nothing beyond the source (L ≥ H)"))
    return Section("unintended", "Stored beyond the source", _by_rank_and_length(unintended), {}, tuple(notes))


def _by_rank_and_length(unintended: Unintended) -> pd.DataFrame:
    """Mean I in nats, a row per rank and a column per length, both ascending."""
    means = unintended.cells.groupby(["lora.rank", "target_tokens"])[["nats", "share"]].mean()
    shown = (f"({nats:.0f})" if share > HALF else f"{nats:.0f}" for nats, share in means.to_numpy())
    table = pd.Series(list(shown), index=means.index).unstack()
    table.columns = [f"ℓ = {length:g}" for length in table.columns]
    return table.rename_axis("rank").reset_index()
