import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from memlaw.verification.batches import BATCH_ROWS, BATCH_TOKENS, Kept, batches_of, silent


@given(st.lists(st.integers(1, 3 * BATCH_TOKENS), min_size=1, max_size=200))
def test_each_row_is_in_one_batch_and_batches_are_small(sizes: list[int]):
    batches = batches_of(sizes)
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    for batch in batches:
        longest = max(sizes[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= BATCH_TOKENS
        assert len(batch) <= BATCH_ROWS


def test_what_was_computed_is_read(tmp_path):
    computed = []

    def compute(batch):
        computed.append(batch)
        return pd.DataFrame({"pair": batch})

    kept = Kept(tmp_path / "scores")
    first = kept.run([[0, 1], [2]], compute, silent)
    again = kept.run([[0, 1], [2]], compute, silent)
    pd.testing.assert_frame_equal(first, again)
    assert computed == [[0, 1], [2]]
    assert len(Kept(None).run([[0]], compute, silent)) == 1
