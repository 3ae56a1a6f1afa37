import subprocess
import sys

import pytest
import torch
from helpers.configs import FAST, composed
from helpers.liveness import gone, running
from helpers.processes import PATIENCE_S
from helpers.rows import write_row

from memlaw import plan
from memlaw.core.errors import ConfigError
from memlaw.planning.machine import Machine
from memlaw.planning.make_plan import make_plan
from memlaw.screens.tables import print_plan
from memlaw.study.survey import survey


def packs(cells, cfg):
    return [len(pack.cells) for pack in make_plan(cells, cfg, Machine.here("cpu", workers=1)).packs]


def test_cells_are_packed_by_length_and_split_by_memory(tiny):
    made = [tiny(f"seq_len={length}", f"lora.rank={rank}") for length in (16, 32) for rank in (1, 2, 3)]
    cells, cfg = [cell for cell, _ in made], made[0][1]
    assert packs(cells, cfg) == [3, 3]
    cfg.pack.max_cells = 2
    assert packs(cells, cfg) == [2, 1, 2, 1]
    cfg.pack.memory_gb = 1e-6
    assert packs(cells, cfg) == [1] * 6


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("pack", "max_cells", 0),
        ("pack", "memory_gb", -1),
        ("pack", "memory_gb", "much"),
        ("trainer", "prefix_cache_gb", -1),
        ("trainer", "prefix_cache_gb", "all"),
    ],
)
def test_impossible_settings_name_their_key(tiny, group: str, key: str, value):
    cell, cfg = tiny()
    cfg[group][key] = value
    with pytest.raises(ConfigError, match=rf"{group}\.{key}={value}"):
        make_plan([cell], cfg, Machine.here("cpu", workers=1))


def test_packs_for_another_machines_gpu_are_planned_without_one(tiny):
    made = [tiny("seq_len=16", f"lora.rank={rank}", "trainer.device=auto") for rank in (1, 2)]
    cells, cfg = [cell for cell, _ in made], made[0][1]
    far = Machine("cuda", int(64e9), workers=8, remote=True)
    (pack,) = make_plan(cells, cfg, far).packs
    assert len(pack.cells) == 2
    assert far.dtype("auto") == torch.bfloat16
    assert len(make_plan(cells, cfg, Machine("cuda", 1, workers=8, remote=True)).packs) == 2


def test_every_length_is_held_against_the_models_positions(tiny):
    made = [tiny(f"seq_len={length}") for length in (8, 10**9)]
    with pytest.raises(ConfigError, match="seq_len=1000000000 is longer than the 2048 positions"):
        make_plan([cell for cell, _ in made], made[0][1], Machine.here("cpu", workers=1))


def test_one_impossible_cell_refuses_the_whole_sweep(tiny):
    good, cfg = tiny()
    bad, _ = tiny("lora.layers=[7]")
    with pytest.raises(ConfigError, match=r"lora\.layers: 7"):
        make_plan([good, bad], cfg, Machine.here("cpu", workers=1))
    assert not good.paths.directory.exists()


def _lines(text: str, state: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if f" {state} " in f"{line} "]


def test_the_plan_shows_what_is_done_and_what_would_run_and_trains_nothing(train, tmp_path):
    grid = ["-m", *FAST, "lora.rank=1,2"]
    assert train(*grid, "seq_len=8").returncode == 0
    command = [sys.executable, "-m", "memlaw.plan", *grid, "seq_len=8,16"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    assert [line[:3] for line in _lines(shown, "done")] == [["8", "1", "done"], ["8", "2", "done"]]
    assert [line[:5] for line in _lines(shown, "pending")] == [
        ["16", "1", "pending", "1", "192"],
        ["16", "2", "pending", "1", "384"],
    ]
    assert "2 of 4 cells to train in 1 pack on 1 worker" in shown
    assert "as 2 finished cells of this study took" in shown
    assert len(list((tmp_path / "runs/default").glob("*/status.json"))) == 2


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("-m a=1 b=2", "-m a=1 b=2 dry_run=true"),
        ("a=1 --config-dir d=e", "a=1 dry_run=true --config-dir d=e"),
        ("--config-dir d=e -m", "--config-dir d=e -m dry_run=true"),
        ("-cd d=e a=1 -m", "-cd d=e a=1 dry_run=true -m"),
        ("--config-dir=d=e a=1", "--config-dir=d=e a=1 dry_run=true"),
        ("--config-name d=e", "--config-name d=e dry_run=true"),
        ("--cfg job -p d=e", "--cfg job -p d=e dry_run=true"),
        ("--info", "dry_run=true --info"),
        ("-m", "-m dry_run=true"),
        ("", "dry_run=true"),
        ("a=1 dry_run=false", "a=1 dry_run=false dry_run=true"),
        ("--config-dir", "--config-dir"),
        ("--no-option a=1", "--no-option a=1"),
        ("study=1.10 a=1.10", "study='1.10' a=1.10 dry_run=true"),
    ],
)
def test_a_plan_is_a_dry_run_wherever_options_stand(monkeypatch, given: str, passed: str):
    seen = []
    monkeypatch.setattr(sys, "argv", ["memlaw.plan", *given.split()])
    monkeypatch.setattr(plan, "run_application", seen.append)
    plan.main()
    assert seen == [passed.split()]


def test_the_last_of_two_overrides_holds():
    assert composed("dry_run=false", "dry_run=true").dry_run is True


def test_a_missing_file_is_refused_before_anything_is_planned(tiny):
    cell, cfg = tiny("data=table", "data.path=none.jsonl")
    with pytest.raises(ConfigError, match=r"^data\.path=none\.jsonl cannot be read: No such file"):
        make_plan([cell], cfg, Machine.here("cpu", workers=1))


def test_a_plan_shows_a_cell_whose_process_is_gone_as_dead(tiny, capsys):
    made = [tiny("seq_len=8", f"lora.rank={rank}") for rank in (1, 2)]
    cells, cfg = [cell for cell, _ in made], made[0][1]
    for cell in cells:
        cell.plan()
    running(cells[1], 300, pid=gone())
    print_plan(survey(cells), make_plan(cells, cfg, Machine.here("cpu", workers=1)), workers=1)
    shown = capsys.readouterr().out
    assert [line[:3] for line in _lines(shown, "dead")] == [["8", "2", "dead"]]
    assert not _lines(shown, "running")


def test_the_times_of_a_plan_come_from_finished_cells(tiny):
    cell, cfg = tiny("seq_len=16")
    guess = make_plan([cell], cfg, Machine.here("cpu", workers=1))
    assert guess.cost.measured_cells == 0
    done, _ = tiny("seq_len=8")
    done.plan()
    write_row(done.paths.directory, step_flops=1e6, worker_seconds=400.0, steps_trained=100)
    done.set_status("done")
    measured = make_plan([cell], cfg, Machine.here("cpu", workers=1))
    assert measured.cost.measured_cells == 1
    assert measured.cost.cell_seconds(1e6, 1, 100) == pytest.approx(400)
    assert measured.packs[0].cell_seconds(measured.cost)[0] > 100 * guess.packs[0].cell_seconds(guess.cost)[0]
