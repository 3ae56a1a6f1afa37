"""Each rule of MemFT against numbers worked out by hand (method: σ(s·(ℒ + ln τ)) · factor after the anchor)."""

import math
import re

import numpy as np
import pytest
import torch
from helpers.configs import composed
from helpers.methods import method_of, sliding
from hypothesis import given, settings
from hypothesis import strategies as st

from memlaw.core.errors import ConfigError
from memlaw.methods.memft import (
    BatchLosses,
    OnlyThreshold,
    Plain,
    first_wrong,
    threshold_weights,
    weighted_mean,
)
from memlaw.methods.weighting import Weighting
from memlaw.methods.window import Window, next_window, window_factor
from memlaw.planning.cells import compose_cell
from memlaw.planning.checks import check_cell
from memlaw.study.records import read_tokens
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack

FRESH = Window.fresh(1, 1)


def losses(p: list[float], wrong: list[int] | None = None, valid: list[int] | None = None) -> BatchLosses:
    """One row of one cell."""
    nll = -torch.tensor(p, dtype=torch.float64).log()
    wrong_L = torch.tensor(wrong or [0] * len(p)).bool()
    valid_L = torch.tensor(valid or [1] * len(p)).bool()
    return BatchLosses((nll * valid_L)[None, None], (wrong_L & valid_L)[None, None], valid_L[None, None])


def test_the_paper_s_constants_are_the_defaults():
    method = sliding()
    found = (method.threshold, method.sharpness, method.window, method.decay, method.floor)
    assert found == (0.5, 10, 50, 20, 0.01)
    assert (method.patience, method.growth, method.max_expansion, method.min_weight) == (3, 0.5, 4, 1e-5)


def test_plain_fine_tuning_weighs_every_token_but_padding():
    weights, _ = Plain("sft").weigh(losses([0.1, 0.9, 0.5], valid=[1, 1, 0]), FRESH)
    assert weights.tolist() == [[[1, 1, 0]]]


def test_the_threshold_lets_go_of_a_token_at_exactly_one_half():
    above, below = math.nextafter(0.5, 1), math.nextafter(0.5, 0)
    exact = BatchLosses(*(value for value in vars(losses([above, 0.5, below, 0.01, 0.99])).values()))
    exact.nll_NBL[0, 0, 1] = -math.log(0.5)
    assert threshold_weights(exact, 0.5).tolist() == [[[0, 0, 1, 1, 0]]]
    assert threshold_weights(losses([0.55, 0.65]), 0.6).tolist() == [[[1, 0]]]


@pytest.mark.parametrize(("rule", "expected"), [("zero", [0, 0]), ("stop", [0, 0]), ("mean", [1, 1])])
def test_with_nothing_active_the_step_does_what_the_key_says(rule, expected):
    weights, _ = OnlyThreshold("ot", 0.5, rule).weigh(losses([0.8, 0.9]), FRESH)
    assert weights.tolist() == [[expected]]


def test_a_step_without_weights_has_no_loss_and_no_gradient():
    nll = torch.tensor([[[0.1, 0.2]]], requires_grad=True)
    loss = weighted_mean(nll, torch.zeros(1, 1, 2))
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert nll.grad is not None
    assert nll.grad.tolist() == [[[0, 0]]]
    weighted = weighted_mean(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[0.5, 0.0, 0.25]]]))
    assert weighted.tolist() == pytest.approx([(0.5 * 1 + 0.25 * 3) / 0.75])


def test_the_anchor_is_the_first_wrong_token():
    assert first_wrong(losses([0.1] * 4, wrong=[0, 0, 1, 1])).tolist() == [[2]]
    assert first_wrong(losses([0.9] * 4)).tolist() == [[4]]
    assert first_wrong(losses([0.9] * 4, valid=[1, 1, 1, 0])).tolist() == [[3]]


def test_the_factor_before_within_at_the_edge_and_beyond_the_window():
    window = Window(torch.tensor([[2]]), torch.tensor([[0]]), torch.tensor([[1.0]]))
    factor = window_factor(window, 60, width=50, decay=20, floor=0.01)[0, 0]
    assert factor[0] == factor[1] == factor[2] == 1  # before the anchor, and at it
    assert factor[3] == pytest.approx(math.exp(-1 / 20))
    assert factor[2 + 49] == pytest.approx(math.exp(-49 / 20))
    assert factor[2 + 50] == pytest.approx(0.01)
    assert factor[59] == pytest.approx(0.01)
    wider = Window(window.anchor, window.stayed, torch.tensor([[1.1]]))
    assert window_factor(wider, 60, 50, 20, 0.01)[0, 0, 2 + 54] == pytest.approx(math.exp(-54 / 20))
    assert window_factor(wider, 60, 50, 20, 0.01)[0, 0, 2 + 55] == pytest.approx(0.01)


def test_the_window_widens_once_the_anchor_has_stayed_three_times_up_to_four_and_falls_back():
    window, expansions = FRESH, []
    for anchor in [5] * 12 + [6, 6, 6, 6]:
        window = next_window(torch.tensor([[anchor]]), window, patience=3, growth=0.5, most=4)
        expansions.append(window.expansion.item())
    assert expansions == [1, 1, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4, 4, 4, 1, 1, 1, 1.5]


def test_the_sliding_window_s_weights_are_the_formula():
    p, wrong = [0.9, 0.4, 0.2, 0.6, 0.05], [0, 0, 1, 0, 1]
    weights, window = sliding(window=2).weigh(losses(p, wrong), FRESH)
    soft = [1 / (1 + math.exp(-10 * (-math.log(q) + math.log(0.5)))) for q in p]
    factor = [1, 1, 1, math.exp(-1 / 20), 0.01]
    assert weights[0, 0].tolist() == pytest.approx([s * f for s, f in zip(soft, factor, strict=True)])
    assert window.anchor.tolist() == [[2]]


def test_with_all_right_the_factor_is_one_everywhere_and_with_no_weight_the_mean_is_plain():
    weights, _ = sliding().weigh(losses([0.6] * 60), FRESH)
    soft = 1 / (1 + math.exp(-10 * (math.log(0.5) - math.log(0.6))))
    assert weights[0, 0].tolist() == pytest.approx([soft] * 60)
    weights, _ = sliding(sharpness=40).weigh(losses([0.99, 0.995, 0.5], valid=[1, 1, 0]), FRESH)
    assert weights.tolist() == [[[1, 1, 0]]]


def test_a_table_is_trained_by_the_threshold_with_a_curriculum():
    config = composed("method=memft_sw", "method.all_recalled=mean")
    method = method_of(config, 20)
    assert isinstance(method, OnlyThreshold)
    assert (method.threshold, method.all_recalled) == (0.5, "mean")
    assert method.curriculum.shares == (0.2, 0.4, 0.6, 0.8)
    assert method_of(composed("method=memft_ot"), 20).curriculum.shares == ()
    assert method_of(config, 1).curriculum.shares == ()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("method.threshold=1.5", "method.threshold=1.5 is not between 0 and 1"),
        ("method.all_recalled=never", "method.all_recalled=never is not one of zero, mean, stop"),
        ("method.window=0", "method.window=0 is not above 0"),
        ("method.curriculum.shares=[0.5,0.2,0.6,0.8]", "method.curriculum: shares="),
    ],
)
def test_impossible_constants_are_refused(override, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_cell(compose_cell(composed("method=memft_sw", override)))


@settings(max_examples=20)
@given(st.lists(st.permutations(range(4)), min_size=1, max_size=6), st.integers(0, 2**16))
def test_state_belongs_to_the_sample_whatever_the_order_and_the_batch(orders, seed):
    generator = torch.Generator().manual_seed(seed)
    method = sliding()
    batched, single = Weighting([method], 4), [Weighting([method], 1) for _ in range(4)]
    for order in orders:
        p = torch.rand(4, 7, generator=generator).clamp(0.01, 0.99)
        wrong = (p < 0.5) & (torch.rand(4, 7, generator=generator) < 0.5)
        for rows in (order[:3], [order[3], -1, -1]):  # a shuffled epoch whose last batch is partial
            at = torch.tensor([max(row, 0) for row in rows])
            valid = (torch.tensor(rows) >= 0)[None, :, None].expand(1, 3, 7)
            nll = -p[at].log()[None]
            together = batched(BatchLosses(nll * valid, wrong[at][None] & valid, valid), torch.tensor([rows]))
            for place, row in enumerate(rows):
                if row < 0:
                    assert not together[0, place].any()
                    continue
                one = BatchLosses(-p[row].log()[None, None], wrong[row][None, None], torch.ones(1, 1, 7).bool())
                alone = single[row](one, torch.tensor([[0]]))[0, 0]
                torch.testing.assert_close(together[0, place], alone)


def test_cells_of_a_pack_have_their_own_methods_and_state_survives_dropping_cells_and_a_checkpoint():
    methods = [Plain("sft"), sliding(), OnlyThreshold("ot", 0.5, "zero"), sliding(threshold=0.6)]
    rows = losses([0.3, 0.55, 0.7], wrong=[0, 1, 0])
    four = BatchLosses(*(value.expand(4, 1, 3).clone() for value in vars(rows).values()))
    at = torch.zeros(4, 1, dtype=torch.long)
    pack = Weighting(methods, 1)
    for _ in range(5):
        weights = pack(four, at)
    for n, method in enumerate(methods):
        alone = Weighting([method], 1)
        for _ in range(5):
            expected = alone(rows, at[:1])
        torch.testing.assert_close(weights[n], expected[0])
    assert pack.window.expansion[1, 0] > 1
    again = Weighting(methods, 1)
    for n in range(4):
        again.restore(n, pack.state(n, 1))
    for weighting in (pack, again):
        weighting.keep([1, 3])
    two = BatchLosses(*(value[:2] for value in vars(four).values()))
    torch.testing.assert_close(pack(two, at[:2]), again(two, at[:2]))
    looked = pack(two, at[:2], advance=False)
    torch.testing.assert_close(looked, pack(two, at[:2], advance=False))


def test_the_recorded_weights_are_those_that_trained(tiny, monkeypatch):
    """Also of a window that widens: at each evaluation, the weights of the step whose forward it was."""
    used = {}
    step = PackModule.training_step

    def noted(self, rows_NB, index):
        loss = step(self, rows_NB, index)
        used[self.steps_taken] = self.last_forward.weight_NBL[0, 0].clone().numpy()
        return loss

    monkeypatch.setattr(PackModule, "training_step", noted)
    cell, cfg = tiny("method=memft_sw", "method.window=10", "seq_len=60", "steps=20", "stop.when_recalled=false",
                     "data.random_ratio=1.0", "eval.per_decade=20")  # fmt: skip
    cell.plan()
    train_pack([cell], cfg)
    tokens = read_tokens(cell.paths.tokens)
    steps = [step for step in tokens["step"].unique() if step in used]
    assert len(steps) > 8
    for at in steps:
        np.testing.assert_array_equal(tokens.loc[tokens["step"] == at, "weight"], used[at], err_msg=str(at))


@pytest.mark.parametrize(
    ("method", "override", "said"),
    [
        ("memft_ot", "method.threshold=abc", "method.threshold=abc is not between 0 and 1"),
        ("memft_ot", "method.threshold=null", "method.threshold=null is not between 0 and 1"),
        ("memft_sw", "method.floor=-1", "method.floor=-1 is not at least 0"),
        ("memft_sw", "method.patience=2.5", "method.patience=2.5 is not a whole number"),
        ("memft_sw", "method.max_expansion=0.5", "method.max_expansion=0.5 is not at least 1"),
        ("memft_sw", "method.window=inf", "method.window=inf is not above 0"),
        ("memft_sw", "method.min_weight=nan", "method.min_weight=nan is not at least 0"),
        ("memft_sw", "method.curriculum=null", "method.curriculum=null is not a curriculum"),
        ("memft_sw", "method.curriculum.shares=0.2", "method.curriculum.shares=0.2 is not a list"),
        ("memft_sw", "method.curriculum.until_epochs=[1.5,2,3,4]", "are not whole numbers"),
        ("sft", "eval.recall.greedy=maybe", "eval.recall.greedy=maybe is neither true nor false"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_their_key(tiny, method, override, said):
    cell, _ = tiny(f"method={method}", override)
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_cell(cell)


def test_plain_fine_tuning_takes_no_other_methods_constants(tiny):
    with pytest.raises(ConfigError, match=r"method: .*threshold"):
        check_cell(tiny("+method.threshold=0.1")[0])


def test_sampling_needs_decoding(tiny):
    cell, _ = tiny("eval.recall.greedy=false", "eval.recall.temperature=1.0")
    with pytest.raises(ConfigError, match=r"needs eval\.recall\.greedy=true"):
        check_cell(cell)
