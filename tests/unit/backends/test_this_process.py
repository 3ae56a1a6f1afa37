import logging
from types import SimpleNamespace

import pytest

from memlaw.backends.this_process import ThisProcess
from memlaw.planning.cost import UNMEASURED
from memlaw.planning.planned import Pack, Plan


@pytest.fixture
def plan(tiny) -> Plan:
    """Two packs of a cell each."""
    cells = [tiny(f"seed={seed}")[0] for seed in (0, 1)]
    return Plan([Pack([SimpleNamespace(cell=cell)], bytes=1) for cell in cells], UNMEASURED)


def test_each_wait_trains_a_pack_and_the_last_finds_none(plan, monkeypatch):
    trained = []
    monkeypatch.setattr("memlaw.training.pack.train_pack", lambda cells, settings: trained.append((cells, settings)))
    with ThisProcess().submit(plan, "settings") as handle:
        assert handle.cells == [cell for pack in plan.packs for cell in pack.cells]
        assert [handle.wait(0) for _ in range(3)] == [False, False, True]
    assert trained == [(pack.cells, "settings") for pack in plan.packs]


def test_training_is_logged_to_the_studys_directory_and_nothing_after_it(plan, monkeypatch):
    def interrupted(cells, settings) -> None:
        logging.getLogger("memlaw").warning("while it trains")
        raise KeyboardInterrupt

    monkeypatch.setattr("memlaw.training.pack.train_pack", interrupted)
    root = logging.getLogger()
    before = list(root.handlers)
    with pytest.raises(KeyboardInterrupt), ThisProcess().submit(plan, "settings") as handle:
        handle.wait(0)
    logging.getLogger("memlaw").warning("afterwards")
    log = (plan.packs[0].cells[0].study / "logs/main.log").read_text()
    assert "while it trains" in log
    assert "afterwards" not in log
    assert root.handlers == before
