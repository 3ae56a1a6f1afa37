from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlaw.core.errors import ConfigError
from memlaw.methods.curriculum import WHOLE, Curriculum
from memlaw.methods.schedule import Schedule, schedule_of
from memlaw.training.row_order import row_stream

PAPER = Curriculum((0.2, 0.4, 0.6, 0.8), (20, 40, 60, 80))


def test_shares_are_rounded_down_to_whole_batches_but_never_to_none():
    assert [PAPER.pairs_in(epoch, 100, 10) for epoch in (0, 19, 20, 45, 79, 80, 500)] == [20, 20, 40, 60, 80, 100, 100]
    assert PAPER.pairs_in(0, 100, 15) == 15
    assert PAPER.pairs_in(0, 10, 4) == 4
    assert PAPER.pairs_in(0, 3, 4) == 3
    assert PAPER.pairs_in(80, 103, 10) == 103
    assert WHOLE.pairs_in(0, 7, 2) == 7


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 3))
def test_pairs_join_and_never_leave(pairs, batch, seed):
    curriculum, batch, seen = Curriculum((0.3, 0.7), (2, 4)), min(batch, pairs), []
    batches = row_stream(pairs, seed, curriculum, batch)
    for epoch in range(6):
        taking_part = curriculum.pairs_in(epoch, pairs, batch)
        rows = [row for rows in islice(batches, -(-taking_part // batch)) for row in rows.tolist() if row >= 0]
        assert sorted(rows) == sorted(set(rows))
        assert len(rows) == taking_part
        seen.append(set(rows))
    assert all(before <= after for before, after in pairwise(seen))
    assert seen[-1] == set(range(pairs))


@pytest.mark.parametrize(("steps", "epochs"), [(200, None), (None, 80)])
def test_a_run_that_ends_before_all_pairs_took_part_is_refused(steps, epochs):
    class Config:
        batch_size = 10

    Config.steps, Config.epochs = steps, epochs
    with pytest.raises(ConfigError, match=r"that takes 410 steps, or epochs=81"):
        schedule_of(Config, 100, PAPER)
    assert schedule_of(Config, 100, WHOLE).total_steps == (200 if steps else 800)


def test_epochs_are_counted_in_the_batches_that_take_part():
    class Config:
        batch_size, steps, epochs = 10, None, 100

    assert schedule_of(Config, 100, PAPER) == Schedule(10, 20 * (2 + 4 + 6 + 8) + 20 * 10)
    assert schedule_of(Config, 100, WHOLE) == Schedule(10, 1000)


@pytest.mark.parametrize(
    ("shares", "until"),
    [((0.2,), ()), ((0.4, 0.2), (1, 2)), ((0.2, 1.4), (1, 2)), ((0.2, 0.4), (5, 5)), ((0.0,), (3,))],
)
def test_what_is_no_curriculum_is_refused(shares, until):
    with pytest.raises(ConfigError, match="ascending and above 0"):
        Curriculum(shares, until)
