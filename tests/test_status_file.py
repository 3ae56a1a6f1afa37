import json
from pathlib import Path

import pytest
from conftest import ROOT
from rows import ROW, write_row

from memlaw.cell import Cell
from memlaw.kept_cells import cell_directories, roots
from memlaw.pack import train_pack
from memlaw.status_file import Status, read_status

FOREIGN = {
    "half": b'{"state": "runn',
    "bytes": b"\xff\xfe\x00",
    "empty": b"",
    "list": b"[1, 2]",
    "no state": b'{"status": "ok"}',
    "state of others": b'{"state": "COMPLETED"}',
    "list as state": b'{"state": "running", "pid": "12"}',
    "failed without cause": b'{"state": "failed"}',
    "attempt": b'{"state": "pending", "attempt": null}',
    "done without a result": b'{"state": "done"}',
    "deep": b"[" * 100_000,
    "no number": b'{"state": "running", "loss_nats": NaN}',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_broken_or_foreign_status_is_unreadable_with_a_cause_in_one_line(tmp_path, content: bytes):
    path = tmp_path / "status.json"
    path.write_bytes(content)
    status = read_status(path)
    assert (status.state, status.attempt) == ("unreadable", 0)
    assert status.cause and "\n" not in status.cause


def test_a_directory_in_its_place_is_unreadable_and_no_file_is_pending(tmp_path):
    assert read_status(tmp_path / "status.json") == Status("pending", attempt=0)
    (tmp_path / "status.json").mkdir()
    assert read_status(tmp_path / "status.json").state == "unreadable"


CHANGED = {
    "of another cell": ({"cell": "b"}, "row of another cell: 'b'"),
    "text as seconds": ({"worker_seconds": "x"}, "worker_seconds is a str"),
    "null as a loss": ({"loss_nats": None}, "loss_nats is a NoneType"),
    "true as a rank": ({"lora.rank": True}, "lora.rank is a bool"),
    "no arithmetic": ({"step_flops": 0}, "step_flops is 0"),
}


@pytest.mark.parametrize(("columns", "said"), CHANGED.values(), ids=CHANGED)
def test_done_with_another_row_than_its_own_is_unreadable(tmp_path: Path, columns: dict, said: str):
    path = tmp_path / "a/status.json"
    path.parent.mkdir()
    path.write_text('{"state": "done"}')
    write_row(path.parent)
    assert read_status(path) == Status("done", attempt=0)
    write_row(path.parent, **columns)
    status = read_status(path)
    assert status.state == "unreadable"
    assert said in status.cause


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "lacks cell, model.name, data.name, …"),
        (json.dumps({"cell": "a", **ROW} | {"seconds": float("nan")}), "holds NaN"),
        ('{"steps_trained": 5, "worker_seconds": "x"}', "lacks cell"),
        ("[]", "holds a list"),
    ],
)
def test_done_with_a_foreign_or_incomplete_row_is_unreadable(tmp_path: Path, content: str, said: str):
    path = tmp_path / "a/status.json"
    path.parent.mkdir()
    path.write_text('{"state": "done"}')
    write_row(path.parent)
    path.with_name("result.json").write_text(content)
    status = read_status(path)
    assert status.state == "unreadable"
    assert said in status.cause


def test_done_without_a_token_table_is_unreadable_and_without_an_adapter_is_done(tmp_path: Path):
    path = tmp_path / "a/status.json"
    path.parent.mkdir()
    path.write_text('{"state": "done"}')
    write_row(path.parent)
    assert read_status(path).state == "done"
    path.with_name("tokens.parquet").unlink()
    assert read_status(path) == Status("unreadable", cause="ValueError: tokens.parquet is missing")


@pytest.mark.parametrize("study", ["docs/study/smollm2", "docs/memft/smollm2"])
def test_every_cell_of_the_studies_that_are_kept_is_done(study: str):
    (_, kept) = roots(ROOT / study)
    statuses = [directory / "status.json" for directory in cell_directories(kept)]
    assert statuses
    assert {read_status(path).state for path in statuses} == {"done"}


@pytest.mark.parametrize("content", [b'{"state": "runn', b"[1, 2]", b'{"state": "done"}'])
def test_a_cell_with_an_unreadable_status_is_trained_again(tiny, content: bytes):
    cell, cfg = tiny("steps=3", "seq_len=8")
    cell.plan()
    cell.paths.status.write_bytes(content)
    cell.plan()
    assert cell.state == "pending"
    cell.paths.status.write_bytes(content)
    train_pack([cell], cfg)
    assert (cell.state, cell.status.attempt) == ("done", 1)
    assert Cell.load(cell.paths.directory) == cell


def test_a_status_survives_the_way_through_json_and_writes_no_empty_fields():
    status = Status("running", attempt=2, host="a", pid=3, started="2026-01-31T23:59:59+00:00", step=4, step_flops=5)
    assert Status.from_json(json.loads(json.dumps(status.to_json()))) == status
    assert Status("pending").to_json() == {"state": "pending", "attempt": 0}


def test_fields_of_another_version_are_ignored():
    assert Status.from_json({"state": "running", "mood": "fine"}) == Status("running")


@pytest.mark.parametrize(
    ("status", "share", "ended"),
    [
        (Status("pending", total_steps=10), 0.0, False),
        (Status("running", total_steps=10, step=5), 0.5, False),
        (Status("running", step=5), 0.0, False),
        (Status("failed", total_steps=10, step=5), 1.0, True),
        (Status("done"), 1.0, True),
    ],
)
def test_the_trained_share_counts_ended_cells_whole(status: Status, share: float, ended: bool):
    assert (status.trained_share, status.ended) == (share, ended)


def test_times_are_seconds_and_what_is_no_time_is_none():
    status = Status("running", started="1970-01-01T00:01:00+00:00", updated="yesterday")
    assert (status.started_at, status.updated_at) == (60.0, None)
