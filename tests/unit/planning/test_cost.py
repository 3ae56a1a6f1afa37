import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from memlaw.planning.cost import CostModel
from memlaw.training.pack import train_pack

QUICK = ("seq_len=60", "stop.when_recalled=false", "eval.recall.greedy=false")


@pytest.mark.parametrize(
    "overrides",
    [
        ["lora.layers=[5]"],
        ["lora.layers=[5]", "lora.placement=block"],
        ["lora.layers=[5]", "lora.target_modules=[v_proj]"],
        ["lora.layers=[5]", "trainer.prefix_cache_gb=0"],
        ["lora.layers=[5]", "trainer.prefix_cache_gb=5e-5"],
        ["lora.layers=null"],
        ["lora.layers=[5]", "lora.dropout=0.1"],
        ["lora.layers=[5]", "data=phonebook", "batch_size=2"],
    ],
    ids=["output projection", "block", "before attention", "no cache", "small cache", "all layers", "dropout", "table"],
)
def test_a_step_costs_what_torch_counts(tiny, overrides: list[str]):
    """Against torch's own count of a cell with more steps and one with fewer, whose prefix costs the same."""
    big = ["model.sizes.num_hidden_layers=8", "model.sizes.hidden_size=128", "model.sizes.intermediate_size=384"]
    counts = {}
    for steps in (1, 2, 6):  # the first also pays for what is done once per model
        cell, cfg = tiny(*big, *QUICK, f"steps={steps}", *overrides)
        cell.plan()
        with FlopCounterMode(display=False) as counter:
            train_pack([cell], cfg)
        assert cell.state == "done", cell.status
        counts[steps] = counter.get_total_flops()
    stated = json.loads(cell.paths.result.read_text())["step_flops"]
    assert stated == pytest.approx((counts[6] - counts[2]) / 4, rel=0.1)


@given(st.floats(0, 1), st.floats(1e-13, 1e-9), st.integers(1, 16))
def test_the_model_finds_the_costs_that_made_the_times(step_seconds, flop_seconds, pack_size):
    flops, sizes = [1e9, 4e10, 2e11, 3e9], [1, 4, 16, 2]
    seconds = [step_seconds / n + flop_seconds * f for n, f in zip(sizes, flops, strict=True)]
    fitted = CostModel.from_cells(sizes, flops, seconds)
    predicted = fitted.cell_seconds(7e9, pack_size, 100)
    assert predicted == pytest.approx(100 * (step_seconds / pack_size + flop_seconds * 7e9), rel=1e-3)


def test_one_finished_cell_is_enough():
    fitted = CostModel.from_cells([4], [1e9], [0.5])
    assert fitted.cell_seconds(1e9, 4, 10) == pytest.approx(5)


def test_the_guess_is_a_time_of_this_machine():
    guess = CostModel.guess(torch.device("cpu"), torch.float32)
    assert 1e-13 < guess.flop_seconds < 1e-8  # between 0.1 and 10,000 GFLOP/s
    assert guess.measured_cells == 0
