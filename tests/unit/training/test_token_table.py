from memlaw.data.memory import Memory, Pair
from memlaw.training.token_table import TokenTable

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
    table = TokenTable.from_memories([ONE, OTHER, ONE]).select([2, 1])
    assert table.pairs == (2, 1)
    assert table.input_ids_NPT[0, 0].tolist() == [1, 2, 3, 4, 5]
