"""Names of any length become names that services take, and are still told apart."""

import hashlib
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from memlaw.tracking.contents import run_id, run_tags
from memlaw.tracking.names import shortened
from memlaw.tracking.trackio_service import run_name
from memlaw.tracking.wandb_service import WandbService, _study_artifact, artifact_name

LONG = "l" * 200


@pytest.mark.parametrize("limit", [64, 128])
def test_a_name_is_kept_if_it_fits_and_else_ends_in_a_digest(limit: int):
    assert shortened("n" * limit, limit) == "n" * limit
    long = "n" * limit + "x"
    assert shortened(long, limit) == "n" * (limit - 9) + "-" + hashlib.sha256(long.encode()).hexdigest()[:8]
    assert shortened(f"{long}a", limit) != shortened(f"{long}b", limit)


def test_wandb_gets_no_name_that_it_refuses_and_can_tell_them_apart(tiny, monkeypatch):
    begun = MagicMock()
    monkeypatch.setattr("wandb.init", begun)
    for end in "ab":
        cell, _ = tiny(f"study={LONG}{end}", f"model.name={LONG[:150]}{end}")
        WandbService("offline", "p", None, timeout_s=1, stagger_s=0).init(cell, "offline")
    told = [call.kwargs for call in begun.call_args_list]
    for key in ("group", "name", "id"):
        assert max(len(one[key]) for one in told) <= 128
        assert told[0][key] != told[1][key]
    assert all(1 <= len(tag) <= 64 for one in told for tag in one["tags"])
    assert told[0]["tags"] != told[1]["tags"]
    assert {one["config"]["study"] for one in told} == {f"{LONG}a", f"{LONG}b"}  # what dashboards go by


def test_artifacts_of_long_names_are_wandbs(tmp_path: Path):
    made = [_study_artifact(tmp_path / f"{LONG}{end}").name for end in "ab"]
    assert len(set(made)) == 2
    assert len(artifact_name(f"records-{LONG}")) == 128


def test_what_fits_is_called_what_it_is(tiny):
    cell, _ = tiny("study=mine")
    assert run_name(cell) == f"mine-{cell.name}"
    assert run_id(cell).endswith(cell.hash)
    assert cell.config.model.name in run_tags(cell)
    assert len(run_name(tiny(f"study={LONG}")[0])) == 128
