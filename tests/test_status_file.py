import pytest

from memlaw.cell import Cell
from memlaw.pack import train_pack
from memlaw.status_file import read_status

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
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_broken_or_foreign_status_is_unreadable_with_a_cause_in_one_line(tmp_path, content: bytes):
    path = tmp_path / "status.json"
    path.write_bytes(content)
    status = read_status(path)
    assert (status["state"], status["attempt"]) == ("unreadable", 0)
    assert status["cause"] and "\n" not in status["cause"]


def test_a_directory_in_its_place_is_unreadable_and_no_file_is_pending(tmp_path):
    assert read_status(tmp_path / "status.json") == {"state": "pending", "attempt": 0}
    (tmp_path / "status.json").mkdir()
    assert read_status(tmp_path / "status.json")["state"] == "unreadable"


@pytest.mark.parametrize("content", [b'{"state": "runn', b"[1, 2]", b'{"state": "done"}'])
def test_a_cell_with_an_unreadable_status_is_trained_again(tiny, content: bytes):
    cell, cfg = tiny("steps=3", "seq_len=8")
    cell.plan()
    cell.paths.status.write_bytes(content)
    cell.plan()
    assert cell.state == "pending"
    cell.paths.status.write_bytes(content)
    train_pack([cell], cfg)
    assert (cell.state, cell.status["attempt"]) == ("done", 1)
    assert Cell.load(cell.paths.directory) == cell
