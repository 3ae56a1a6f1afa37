"""Sections on recall: the p > 0.5 transition, decoding, and what memorizing costs elsewhere."""

import numpy as np
import pandas as pd

from memlaw_analysis.findings import Findings, Tokens
from memlaw_analysis.recall.transition import decoupled, lucky_share, violations
from memlaw_analysis.report.section import CAUTION, INFO, MISSING, Section


def transition_section(tokens: Tokens) -> Section:
    """Check that every token with p > 0.5 is the argmax, and show how far from tight that bound is."""
    last, failures = tokens.last, tokens.failures
    notes = [(INFO, f"{len(last)} tokens of {last['cell'].nunique()} cells.")]
    broken = violations(last)
    if len(broken):
        listed = ", ".join(sorted(broken["cell"].unique()))
        notes.append((CAUTION, f"{len(broken)} tokens have p > 0.5 and another argmax, in {listed}. Only ties in "
                               "rounding allow that, so do not trust these token tables"))  # fmt: skip
    else:
        notes.append((INFO, "Every token with p > 0.5 is the argmax."))
    lucky = lucky_share(last)
    if not np.isnan(lucky):
        notes.append((INFO, f"Of the tokens that are the argmax, {lucky:.1%} have p ≤ 0.5."))
    gap = failures["first_wrong"] - failures["first_stubborn"]
    later, earlier = int((gap > 0).sum()), int((gap < 0).sum())
    notes.append((INFO, f"The first wrong argmax comes after the first p ≤ 0.5 in {later} of {len(failures)} pairs, "
                        f"and before it in {earlier}."))  # fmt: skip
    table = tokens.transition.set_axis(["p from", "p to", "tokens", "share that is the argmax"], axis=1)
    formats = {"p from": "{:.2f}", "p to": "{:.2f}", "share that is the argmax": "{:.1%}"}
    return Section("transition", "The p > 0.5 transition", table, formats, tuple(notes), ("transition", "failures"))


def recall_section(findings: Findings, tokens: Tokens) -> Section:
    """Show how many cells are recalled verbatim, as predicted and as decoded."""
    names, cells = decoupled(tokens.last), findings.cells
    verbatim = int((cells["exact_share"] == 1).sum())
    predicted = f"By teacher forcing, greedy decoding recalls {verbatim} of {len(cells)} cells verbatim."
    notes = [(INFO, predicted), *_decoded(cells)]
    table = None
    if names:
        notes.append((INFO, f"{len(names)} cells have a mean loss below ln 2 and are still not recalled verbatim: a "
                            "low mean loss hides the few tokens that break a text."))  # fmt: skip
        chosen = cells[cells["cell"].isin(names)]
        table = chosen[["target_tokens", "lora.rank", "seed", "loss_nats", "recalled_share", "first_wrong_share"]]
        table = table.set_axis(["ℓ", "rank", "seed", "L", "p > 0.5", "before the first error"], axis=1)
    formats = {"L": "{:.3f}", "p > 0.5": "{:.1%}", "before the first error": "{:.1%}"}
    figures = ("recall", "positions", "probability", "curves")
    return Section("recall", "Recall, and how it develops", table, formats, tuple(notes), figures)


def _decoded(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Compare what was decoded from the query alone with its prediction, its bound, and the base model."""
    if "recall_exact_share" not in cells or cells["recall_exact_share"].isna().all():
        return [(MISSING, "no cell was decoded (`eval.recall.greedy`)")]
    decoded = cells[cells["recall_exact_share"].notna()]
    unlike = int(decoded["recall_unlike_predicted"].sum())
    exact = int((decoded["recall_exact_share"] == 1).sum())
    broken = decoded[decoded["recall_order_violations"] > 0]
    notes = [
        (INFO, f"Decoded from the query alone, {exact} of {len(decoded)} cells are recalled verbatim; {unlike} of "
               f"{int(decoded['pairs'].sum())} pairs fail elsewhere than predicted. The base model without an adapter "
               f"recalls {decoded['control_exact_share'].mean():.1%} of the pairs and "
               f"{decoded['control_token_accuracy'].mean():.1%} of the tokens.")
    ]  # fmt: skip
    if len(broken):
        listed = ", ".join(
            f"{cell} ({count:g})" for cell, count in zip(broken["cell"], broken["recall_order_violations"], strict=True)
        )
        notes.append((CAUTION, f"decoded pairs fail before their first p ≤ 0.5: {listed}. Teacher forcing and "
                               "decoding compute different things for this model, or probabilities tie in "
                               "rounding."))  # fmt: skip
    by_rows = int((decoded["recall_decoding"] == "rows").sum()) if "recall_decoding" in decoded else 0
    if by_rows:
        notes.append((CAUTION, f"{by_rows} of {len(decoded)} cells were decoded by whole rows. With a KV cache their "
                               "model computes something else, so `generate` may give another text with their "
                               "adapters."))  # fmt: skip
    if "sample_exact_share" in decoded and decoded["sample_exact_share"].notna().any():
        notes.append((INFO, f"Sampled, {decoded['sample_exact_share'].mean():.1%} of the pairs are recalled verbatim."))
    return notes


def side_effect_sections(cells: pd.DataFrame) -> list[Section]:
    """Show what memorizing costs on held-out text; no section where that was not measured."""
    if "forgetting_nats" not in cells or cells["forgetting_nats"].isna().all():
        return []
    measured = cells[cells["forgetting_nats"].notna()]
    cost = measured["forgetting_nats"]
    sentence = (
        f"On held-out ordinary text the loss goes from {measured['base_held_out_loss_nats'].mean():.3f} nats to "
        f"{measured['held_out_loss_nats'].mean():.3f} on average over {len(measured)} cells ({cost.min():+.3f} to "
        f"{cost.max():+.3f})."
    )
    table = measured.groupby("lora.rank")[["forgetting_nats", "held_out_loss_nats"]].mean().reset_index()
    table = table.set_axis(["rank", "forgetting (nats)", "held-out loss (nats)"], axis=1)
    formats = {"rank": "{:g}", "forgetting (nats)": "{:+.3f}", "held-out loss (nats)": "{:.3f}"}
    return [Section("side-effects", "What memorizing costs elsewhere", table, formats, ((INFO, sentence),))]
