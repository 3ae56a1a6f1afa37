"""Training that breaks off."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from helpers.processes import wait_for
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack


class Broken(Exception):
    pass


COMMAND = [
    "model=random", "lora.layers=[1]", "trainer.device=cpu", "logger.mode=disabled", "data.random_ratio=1.0",
    "stop.when_recalled=false", "seq_len=16", "steps=30000", "precision=fp32", "study=signals", "eval.per_decade=2",
]  # fmt: skip


def interrupted(monkeypatch, cells, cfg, at: int) -> None:
    """Train until the loop breaks off at step `at`; the checkpoint before it is of the step before."""
    step = PackModule.training_step

    def breaking(self, rows_NB, index):
        if self.steps_taken == at:
            raise Broken(f"at {at}")
        return step(self, rows_NB, index)

    for cell in cells:
        cell.plan()
    with monkeypatch.context() as patched:
        patched.setattr(PackModule, "training_step", breaking)
        train_pack(cells, cfg)
    assert {cell.status.cause for cell in cells} == {f"Broken: at {at}"}


EACH_STEP = "checkpoint.every_min=1e-9"


def started(tmp_path: Path, *arguments: str, attempt: int = 1, ignoring: str = "") -> tuple[subprocess.Popen, Path]:
    """A sweep of one pack as a user starts it, once it trains; nothing but the signals in `ignoring` is ignored.

    A shell without job control lets what it starts in the background ignore Ctrl-C.
    """
    signals = ["env", "--default-signal", *([f"--ignore-signal={ignoring}"] if ignoring else [])]
    run = subprocess.Popen(
        [*signals, sys.executable, "-m", "memlaw.train", *arguments, *COMMAND],
        cwd=tmp_path, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    study = tmp_path / "runs/signals"

    def trains() -> bool:
        assert run.poll() is None, run.communicate()
        statuses = [json.loads(path.read_text()) for path in study.glob("*/status.json")]
        return bool(statuses) and all(s.get("step", 0) >= 1 and s["attempt"] == attempt for s in statuses)

    wait_for(trains)
    time.sleep(0.5)
    return run, study
