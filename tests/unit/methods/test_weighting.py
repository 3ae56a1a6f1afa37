import numpy as np
import torch
from helpers.batch_losses import losses_of
from helpers.methods import sliding
from hypothesis import given, settings
from hypothesis import strategies as st

from memlaw.methods.memft import (
    BatchLosses,
    OnlyThreshold,
    Plain,
)
from memlaw.methods.weighting import Weighting
from memlaw.study.records import read_tokens
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack


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
    rows = losses_of([0.3, 0.55, 0.7], wrong=[0, 1, 0])
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
