from itertools import islice

import numpy as np
import torch

from memlaw.data.curriculum import WHOLE
from memlaw.data.memory import Memory, Pair
from memlaw.data.tokens import RowOrder, TokenTable

ONE = Memory((Pair((1, 2), (3, 4, 5)), Pair((6,), (7,))))
OTHER = Memory((Pair((8, 9, 10), (11, 12)),))


def test_rows_are_padded_on_the_right_and_positions_point_at_target_tokens():
    table = TokenTable.from_memories([ONE, OTHER])
    assert table.pairs == (2, 1)
    assert table.input_ids_NPT.tolist() == [[[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]], [[8, 9, 10, 11, 12], [0] * 5]]
    targets = table.input_ids_NPT.gather(2, table.position_NPL)
    assert targets[table.valid_NPL].tolist() == [3, 4, 5, 7, 11, 12]
    assert table.position_NPL.min() >= 1


def test_selecting_cells_keeps_their_rows():
    table = TokenTable.from_memories([ONE, OTHER, ONE]).select(torch.tensor([2, 1]))
    assert table.pairs == (2, 1)
    assert table.input_ids_NPT[0, 0].tolist() == [1, 2, 3, 4, 5]


def test_every_pair_is_visited_once_an_epoch_in_an_order_of_the_cells_own():
    batches = list(islice(RowOrder((5, 5), (0, 1), (WHOLE, WHOLE), 2), 6))
    for epoch in (batches[:3], batches[3:]):
        for cell in (0, 1):
            seen = torch.cat([batch[cell] for batch in epoch])
            assert sorted(seen.tolist()) == [-1, 0, 1, 2, 3, 4]
    alone = list(islice(RowOrder((5,), (1,), (WHOLE,), 2), 6))
    assert all(torch.equal(batch[1], single[0]) for batch, single in zip(batches, alone, strict=True))
    assert not all(torch.equal(batch[0], batch[1]) for batch in batches)


def test_one_pair_is_one_row_whatever_the_batch_size():
    assert [batch.tolist() for batch in islice(RowOrder((1,), (0,), (WHOLE,), 4), 3)] == [[[0]]] * 3


def test_the_fingerprint_sees_boundaries():
    assert Memory((Pair((1, 2), (3,)),)).fingerprint != Memory((Pair((1,), (2, 3)),)).fingerprint
    assert ONE.target_tokens == 4
    assert np.unique([ONE.fingerprint, OTHER.fingerprint]).size == 2
