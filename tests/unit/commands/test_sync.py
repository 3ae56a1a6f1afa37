import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.offline_runs import STEPS, record_runs, recorded_study
from helpers.processes import PATIENCE_S
from helpers.rows import ROW
from helpers.wandb_server import KEY

from memlaw import sync as command
from memlaw.study.records import CRITICAL_LOSS_NATS, Evaluated, TokenLog, write_tokens
from memlaw.tracking.contents import run_id, run_summary
from memlaw.tracking.local_runs import LocalRun, local_runs
from memlaw.tracking.upload import UPLOADED, Outcome, Uploader


@pytest.fixture
def study(tiny, request):
    """Cells of three ranks, each with an offline run."""
    name = re.sub(r"\W+", "_", request.node.name)
    return recorded_study(tiny, name)


def write_records(cell) -> dict:
    """What training leaves of a cell of three tokens; the row of its `result.json`."""
    log = TokenLog(np.zeros(3, int), np.arange(3), np.arange(3) + 100)
    for step in STEPS:
        nll_S = np.array([3.0, 2.0, 1.0], np.float32) / (1 + step)
        log.add(Evaluated(step, nll_S, np.array([100, 101, 7]), nll_S / 2, (nll_S > CRITICAL_LOSS_NATS).astype(float)))
    write_tokens(cell.paths.tokens, log.table())
    row = {"cell": cell.name, **ROW, **log.scalars(), "steps_trained": STEPS[-1], "seconds": 2.5, "version.torch": "2"}
    cell.paths.result.write_text(json.dumps(row))
    cell.paths.adapter.mkdir()
    (cell.paths.adapter / "adapter_config.json").write_text("{}")
    return row


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """The directory that the command is called in: none of the study's, with none of the user's settings."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def sync(elsewhere, server, monkeypatch, capsys) -> Callable[..., SimpleNamespace]:
    """Run the command in this process; its exit code and what it prints."""
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    def run(study: Path, *arguments: str) -> SimpleNamespace:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["memlaw.sync", str(study), *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert not list(elsewhere.iterdir())
        said = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=said.out, stderr=said.err)

    return run


@pytest.fixture
def uploads(monkeypatch) -> list[tuple[str, ...]]:
    """Where uploads need not be real: the id of each uploaded run, and further arguments of `wandb sync`."""
    made: list[tuple[str, ...]] = []

    def upload(self, run) -> Outcome:
        made.append((run.id, *self.arguments))
        for directory in run.directories:
            run.mark(directory).touch()
        return UPLOADED

    monkeypatch.setattr("memlaw.tracking.sync.check_server", lambda: None)
    monkeypatch.setattr(Uploader, "upload", upload)
    return made


def test_the_command_takes_server_and_key_from_wandbs_settings_where_it_is_called(study, server, elsewhere):
    written = elsewhere / "wandb/settings"
    written.parent.mkdir()
    written.write_text(f"[default]\nbase_url = {server.url}\napi_key = {KEY}\nmode = offline\n")
    call = [sys.executable, "-m", "memlaw.sync", str(study[0].study)]
    done = subprocess.run(call, cwd=elsewhere, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": uploaded") == 3
    assert set(server.runs) == {run_id(cell) for cell in study}
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == [written]


def test_each_run_is_uploaded_once_and_again_only_after_a_change(study, server, sync):
    first = sync(study[0].study)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count(": uploaded") == 3
    assert set(server.runs) == {run_id(cell) for cell in study}
    for cell in study:
        kept = server.runs[run_id(cell)]
        assert kept.steps == list(STEPS)
        assert kept.losses == {step: pytest.approx(1 / (1 + step)) for step in STEPS}
        assert kept.summary["delta_loss_nats"] == 1.5
        assert kept.summary["loss_nats"] == kept.losses[STEPS[-1]]
        assert kept.summary.get("first_stubborn") is None
        assert kept.config["rank"]["value"] == cell.config.lora.rank
        assert kept.exit_code == 0
    asked = len(server.asked)
    again = sync(study[0].study)
    assert again.returncode == 0
    assert again.stdout.count(": unchanged") == 3
    assert len(server.asked) == asked

    time.sleep(1.1)  # a second directory of the same run: its name holds the second it began in
    record_runs(study[:1], (*STEPS, 20))
    assert sorted(len(run.directories) for run in local_runs(study[0].study)) == [1, 1, 2]
    last = sync(study[0].study)
    assert last.stdout.count(": uploaded") == 1, last.stdout + last.stderr
    assert len(server.runs) == 3
    assert server.runs[run_id(study[0])].losses == {step: pytest.approx(1 / (1 + step)) for step in (*STEPS, 20)}


def test_a_server_that_has_none_of_it_gets_it_again_if_asked(study, sync, uploads, monkeypatch):
    monkeypatch.setattr(LocalRun, "ended", True)
    assert sync(study[0].study).stdout.count(": uploaded") == 3
    assert sync(study[0].study).stdout.count(": unchanged") == 3
    uploads.clear()
    again = sync(study[0].study, "--again", "--project=elsewhere")
    assert again.stdout.count(": uploaded") == 3, again.stdout + again.stderr
    assert sorted(uploads) == sorted((run_id(cell), "--project", "elsewhere") for cell in study)


@pytest.mark.parametrize("argument", ["--project=a/b", "--entity=a/b", "--timeout=-3", "--jobs=0"])
def test_impossible_arguments_are_one_line(tmp_path, sync, argument):
    done = sync(tmp_path, argument)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert argument in line


@pytest.mark.slow
def test_interrupted_and_repeated_it_leaves_one_run_per_cell(study, server, sync):
    server.dies_after = 1
    broken = sync(study[0].study, "--jobs=3", "--timeout=15")
    assert broken.returncode == 1
    assert "failed: " in broken.stdout
    server.dies_after = None
    repeated = sync(study[0].study)
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    losses = {step: pytest.approx(1 / (1 + step)) for step in STEPS}
    assert {name: kept.losses for name, kept in server.runs.items()} == {run_id(cell): losses for cell in study}
    assert all(kept.exit_code == 0 for kept in server.runs.values())


@pytest.mark.slow
def test_too_many_requests_are_waited_out(study, server, sync):
    server.refusals = 3
    done = sync(study[0].study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.runs) == 3


@pytest.mark.parametrize("trouble", ["wrong key", "no key", pytest.param("no server", marks=pytest.mark.slow)])
def test_what_no_run_can_do_about_is_one_error(study, server, sync, trouble, monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", {"wrong key": "b" * 40, "no key": ""}.get(trouble, KEY))
    if trouble == "no server":
        server.stop()
    began = time.monotonic()
    done = sync(study[0].study)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert server.url in line
    assert time.monotonic() - began < 120
    assert not server.runs


def cut(log: Path) -> None:
    """End a log in the middle of a record, as a kill leaves it."""
    log.write_bytes(log.read_bytes()[:-200])


def test_a_log_that_breaks_off_is_not_uploaded_while_its_cell_is_to_be_trained_on(study, server, sync):
    first = local_runs(study[0].study)[0]
    (cell,) = (cell for cell in study if run_id(cell) == first.id)
    cell.set_status("pending")
    cut(first.log(first.directories[0]))
    done = sync(study[0].study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cell.name}: skipped: the cell is not finished" in done.stdout
    assert first.id not in server.runs
    early = sync(study[0].study, "--unfinished")
    assert early.returncode == 0, early.stdout + early.stderr
    assert early.stdout.count(": uploaded as far as its log can be read") == 1
    steps = server.runs[first.id].steps
    assert steps and steps == sorted(set(steps))


def test_a_finished_cell_without_a_whole_log_is_written_from_its_records(study, server, sync):
    results = {run_id(cell): write_records(cell) for cell in study}
    broken, without = local_runs(study[0].study)[1:]
    cut(broken.log(broken.directories[0]))
    shutil.rmtree(without.directories[0])
    time.sleep(1.1)  # a run's directory is named by the second it began in
    done = sync(study[0].study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": written from the records and uploaded") == 2, done.stdout
    assert done.stdout.count(": uploaded") == 1
    assert set(server.runs) == set(results)
    for run in (broken, without):
        kept, summary = server.runs[run.id], run_summary(results[run.id])
        assert kept.steps == [*STEPS, STEPS[-1] + 1]
        assert kept.losses == {step: pytest.approx(2 / (1 + step)) for step in STEPS}
        assert {name: kept.summary.get(name) for name in summary} == summary
        assert set(kept.artifacts) == {f"run-{run.id}-stubborn_tokens", f"records-{run.id}", f"adapter-{run.id}"}
        assert kept.exit_code == 0
        last = kept.lines[len(STEPS)]
        assert {"stubborn_tokens", "probability_strip"} <= set(last)
    asked = len(server.asked)
    again = sync(study[0].study)
    assert again.returncode == 0
    assert again.stdout.count(": unchanged") == 3, again.stdout
    assert len(server.asked) == asked


def test_what_cannot_be_written_from_the_records_fails_each_time(study, sync, uploads):
    first = local_runs(study[0].study)[0]
    cut(first.log(first.directories[0]))
    for _ in range(2):
        done = sync(study[0].study)
        assert done.returncode == 1
        assert done.stdout.count(": failed: its log has no end, and writing it from the records fails") == 1


def test_a_run_in_training_is_left_alone(study, sync, uploads, monkeypatch):
    monkeypatch.setattr(LocalRun, "ended", True)
    study[0].start()
    done = sync(study[0].study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{study[0].name}: still training" in done.stdout
    assert sorted(uploads) == sorted((run_id(cell),) for cell in study[1:])


def test_what_is_no_study_is_said(tmp_path, sync):
    done = sync(tmp_path)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
