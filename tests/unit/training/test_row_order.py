from itertools import islice

import pytest
import torch
from helpers.packs import BOOK, make_cells, train
from hypothesis import given
from hypothesis import strategies as st

from memlaw.methods.curriculum import WHOLE
from memlaw.training.module import PackModule
from memlaw.training.row_order import RowOrder, row_stream

STREAMS = ((5, 0), (5, 1), (4, 2))
"""Pairs and seeds of three cells."""


def order(steps: range, cells=STREAMS) -> RowOrder:
    return RowOrder([row_stream(pairs, seed, WHOLE, 2) for pairs, seed in cells], steps)


def test_every_pair_is_visited_once_an_epoch_in_an_order_of_the_cells_own():
    batches = list(order(range(6), STREAMS[:2]))
    for epoch in (batches[:3], batches[3:]):
        for cell in (0, 1):
            seen = torch.cat([batch[cell] for batch in epoch])
            assert sorted(seen.tolist()) == [-1, 0, 1, 2, 3, 4]
    alone = order(range(6), STREAMS[1:2])
    assert all(torch.equal(batch[1], single[0]) for batch, single in zip(batches, alone, strict=True))
    assert not all(torch.equal(batch[0], batch[1]) for batch in batches)


def test_one_pair_is_one_row_whatever_the_batch_size():
    assert [rows.tolist() for rows in islice(row_stream(1, 0, WHOLE, 4), 3)] == [[0]] * 3


@given(st.integers(0, 12), st.integers(0, 12), st.sets(st.sampled_from(range(3)), min_size=1))
def test_cells_that_stay_have_the_order_of_a_pack_of_one_wherever_it_starts_and_others_leave(start, leave, kept):
    together, batches = order(range(start, 12)), []
    for count, rows_NB in enumerate(together):
        batches.append(rows_NB[sorted(kept)] if count <= leave else rows_NB)
        if count == leave:
            together.keep(sorted(kept))
    assert len(batches) == len(together) == 12 - start
    for place, n in enumerate(sorted(kept)):
        alone = list(order(range(12), STREAMS[n : n + 1]))[start:]
        assert all(torch.equal(rows[place], single[0]) for rows, single in zip(batches, alone, strict=True))


def test_the_steps_of_a_cell_that_stays_get_its_own_rows_and_no_others(tiny, monkeypatch):
    """Through Lightning, which must not have fetched a batch before cells leave."""
    early = ("stop.when_recalled=true", "stop.every=5", "stop.patience=1", "stop.p_above=0.3", "optimizer.lr=0.02")
    points = [(f"lora.rank={rank}", *BOOK, "seq_len=50", *early) for rank in (16, 1)]
    step, seen = PackModule.training_step, []

    def noted(self, rows_NB, index):
        seen.append((rows_NB.tolist(), len(self.pack.cells)))
        return step(self, rows_NB, index)

    monkeypatch.setattr(PackModule, "training_step", noted)
    train(*make_cells(tiny, points, "study=together"))
    together, seen = seen, []
    train(*make_cells(tiny, points[1:], "study=alone"))
    assert {cells for _, cells in together} == {1, 2}
    assert [len(rows) for rows, _ in together] == [cells for _, cells in together]
    assert [rows[-1] for rows, _ in together] == [rows[0] for rows, _ in seen]


@pytest.mark.parametrize("steps", [range(7), range(3, 7), range(7, 7)])
def test_an_order_has_as_many_batches_as_steps(steps):
    assert len(list(order(steps))) == len(order(steps)) == len(steps)
