"""What befalls a cell of a pack is its alone: divergence, lack of memory or disk, another process, bad data."""

import gc
import importlib.metadata
import json
import weakref
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from helpers.liveness import running
from helpers.models import random_base
from helpers.packs import LONG, STEPS, make_cells, train
from helpers.rows import write_row

from memlaw.adapters.stack import LoraPack
from memlaw.backends.this_process import ThisProcess
from memlaw.core.errors import is_out_of_memory
from memlaw.models.cache import BaseModelCache
from memlaw.study.liveness import SILENT_S
from memlaw.study.records import read_tokens
from memlaw.sweep.run_sweep import run_sweep
from memlaw.training import pack as pack_module
from memlaw.training.live_cell import LiveCell
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack


def test_a_diverged_cell_fails_and_the_others_finish(tiny, monkeypatch):
    draw = LoraPack.__init__

    def poisoned(self, targets, specs):
        draw(self, targets, specs)
        with torch.no_grad():
            self.stacks[0].B_NOR[1, 0, 0] = float("nan")

    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(3)])
    healthy = train([cells[0], cells[2]], cfg)
    for cell in cells:
        cell.plan()
    monkeypatch.setattr(LoraPack, "__init__", poisoned)
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["done", "failed", "done"]
    assert cells[1].status.cause.startswith("diverged: 40 of 40 losses are not finite after step 0")
    after = [read_tokens(cells[n].paths.tokens).query(f"step == {STEPS}")["p"] for n in (0, 2)]
    np.testing.assert_allclose(after, healthy, atol=1e-4)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_pack_that_does_not_fit_is_halved_until_it_does(tiny, monkeypatch, error: Exception):
    step, sizes = PackModule.training_step, []

    def limited(self, rows_NB, index):
        sizes.append(len(self.adapters.specs))
        if len(self.adapters.specs) > 2:
            raise error
        return step(self, rows_NB, index)

    points = [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(5)]
    expected = train(*make_cells(tiny, points, "study=fits"))
    monkeypatch.setattr(PackModule, "training_step", limited)
    halved = train(*make_cells(tiny, points, "study=halved"))
    assert list(dict.fromkeys(sizes)) == [5, 3, 2, 1]
    np.testing.assert_allclose(halved, expected, atol=1e-4)


def test_a_half_that_waits_shows_progress_and_the_broken_loops_model_is_gone(tiny, monkeypatch):
    step, models, seen = PackModule.training_step, [], []

    def limited(self, rows_NB, index):
        models.append(weakref.ref(self._frozen[0]))
        seen.append([cell.status for cell in cells])
        if len(self.adapters.specs) > 1:
            raise MemoryError
        return step(self, rows_NB, index)

    monkeypatch.setattr(PackModule, "training_step", limited)
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(2)])
    load = BaseModelCache.load

    def loading(*arguments):
        gc.collect()
        if models:
            seen.append(models[0]() is None)
        return load(*arguments)

    monkeypatch.setattr(BaseModelCache, "load", loading)
    train(cells, cfg)
    assert seen[1] is True  # two base models may not fit beside each other
    assert [(status.step, status.total_steps) for status in seen[2]] == [(0, STEPS), (0, STEPS)]


def test_a_cell_that_does_not_fit_alone_fails(tiny, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PackModule, "training_step", full)
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(2)])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["failed", "failed"]
    assert all("CUDA out of memory" in cell.status.cause for cell in cells)


def test_a_pack_halved_late_does_not_repeat_a_finished_cell(tiny, monkeypatch):
    step = PackModule.training_step

    def limited(self, rows_NB, index):
        if self.trainer.global_step == 40 and len(self.adapters.specs) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, rows_NB, index)

    short = (*LONG, "seq_len=8", "stop.every=5", "stop.patience=2", "stop.when_recalled=true")
    points = [("lora.rank=16", *short), ("lora.rank=1", *short), ("lora.rank=1", *short, "seed=1")]
    cells, cfg = make_cells(tiny, points)
    monkeypatch.setattr(PackModule, "training_step", limited)
    train(cells, cfg)
    first, *others = (json.loads(cell.paths.result.read_text()) for cell in cells)
    assert (first["pack_size"], first["stop_reason"]) == (3, "recalled")
    assert first["steps_trained"] < 40
    assert [(other["pack_size"], other["steps_trained"]) for other in others] == [(1, STEPS)] * 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, expected: bool):
    assert is_out_of_memory(error) == expected


def test_memory_that_the_cpu_cannot_give_counts_as_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_a_full_disk_fails_its_cell_alone(tiny, monkeypatch):
    write = LiveCell.finish

    def full(self, *arguments):
        if self.cell.config.seed == 1:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(LiveCell, "finish", full)
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(3)])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["done", "failed", "done"]
    assert "No space left on device" in cells[1].status.cause


def test_a_cell_that_was_finished_meanwhile_is_not_trained_again(tiny):
    (cell,), cfg = make_cells(tiny, [LONG])
    cell.plan()
    write_row(cell.paths.directory)
    cell.set_status("done")
    train_pack([cell], cfg)
    assert cell.status.attempt == 0


def test_a_cell_that_another_process_trains_is_left_to_it(tiny):
    (mine, theirs), cfg = make_cells(tiny, [LONG, (*LONG, "seed=1")])
    mine.plan(), theirs.plan()
    with theirs.lock():
        train_pack([mine, theirs], cfg)
    assert (mine.state, theirs.state) == ("done", "pending")


@pytest.mark.parametrize(
    ("seconds_ago", "state"), [(0, "running"), (SILENT_S - 20, "running"), (SILENT_S + 20, "done")]
)
def test_a_cell_of_another_machine_is_left_to_it_while_that_is_heard_of(tiny, seconds_ago: float, state: str):
    """Where a shared file system keeps locks to each machine."""
    (cell,), cfg = make_cells(tiny, [LONG])
    running(cell, seconds_ago, host="elsewhere", pid=1)
    cfg.rerun = "missing"
    run_sweep([cell], cfg, ThisProcess()) if state == "done" else train_pack([cell], cfg)
    assert cell.state == state
    assert cell.status.attempt == (2 if state == "done" else 1)


def test_a_model_that_changed_under_its_name_is_kept_out_of_the_study(tiny, tmp_path):
    base = random_base(vocab_size=8192)
    directory = tmp_path / "mine"
    base.model.save_pretrained(directory)
    base.tokenizer.save_pretrained(directory)
    model = ("model=local", f"model.path={directory}", "model.name=mine")
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, *model, f"seed={seed}") for seed in (0, 1)])
    train(cells[:1], cfg)
    with torch.no_grad():
        base.model.lm_head.weight.mul_(1.01)
    base.model.save_pretrained(directory)
    pack_module.BASE_MODELS.clear()  # as in a later process
    cells[1].plan()
    train_pack(cells[1:], cfg)
    assert [cell.state for cell in cells] == ["done", "failed"]
    assert "the weights of model mine changed since" in cells[1].status.cause
    assert "restore the weights or choose another study" in cells[1].status.cause


def test_a_version_that_cannot_be_told_costs_no_training(tiny, monkeypatch):
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    trained = MagicMock()
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr("memlaw.training.fit._run", trained)
    cell, cfg = tiny("steps=20", "seq_len=8")
    cell.plan()
    train_pack([cell], cfg)
    assert cell.state == "failed"
    assert "PackageNotFoundError" in cell.status.cause
    trained.assert_not_called()
