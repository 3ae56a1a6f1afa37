"""An interrupted cell goes on where it was: resumed equals uninterrupted, and nothing half-written is read."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.interruption import EACH_STEP, interrupted
from helpers.packs import BOOK, LONG, make_cells, train
from safetensors.torch import save_file

from memlaw.study.records import read_tokens
from memlaw.training import checkpointing, pack_loop
from memlaw.training.checkpoint import FORMAT, Checkpoint, check_origin, read_checkpoint, step_of
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack

METHODS = ("sft", "memft_ot", "memft_sw")
POINTS = [("lora.rank=2", f"method={name}", f"seed={seed}") for seed, name in enumerate(METHODS)]


SHORT = "method.curriculum.until_epochs=[1,2,3,4]"


ROUNDED = (*LONG, "lora.dropout=0.2", "lora.dtype=bf16", "lora.init=paper")


@pytest.mark.parametrize("data", [LONG, BOOK, ROUNDED], ids=["one long pair", "table", "dropout and bf16"])
def test_resumed_equals_uninterrupted_to_the_last_bit(tiny, monkeypatch, data):
    points = [(*point, *data, *([SHORT] if "method=memft_sw" in point else [])) for point in POINTS]
    whole, cfg = make_cells(tiny, points, "study=whole")
    train(whole, cfg)
    halves, cfg = make_cells(tiny, points, "study=halves", EACH_STEP)
    for at in (17, 30):  # twice, the second time in the middle of what went on
        interrupted(monkeypatch, halves, cfg, at)
        assert {step_of(cell.paths.checkpoint) for cell in halves} == {at}
    train(halves, cfg)
    for one, other in zip(whole, halves, strict=True):
        a, b = read_tokens(one.paths.tokens), read_tokens(other.paths.tokens)
        assert a.columns.tolist() == b.columns.tolist()
        for name in a.columns:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        assert not other.paths.checkpoint.exists()
        first, second = (json.loads(cell.paths.result.read_text()) for cell in (one, other))
        assert first["recall_token_accuracy"] == second["recall_token_accuracy"]
        assert (second["steps_trained"], second["total_steps"]) == (50, 50)


def test_cells_go_on_in_another_pack_and_from_different_steps(tiny, monkeypatch):
    points = [(f"lora.rank={rank}", *LONG) for rank in (1, 4, 2)]
    whole = train(*make_cells(tiny, points, "study=whole"))
    cells, cfg = make_cells(tiny, points, "study=halves", EACH_STEP)
    interrupted(monkeypatch, cells[:2], cfg, 10)
    interrupted(monkeypatch, cells[1:2], cfg, 20)
    assert [step_of(cell.paths.checkpoint) for cell in cells] == [10, 20, 0]
    np.testing.assert_allclose(train(cells, cfg), whole, atol=1e-4)
    assert cells[1].status.attempt == 3


def test_checkpoints_are_written_when_they_are_due_and_not_before(tiny, monkeypatch):
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG)], "checkpoint.every_min=1")
    clock = [0.0]
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    step, written, write = PackModule.training_step, [], Checkpoint.write

    def ticking(self, rows_NB, index):
        clock[0] += 25.0
        return step(self, rows_NB, index)

    monkeypatch.setattr(PackModule, "training_step", ticking)
    monkeypatch.setattr(Checkpoint, "write", lambda self, path: (written.append(self.step), write(self, path)))
    train(cells, cfg)
    assert written == list(range(3, 50, 3))


def test_a_checkpoint_that_cannot_be_written_stops_nothing(tiny, monkeypatch, caplog):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "write", full)
    train(*make_cells(tiny, [("lora.rank=2", *LONG)], EACH_STEP))
    assert "no checkpoint: [Errno 28] No space left on device" in caplog.text


@pytest.mark.parametrize(
    "spoil", [lambda raw: raw[:100], lambda raw: raw[:-10], lambda raw: b"", lambda raw: b"{}" * 99]
)
def test_a_spoilt_checkpoint_means_starting_again(tiny, monkeypatch, spoil, caplog):
    points = [("lora.rank=2", *LONG)]
    whole = train(*make_cells(tiny, points, "study=whole"))
    cells, cfg = make_cells(tiny, points, "study=spoilt", EACH_STEP)
    interrupted(monkeypatch, cells, cfg, 20)
    cells[0].paths.checkpoint.write_bytes(spoil(cells[0].paths.checkpoint.read_bytes()))
    np.testing.assert_array_equal(train(cells, cfg), whole)
    assert "the cell starts again" in caplog.text


SOUND = {
    "step": 3, "model_fingerprint": "m", "data_fingerprint": "d", "curves": [], "recalled_checks": 0,
    "worker_seconds": 1.5, "seconds": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_header_that_lacks_what_a_cell_goes_on_from_cannot_be_read(tmp_path: Path, caplog, name: str):
    path = tmp_path / "checkpoint.safetensors"
    for head, said in (
        ({key: value for key, value in SOUND.items() if key != name}, f"its header lacks {name}"),
        ({**SOUND, name: {}}, f"its header's {name} is a dict"),
        ({**SOUND, "step": -1}, "its header's step is -1"),
        ({**SOUND, "step": True}, "its header's step is a bool"),
    ):
        metadata = {"progress": json.dumps({"format": FORMAT, **head})}
        save_file({"adapter.A": torch.zeros(1)}, path, metadata=metadata)
        assert (step_of(path), read_checkpoint(path)) == (0, None)
        check_origin(path, "m", "d")
        assert f"cannot be read ({said}); the cell starts again" in caplog.text
        caplog.clear()


def test_a_whole_header_is_read(tmp_path: Path):
    path = tmp_path / "checkpoint.safetensors"
    save_file({}, path, metadata={"progress": json.dumps({"format": FORMAT, **SOUND})})
    assert step_of(path) == 3


def test_a_checkpoint_of_another_model_fails_its_cell_alone(tiny, monkeypatch):
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in (0, 1)], EACH_STEP)
    interrupted(monkeypatch, cells, cfg, 20)
    path = cells[0].paths.checkpoint
    found = read_checkpoint(path)
    Checkpoint(found.step, found.tensors, {**found.progress, "model_fingerprint": "another"}).write(path)
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["failed", "done"]
    assert cells[0].status.cause.endswith("was trained on another model; remove that file to start again")


def test_a_diverged_cell_does_not_go_on_from_where_it_was(tiny, monkeypatch):
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG)], EACH_STEP)
    original = pack_loop.evaluated_cells

    def poisoned(measured, valid_NPL, step):
        evaluations = original(measured, valid_NPL, step)
        return [evaluated._replace(nll_S=evaluated.nll_S * (np.nan if step else 1)) for evaluated in evaluations]

    monkeypatch.setattr(pack_loop, "evaluated_cells", poisoned)
    cells[0].plan()
    train_pack(cells, cfg)
    assert cells[0].status.cause.startswith("diverged")
    assert not cells[0].paths.checkpoint.exists()


def test_what_a_killed_process_was_writing_is_removed(tiny):
    (cell,), _ = make_cells(tiny, [LONG])
    cell.plan()
    (cell.paths.directory / ".adapter.0a1b2c3d.tmp").mkdir()
    (cell.paths.directory / ".result.json.0a1b2c3d.tmp").write_text("{")
    cell.plan()
    assert sorted(path.name for path in cell.paths.directory.glob(".*.tmp")) == []
