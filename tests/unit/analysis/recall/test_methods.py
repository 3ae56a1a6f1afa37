"""Methods side by side: paired over seeds, with intervals that hold and sentences that say what the numbers say."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memlaw_analysis.figures.methods import convergence_figure, methods_figure
from memlaw_analysis.recall.methods import METRICS, by_place, compare_methods, compared, difference, paired, variants
from memlaw_analysis.report.method_sections import method_sections
from scipy import stats

LOSS = next(metric for metric in METRICS if metric.column == "loss_nats")
RECALLED = next(metric for metric in METRICS if metric.column == "recalled_share")


def cells(effect: float = 0.5, noise: float = 0.0, seeds: int = 3, **more: object) -> pd.DataFrame:
    """Losses that vary much between seeds and places, and by `effect` nats between two methods."""
    rng = np.random.default_rng(0)
    rows = []
    for rank in (2, 4):
        for seed in range(seeds):
            base = 3.0 / rank + seed
            for method, shift in (("sft", 0.0), ("memft_ot", effect * rank / 3)):
                rows.append(
                    {
                        "cell": f"{method}-{rank}-{seed}", "model.name": "m", "data.name": "d", "method.name": method,
                        "target_tokens": 128, "seq_len": 128, "lora.rank": rank, "seed": seed,
                        "loss_nats": base + shift + noise * rng.standard_normal(), "recalled_share": 0.25, **more,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def sentences(table: pd.DataFrame) -> str:
    found = compare_methods(table, pd.DataFrame(), "methods", "m d methods")
    return "\n".join(text for part in method_sections(found) for _, text in part.notes)


def test_differences_are_paired_so_that_seeds_may_differ_much():
    table = compared(cells(noise=1e-4))
    found = difference(table, LOSS, "memft_ot", "sft")
    assert found.mean == pytest.approx(0.5, abs=1e-3)
    assert found.high - found.low < 1e-3
    assert (found.pairs, found.seeds, found.better, found.differs) == (6, 3, "sft", True)
    places = {place["lora.rank"]: own.mean for place, own in by_place(compared(cells()), LOSS, "memft_ot", "sft")}
    assert places == {2: pytest.approx(1 / 3), 4: pytest.approx(2 / 3)}


def test_the_interval_is_student_s_t_over_seeds():
    table = compared(cells(noise=0.3, seeds=5))
    found = difference(table, LOSS, "memft_ot", "sft")
    by_seed = paired(table, LOSS, "memft_ot", "sft").groupby("seed")["difference"].mean()
    low, high = stats.t.interval(0.95, 4, by_seed.mean(), stats.sem(by_seed))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@given(st.floats(-2, 2), st.integers(0, 50))
def test_swapping_the_methods_turns_the_difference_round(effect: float, seed: int):
    table = compared(cells(effect, noise=0.1)).sample(frac=1, random_state=seed)
    one, other = difference(table, LOSS, "memft_ot", "sft"), difference(table, LOSS, "sft", "memft_ot")
    assert one.mean == pytest.approx(-other.mean)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
    assert one.better == other.better or one.mean == 0


def test_only_cells_that_both_methods_have_are_compared():
    table = compared(cells())
    left = table.drop(table[(table["method.name"] == "sft") & (table["seed"] == 2)].index)
    found = difference(left, LOSS, "memft_ot", "sft")
    assert (found.pairs, found.seeds) == (4, 2)
    assert found.mean == pytest.approx(0.5)
    uneven = table.drop(table[(table["seed"] == 2) & (table["lora.rank"] == 4)].index)
    assert difference(uneven, LOSS, "memft_ot", "sft").mean == pytest.approx(0.5)  # seed 2 lacks a place
    missing = difference(table[table["method.name"] == "sft"], LOSS, "memft_ot", "sft")
    assert (missing.pairs, missing.differs) == (0, None)


def test_sentences_say_who_wins_where_and_when_nobody_does():
    assert "Final loss L: sft beats memft_ot by 0.5 nats in each of 3 seeds." in sentences(cells())
    said = sentences(cells(noise=1e-3))
    assert re.search(
        r"Final loss L: sft beats memft_ot by 0.5\d* nats \(0.4\d+ to 0.5\d*\) \[sft ahead at 2 of 2", said
    )
    assert "Tokens with p > 0.5: no difference between memft_ot and sft: they are equal" in said
    assert "no difference between memft_ot and sft" in sentences(cells(0.0, noise=0.5)).split("Final loss")[1]
    assert "in one seed, so it may be chance" in sentences(cells(seeds=1))


def test_a_place_where_the_other_one_is_ahead_is_named():
    table = cells(0.5, noise=1e-3)
    table.loc[(table["lora.rank"] == 2) & (table["method.name"] == "memft_ot"), "loss_nats"] -= 5
    said = sentences(table)
    assert "[memft_ot ahead at r = 2, ℓ = 128 by" in said
    assert "; sft ahead at r = 4, ℓ = 128 by 0.66" in said


def test_steps_to_recall_say_how_many_recalled():
    table = cells()
    table["steps_to_recall"] = np.where(table["method.name"] == "sft", 50.0, 30.0 + table["seed"])
    table.loc[(table["method.name"] == "memft_ot") & (table["seed"] == 1), "steps_to_recall"] = np.nan
    assert "in the 4 pairs where both have a value (memft_ot 4/6, sft 6/6)" in sentences(table)


def test_constants_that_vary_make_methods_of_their_own():
    table = cells(seeds=2)
    table["method.threshold"] = np.where(table["method.name"] == "sft", np.nan, 0.5)
    assert variants(table).unique().tolist() == ["sft", "memft_ot"]
    more = table[table["method.name"] == "memft_ot"].assign(**{"method.threshold": 0.9})
    assert sorted(variants(pd.concat([table, more], ignore_index=True)).unique()) == [
        "memft_ot threshold=0.5", "memft_ot threshold=0.9", "sft",
    ]  # fmt: skip


def test_an_unfair_comparison_says_so():
    table = cells(total_steps=200, pack_size=4)
    assert "the methods differ in" not in sentences(table)
    assert "cells that trained in one pack share its time" in sentences(table)
    assert "Wall time" not in sentences(table.assign(worker_seconds=1.0))
    assert "Wall time: no difference" in sentences(table.assign(worker_seconds=1.0, pack_size=1))
    table.loc[table["method.name"] == "sft", "total_steps"] = 100
    assert "caution" in [kind for kind, _ in method_sections(compare_methods(table, pd.DataFrame(), "", ""))[0].notes]
    assert "the methods differ in total_steps (memft_ot: 200; sft: 100)" in sentences(table)
    early = cells(steps_trained=200)
    early.loc[early["method.name"] == "sft", "steps_trained"] = np.arange(6) + 40
    assert "the methods differ in steps_trained (memft_ot: 200; sft: 40 to 45)" in sentences(early)


def test_recall_is_what_was_decoded_where_it_was():
    table = pd.DataFrame({"recall_exact_share": [1.0, np.nan], "exact_share": [0.0, 0.5]})
    assert compared(table.assign(**{"method.name": "sft"}))["exact"].tolist() == [1.0, 0.5]
    assert compared(pd.DataFrame({"method.name": ["sft"]}))["exact"].isna().all()


def test_figures_draw_every_metric_and_every_method():
    table = cells(exact_share=0.0, first_wrong_share=0.1)
    rows = [
        {"cell": cell, "step": step, "loss_nats": 1.0, "recalled_share": 0.2, "first_wrong_share": 0.1,
         "active_share": 1.0}
        for cell in table["cell"] for step in (0, 10)
    ]  # fmt: skip
    found = compare_methods(table, pd.DataFrame(rows), "methods", "m d methods")
    titles = [axes.get_title() for axes in methods_figure(found).axes]
    assert [title.split(";")[0] for title in titles if title] == [
        "exact match", "text before the first failure", "tokens with p > 0.5", "final loss L (nats)",
    ]  # fmt: skip
    figure = convergence_figure(found)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["r = 2", "r = 4"]
    assert {text.get_text() for text in figure.axes[1].get_legend().get_texts()} == {"sft", "memft_ot"}
