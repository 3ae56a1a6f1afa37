"""Packs grouped into tasks, and their files."""

from pathlib import Path

import pytest

from memlaw.backends.slurm.tasks import (
    Task,
    by_number,
    by_seconds,
    seconds_per_task,
    split_arrays,
    start_within_s,
    submitted,
)
from memlaw.core.errors import ConfigError
from memlaw.core.files import write_json


@pytest.mark.parametrize("content", ["{", "[]", '{"1": 2}'])
def test_a_broken_list_of_jobs_is_named(tmp_path: Path, content: str):
    (tmp_path / "slurm/2026").mkdir(parents=True)
    (tmp_path / "slurm/2026/jobs.json").write_text(content)
    with pytest.raises(ConfigError, match=r"jobs\.json cannot be read .* move its directory away"):
        submitted(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"study": "s"}'])
def test_a_broken_task_is_named(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "00000.json").write_text(content)
    with pytest.raises(ConfigError, match=r"00000\.json is not a task .*; cancel its job"):
        Task.read(tmp_path / "00000.json")


def test_packs_fill_tasks():
    assert by_number("abcde", 2) == [["a", "b"], ["c", "d"], ["e"]]
    assert by_seconds("abcde", [1, 1, 1, 5, 1], 3) == [["a", "b", "c"], ["d"], ["e"]]
    assert by_seconds("ab", [0, 0], 3) == [["a", "b"]]
    assert seconds_per_task(240, measured=True) == 600
    assert seconds_per_task(20, measured=True) == 300
    assert seconds_per_task(240, measured=False) == 60


@pytest.mark.parametrize(
    ("tasks", "limit", "lengths"), [(9, 10, [9]), (10, 10, [10]), (11, 10, [6, 5]), (3, 1, [1, 1, 1]), (2, 0, [1, 1])]
)
def test_arrays_keep_their_last_index_below_the_limit(tasks: int, limit: int, lengths: list[int]):
    arrays = split_arrays(range(tasks), limit)
    assert [len(array) for array in arrays] == lengths
    assert [task for array in arrays for task in array] == list(range(tasks))


def test_a_crowd_of_tasks_spreads_its_start_and_a_few_do_not_wait():
    assert start_within_s(8) == 0
    assert start_within_s(40) == 10
    assert start_within_s(1000) == 30


def test_task_files_say_what_is_queued(tmp_path: Path):
    task = Task(str(tmp_path), [["a", "b"], ["c"]], {"trainer": {"device": "cpu"}})
    path = tmp_path / "slurm/2026/tasks/00000.json"
    task.write(path)
    write_json(tmp_path / "slurm/2026/jobs.json", {"7_0": "00000.json"})
    assert submitted(tmp_path) == {"7_0": path}
    assert Task.read(path) == task
