import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from memlaw_analysis.tables.wandb_runs import table_of

from memlaw.study.records import RESULT_COLUMNS
from memlaw.tracking.contents import CURVES, run_id, run_summary, without_nulls
from memlaw.tracking.tracker import Tracker
from memlaw.tracking.wandb_service import WandbService
from memlaw.training.pack import train_pack


@pytest.fixture
def offline(tiny, request):
    """A cell whose runs go to W&B offline, and its settings."""

    study = re.sub(r"\W+", "_", request.node.name)  # W&B holds the ids of a process's broken runs

    def make(*overrides: str):
        cell, cfg = tiny("steps=20", "seq_len=16", "stop.when_recalled=false", f"study={study}", *overrides)
        cfg.logger.mode = "offline"
        cfg.logger.timeout_s = 30
        cell.plan()
        return cell, cfg

    return make


def summary_of(run: Path) -> dict:
    """State, config and latest values of an offline run, read back by W&B's own reader."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--summary", "--json", str(run)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def told(read: dict) -> dict:
    """What a run's summary holds of `result.json`; the reader leaves out nulls."""
    return {name: value for name, value in read["summary"].items() if name in RESULT_COLUMNS or name == "version"}


def test_the_summary_of_a_recalled_cell_is_its_result_nulls_included(offline):
    cell, cfg = offline("stop.when_recalled=true", "stop.p_above=0.5", "steps=2000", "seq_len=8", "lora.rank=8")
    train_pack([cell], cfg)
    (run,) = (cell.study / "wandb").glob(f"offline-run-*-{run_id(cell)}")
    result = json.loads(cell.paths.result.read_text())
    assert result["stop_reason"] == "recalled" and result["first_stubborn"] is None
    read = summary_of(run)
    assert told(read) == without_nulls(run_summary(result))
    table = table_of([SimpleNamespace(**{**read, "state": "finished"})])
    (row,) = table.astype(object).where(table.notna(), None).to_dict("records")
    assert without_nulls(row) == without_nulls(result)


def test_an_interrupted_run_is_summed_up_by_its_last_evaluation(offline):
    cell, _ = offline()
    tracker = Tracker(WandbService("offline", "project", None, timeout_s=30, stagger_s=0))
    mirror = tracker.start(cell)
    last = dict.fromkeys(CURVES, 0.5) | {"first_stubborn": None}
    mirror.log(0, {**last, "first_stubborn": 8, "loss_nats": 9.0}, np.ones(3))
    mirror.log(5, last, np.ones(3))
    mirror.interrupt()
    tracker.drain()
    (run,) = (cell.study / "wandb").glob("offline-run-*")
    summary = summary_of(run)["summary"]
    assert {name: summary[name] for name in CURVES if name in summary} == without_nulls(last)


def test_each_cell_of_a_pack_has_its_own_run_with_config_and_summary(offline):
    cells = [offline(f"lora.rank={rank}") for rank in (1, 2)]
    train_pack([cell for cell, _ in cells], cells[0][1])
    for cell, _ in cells:
        (run,) = (cell.study / "wandb").glob(f"offline-run-*-{run_id(cell)}")
        read = summary_of(run)
        result = json.loads(cell.paths.result.read_text())
        assert read["config"]["rank"] == read["config"]["config"]["lora"]["rank"] == cell.config.lora.rank
        assert read["config"]["study"] == cell.study.name
        assert told(read) == without_nulls(run_summary(result))
        (table,) = (run / "files/media/table").glob("stubborn_tokens*.json")
        held = json.loads(table.read_text())
        assert held["columns"] == ["pair", "position", "token", "p", "argmax", "argmax_p", "base_nll"]
        assert len(held["data"]) == 16
        assert list((run / "files/media/images").glob("probability_strip*.png"))


def test_a_cell_that_starts_again_logs_each_step_once(tiny, monkeypatch):
    import wandb

    logged = []

    class Run:
        offline = True
        step = 6  # what an interrupted process had logged: steps up to 5

        def __init__(self):
            self.summary = {}

        def define_metric(self, *_, **__):
            pass

        def log(self, values, step, commit):
            assert values["step"] == step
            logged.append(step)

    monkeypatch.setattr(wandb, "init", lambda **_: Run())
    tracker = Tracker(WandbService("offline", "project", None, timeout_s=30, stagger_s=0))
    mirror = tracker.start(tiny()[0])
    for step in (0, 5, 10, 0, 5, 10, 20):
        mirror.log(step, {}, np.ones(3))
    tracker.drain()
    assert logged == [10, 20]


@pytest.mark.parametrize("breaks", ["init", "log", "finish"])
def test_a_failing_wandb_never_fails_a_cell(offline, monkeypatch, caplog, breaks: str):
    import wandb

    def broken(*_, **__):
        raise ConnectionError("no server")

    if breaks == "init":
        monkeypatch.setattr(wandb, "init", broken)
    else:
        monkeypatch.setattr(wandb.Run, breaks, broken)
    cell, cfg = offline()
    with caplog.at_level(logging.WARNING):
        train_pack([cell], cfg)
    assert cell.state == "done"
    assert "W&B: ConnectionError: no server" in caplog.text


def test_a_hanging_wandb_never_holds_up_a_cell(offline, monkeypatch, caplog):
    import wandb

    monkeypatch.setattr(wandb, "init", lambda **_: time.sleep(900))
    cell, cfg = offline()
    cfg.logger.timeout_s = 0.5
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        train_pack([cell], cfg)
    assert cell.state == "done"
    assert time.monotonic() - began < 300
    assert "did not catch up" in caplog.text


def test_disabled_tracking_starts_nothing(tiny):
    cell, _ = tiny()
    Tracker(WandbService("disabled", "p", None, timeout_s=1, stagger_s=0)).start(cell).log(
        0, {"loss_nats": 1.0}, np.ones(3)
    )
    assert not (cell.study / "wandb").exists()
