from unittest.mock import MagicMock, patch

import pandas as pd
import pytest

from memlaw.tracking.contents import without_nulls
from memlaw.tracking.from_records import recorded_curves
from memlaw.tracking.tracker import Tracker
from memlaw.training.pack import train_pack


def test_the_curves_of_the_records_are_those_of_training(tiny):
    cell, cfg = tiny("steps=20", "seq_len=8", "stop.when_recalled=false")
    told = []
    tracker = Tracker(MagicMock(mode="online", timeout_s=30))
    tracker.service.open.return_value.log = lambda step, values: told.append((step, values))
    cell.plan()
    with patch("memlaw.training.pack.Tracker", return_value=tracker):
        train_pack([cell], cfg)
    assert len(told) >= 6
    for (step, values), (evaluated, scalars) in zip(
        told[:-1], recorded_curves(pd.read_parquet(cell.paths.tokens)), strict=True
    ):
        assert step == evaluated.step
        assert without_nulls(scalars) == pytest.approx(without_nulls({name: values[name] for name in scalars}))
        assert set(values) - set(scalars) == {"learning_rate", "tokens_per_second", "p"}
