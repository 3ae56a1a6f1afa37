from unittest.mock import MagicMock

import pytest

from memlaw.core.errors import ConfigError
from memlaw.tracking.contents import run_id
from memlaw.tracking.wandb_service import WandbService


def test_the_run_id_comes_from_the_cells_hash_and_differs_between_studies(tiny):
    one, other = tiny()[0], tiny("study=other")[0]
    assert one.hash == other.hash
    assert run_id(one).endswith(one.hash)
    assert run_id(one) != run_id(other)


@pytest.mark.parametrize(
    ("project", "entity", "key"),
    [("a/b", None, "project"), ("a" * 129, None, "project"), ("", None, "project"), (None, None, "project"),
     (2, None, "project"), ("p", "me/you", "entity"), ("p", "", "entity")],
)  # fmt: skip
def test_names_that_wandb_refuses_are_refused_by_key(project, entity, key):
    with pytest.raises(ConfigError, match=rf"logger\.{key}="):
        WandbService("offline", project, entity, timeout_s=1, stagger_s=0)


@pytest.mark.parametrize("everyone", [True, False])
def test_what_befalls_one_run_leaves_the_others_online(tiny, monkeypatch, caplog, everyone: bool):
    import wandb

    modes = []

    def init(**how):
        modes.append(how["mode"])
        if len(modes) == 1:
            raise (wandb.errors.CommError if everyone else wandb.errors.UsageError)("refused")
        return MagicMock(offline=how["mode"] == "offline")

    monkeypatch.setattr(wandb, "init", init)
    service = WandbService("online", "p", "me", timeout_s=1, stagger_s=0)
    for _ in range(2):
        service.open(tiny()[0])
    assert modes == ["online", "offline", "offline" if everyone else "online"]
    assert ("runs are stored offline" in caplog.text) == everyone
