"""`memlaw.status` and `memlaw.logs` over a study with a cell in every state."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.commands import Called
from helpers.liveness import gone, running
from helpers.processes import PATIENCE_S
from helpers.rows import write_row
from rich.console import Console

from memlaw import logs, status
from memlaw.backends.slurm.queue import Job
from memlaw.core.errors import CellError
from memlaw.screens import eta
from memlaw.screens.eta import eta_seconds
from memlaw.screens.status_map import conditions, entry
from memlaw.status import view, watch
from memlaw.study.survey import NoStudy, find_cell, survey_study


def finish(cell, **row) -> None:
    write_row(cell.paths.directory, **row)
    cell.set_status("done", step=10, total_steps=10)


@pytest.fixture
def study(tiny) -> tuple[Path, dict]:
    """Ranks 1 and 4 × lengths 8 and 16; two seeds of the first place, and one cell of another method."""
    points = {
        "done": (1, 8, 0),
        "pending": (1, 8, 1),
        "running": (1, 16, 0),
        "failed": (4, 8, 0),
        "dead": (4, 16, 0),
    }
    cells = {
        state: tiny("steps=10", f"lora.rank={rank}", f"seq_len={length}", f"seed={seed}")[0]
        for state, (rank, length, seed) in points.items()
    }
    cells["unreadable"] = tiny("steps=10", "method=memft_ot", "seq_len=8", "lora.rank=1")[0]
    for cell in cells.values():
        cell.plan(total_steps=10, step_flops=cell.config.seq_len * 1e6)
    finish(cells["done"])
    running(cells["running"], 0, step=4, total_steps=10, loss_nats=1.25, recalled_share=0.5)
    cells["failed"].fail(CellError("diverged: [16 of 16] losses are not finite\nand more"))
    running(cells["dead"], 300, pid=gone(), step=7, total_steps=10)
    cells["unreadable"].paths.status.write_text('{"state": "runn')
    logs = cells["done"].study / "logs"
    logs.mkdir()
    failed = cells["failed"].name
    (logs / "worker-1.log").write_text(f"2026-01-01 00:00:02,000 second {failed}\nloading\n")
    (logs / "worker-0.log").write_text(f"2026-01-01 00:00:01,000 first {failed}\n2026-01-01 00:00:03,000 other\n")
    return cells["done"].study, cells


@pytest.fixture
def command(monkeypatch, call) -> Callable[..., Called]:
    """Run `memlaw.status` or `memlaw.logs` in this process; its exit code and what it prints."""
    monkeypatch.setenv("COLUMNS", "100")
    return call


def shown(study: Path) -> str:
    console = Console(record=True, width=160)
    console.print(view(study, survey_study(study), []))
    return console.export_text()


def test_every_state_is_found(study):
    directory, cells = study
    assert {one.name: one.state for one in survey_study(directory)} == {
        cell.name: state for state, cell in cells.items()
    }


def test_the_map_shows_ranks_by_lengths_with_seeds_together_one_per_condition(study):
    directory, _ = study
    lines = [" ".join(line.split()) for line in shown(directory).splitlines()]
    assert "method.name=sft" in lines
    assert "method.name=memft_ot" in lines
    assert "rank ℓ8 ℓ16" in lines
    assert "1 1/2 done 40%" in lines
    assert "4 failed dead" in lines
    assert "1 unreadable" in lines


def test_losses_causes_and_the_dead_are_told(study):
    directory, cells = study
    text = shown(directory)
    assert "1 of 6 cells done · 1 running · 1 pending · 1 failed · 1 dead · 1 unreadable" in text
    assert "4/10  1.250  50.0%" in text
    assert f"failed {cells['failed'].name}: diverged: [16 of 16] losses are not finite\n" in text
    assert f"dead {cells['dead'].name}: process {cells['dead'].status.pid} on" in text
    assert "is gone at step 7, last seen 5 min ago" in text
    assert f"unreadable {cells['unreadable'].name}: JSONDecodeError" in text
    assert "rerun=failed or rerun=stale" in text


def test_the_most_pressing_state_of_a_place_is_shown(study):
    found = {one.state: one for one in survey_study(study[0])}
    assert entry([]) == "[dim]·[/]"
    assert entry([found["done"], found["failed"], found["running"]]) == "[red]1/3 failed[/]"
    assert entry([found["done"], found["done"], found["pending"]]) == "[green]2/3 done[/]"
    assert entry([found["pending"], found["pending"]]) == "[white]2/2 pending[/]"


def test_a_config_that_cannot_be_read_is_no_crash(study):
    directory, cells = study
    cells["pending"].paths.config.write_text("[")
    (directory / "stray").mkdir()
    (directory / ".hydra").mkdir()  # where hydra.output_subdir puts it
    (directory / ".hydra/config.yaml").write_text("")
    (directory / "stray/status.json").write_text("{}")
    assert sum(one.cell is None for one in survey_study(directory)) == 2
    assert "stray: " in shown(directory)
    for cell in cells.values():
        cell.paths.config.write_text("[")
    assert list(conditions(survey_study(directory))) == []
    assert "7 unreadable" in shown(directory)  # six cells and the stray directory


def test_the_eta_is_the_work_left_over_the_workers_that_run(study):
    directory, cells = study
    # a step takes 2 s at length 8, so 4 s at twice its arithmetic: 6 steps of the running, 10 of the dead, 10 of the
    # pending at length 8; the unreadable does not say what it takes
    assert eta_seconds(survey_study(directory)) == pytest.approx(6 * 4 + 10 * 4 + 10 * 2, rel=0.01)
    running(cells["pending"], 0, host="elsewhere", pid=1)
    assert eta_seconds(survey_study(directory)) == pytest.approx((6 * 4 + 10 * 4 + 10 * 2) / 2, rel=0.01)


def test_without_a_finished_cell_the_eta_rests_on_the_running_ones(tiny, monkeypatch):
    cell = tiny("steps=10", "seq_len=8")[0]
    cell.plan(total_steps=10, step_flops=1e6)
    running(cell, 0)
    assert eta_seconds(survey_study(cell.study)) is None
    now = datetime.now(UTC)
    running(cell, 0, step=4, total_steps=10, started=now - timedelta(seconds=40))
    monkeypatch.setattr(eta, "time", SimpleNamespace(time=now.timestamp))
    assert eta_seconds(survey_study(cell.study)) == pytest.approx(60)
    cell.set_status("failed", cause="a cause")
    assert eta_seconds(survey_study(cell.study)) is None


def test_the_command_prints_json_reads_only_and_needs_no_torch(study, command):
    directory, cells = study
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [directory, *directory.rglob("*")]}
    found = json.loads(command(status, str(directory), "--json").stdout)
    assert found["counts"] == dict.fromkeys(cells, 1)
    by_name = {row["cell"]: row for row in found["cells"]}
    assert by_name[cells["running"].name]["loss_nats"] == 1.25
    assert by_name[cells["failed"].name]["cause"].startswith("diverged")
    assert "1 of 6 cells done" in command(status, str(directory)).stdout
    assert command(logs, str(directory), cells["failed"].name).returncode == 0
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in before}
    assert set(directory.rglob("*")) | {directory} == set(before)
    call = [sys.executable, "-m", "memlaw.status", str(directory)]
    assert "1 of 6 cells done" in subprocess.run(call, capture_output=True, text=True, timeout=PATIENCE_S).stdout
    code = "import sys, memlaw.status, memlaw.logs; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def watched(study: Path, monkeypatch, *meanwhile) -> str:
    """What `--watch` prints where there is no terminal, if `meanwhile` happens between its looks."""
    happen = iter(meanwhile)
    clock = SimpleNamespace(sleep=lambda _: next(happen)(), time=time.time, monotonic=time.monotonic)
    monkeypatch.setattr(status, "time", clock)  # of `watch` alone: whoever waits for a process sleeps as well
    console = Console(file=io.StringIO(), width=400)  # no line is broken at the directory
    watch(study, console)
    assert list(happen) == []
    return console.file.getvalue()


def test_watching_ends_when_no_cell_runs_or_waits_though_some_are_dead_or_unreadable(study, monkeypatch):
    directory, cells = study
    text = watched(directory, monkeypatch, lambda: finish(cells["running"]), int, lambda: finish(cells["pending"]))
    first, *between, last = text.split(f"{directory}\n")[1:]
    assert "1 of 6 cells done · 1 running" in first
    assert "2 of 6 cells done · 1 pending" in first  # a line of its own, once
    assert text.count("2 of 6 cells done") == 1
    assert between == []
    assert "3 of 6 cells done · 1 failed · 1 dead · 1 unreadable" in last


def test_watching_goes_on_while_a_job_is_queued(study, monkeypatch):
    directory, cells = study
    for cell in cells.values():
        finish(cell)
    queued = [Job("7", "PENDING", "Priority")]
    answers = iter([queued, queued, []])  # at first, then at each look
    monkeypatch.setattr(status, "study_jobs", lambda _: next(answers))
    monkeypatch.setattr(status, "SQUEUE_EVERY_S", -1.0)
    assert "Slurm: 1 pending (Priority)" in watched(directory, monkeypatch, int)


def test_watching_on_a_terminal_shows_the_last_look(study):
    directory, cells = study
    for cell in cells.values():
        finish(cell)
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    watch(directory, console)
    assert "6 of 6 cells done" in console.file.getvalue()


def test_a_broken_config_is_to_be_moved_away_and_not_to_be_trained_again(study):
    directory, cells = study
    cells["unreadable"].paths.config.write_text("[")
    text = shown(directory)
    assert "Move away the directories of broken configs (1); a sweep refuses them." in text
    assert "rerun=failed or rerun=stale trains the others again" in " ".join(text.split())
    for cell in cells.values():
        cell.paths.config.write_text("[")
    assert "rerun=" not in shown(directory)


@pytest.mark.parametrize("module", [status, logs])
def test_a_reader_that_leaves_ends_the_command_quietly(study, monkeypatch, module):
    directory, cells = study
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["--json"] if module is status else [cells["failed"].name]
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "argv", ["memlaw", str(directory), *arguments])
        with pytest.raises(SystemExit) as ended:
            module.main()
    assert ended.value.code == 1


def test_no_study_is_one_clear_error(tmp_path, command):
    for module, *more in ((status,), (logs, "r1")):
        for place_, said in ((tmp_path / "none", "is no directory"), (tmp_path, "holds no cell")):
            refused = command(module, str(place_), *more)
            assert refused.returncode == 2
            assert said in refused.stderr
            assert "Traceback" not in refused.stderr


def test_logs_shows_the_lines_of_a_cell_by_time_and_its_traceback(study, command):
    directory, cells = study
    text = command(logs, str(directory), cells["failed"].hash).stdout
    lines = text.splitlines()
    assert lines[0] == f"2026-01-01 00:00:01,000 first {cells['failed'].name}"
    assert lines[1] == f"2026-01-01 00:00:02,000 second {cells['failed'].name}"
    assert "other" not in text
    assert f"{cells['failed'].name} is failed, since" in text
    assert "memlaw.core.errors.CellError: diverged" in text


def test_logs_of_a_cell_without_any_say_so(study, command):
    directory, cells = study
    assert "do not name this cell" in command(logs, str(directory), cells["done"].name).stdout


@pytest.mark.parametrize(("wanted", "said"), [("l8", "in the names of 3 cells"), ("r9", "of none of the 4 cells")])
def test_an_ambiguous_or_unknown_cell_is_one_clear_error(wanted: str, said: str):
    names = ["m-r1-l8-0000aaaa", "m-r2-l8-0000bbbb", "m-r4-l8-0000cccc", "m-r4-l16-0000dddd"]
    with pytest.raises(NoStudy, match=said):
        find_cell(names, wanted)
    assert find_cell(names, "0000bbbb") == find_cell(names, "r2") == names[1]
    assert find_cell([*names, f"{names[1]}0"], names[1]) == names[1]


def test_an_ambiguous_cell_ends_the_command_with_2(study, command):
    refused = command(logs, str(study[0]), "l8")
    assert (refused.returncode, refused.stdout) == (2, "")
