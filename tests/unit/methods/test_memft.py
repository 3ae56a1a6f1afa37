"""Each rule of MemFT against numbers worked out by hand (method: σ(s·(ℒ + ln τ)) · factor after the anchor)."""

import math
import re

import pytest
import torch
from helpers.batch_losses import losses_of
from helpers.configs import composed
from helpers.methods import method_of, sliding

from memlaw.core.errors import ConfigError
from memlaw.methods.memft import (
    BatchLosses,
    OnlyThreshold,
    Plain,
    threshold_weights,
    weighted_mean,
)
from memlaw.methods.window import Window
from memlaw.planning.cells import compose_cell
from memlaw.planning.checks import check_cell

FRESH = Window.fresh(1, 1)


def test_the_paper_s_constants_are_the_defaults():
    method = sliding()
    found = (method.threshold, method.sharpness, method.window, method.decay, method.floor)
    assert found == (0.5, 10, 50, 20, 0.01)
    assert (method.patience, method.growth, method.max_expansion, method.min_weight) == (3, 0.5, 4, 1e-5)


def test_plain_fine_tuning_weighs_every_token_but_padding():
    weights, _ = Plain("sft").weigh(losses_of([0.1, 0.9, 0.5], valid=[1, 1, 0]), FRESH)
    assert weights.tolist() == [[[1, 1, 0]]]


def test_the_threshold_lets_go_of_a_token_at_exactly_one_half():
    above, below = math.nextafter(0.5, 1), math.nextafter(0.5, 0)
    exact = BatchLosses(*(value for value in vars(losses_of([above, 0.5, below, 0.01, 0.99])).values()))
    exact.nll_NBL[0, 0, 1] = -math.log(0.5)
    assert threshold_weights(exact, 0.5).tolist() == [[[0, 0, 1, 1, 0]]]
    assert threshold_weights(losses_of([0.55, 0.65]), 0.6).tolist() == [[[1, 0]]]


@pytest.mark.parametrize(("rule", "expected"), [("zero", [0, 0]), ("stop", [0, 0]), ("mean", [1, 1])])
def test_with_nothing_active_the_step_does_what_the_key_says(rule, expected):
    weights, _ = OnlyThreshold("ot", 0.5, rule).weigh(losses_of([0.8, 0.9]), FRESH)
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


def test_the_sliding_window_s_weights_are_the_formula():
    p, wrong = [0.9, 0.4, 0.2, 0.6, 0.05], [0, 0, 1, 0, 1]
    weights, window = sliding(window=2).weigh(losses_of(p, wrong), FRESH)
    soft = [1 / (1 + math.exp(-10 * (-math.log(q) + math.log(0.5)))) for q in p]
    factor = [1, 1, 1, math.exp(-1 / 20), 0.01]
    assert weights[0, 0].tolist() == pytest.approx([s * f for s, f in zip(soft, factor, strict=True)])
    assert window.anchor.tolist() == [[2]]


def test_with_all_right_the_factor_is_one_everywhere_and_with_no_weight_the_mean_is_plain():
    weights, _ = sliding().weigh(losses_of([0.6] * 60), FRESH)
    soft = 1 / (1 + math.exp(-10 * (math.log(0.5) - math.log(0.6))))
    assert weights[0, 0].tolist() == pytest.approx([soft] * 60)
    weights, _ = sliding(sharpness=40).weigh(losses_of([0.99, 0.995, 0.5], valid=[1, 1, 0]), FRESH)
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
