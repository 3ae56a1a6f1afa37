import json
import os
from pathlib import Path

import pytest
from conftest import stub

from memlaw.squeue import Job, parse_jobs, study_jobs, summary


def answer(study: Path) -> dict:
    """Jobs as Slurm 22.05 and as 23.11 tell them, of this study and of another."""
    old = {"job_id": 7, "array_job_id": 7, "array_task_id": 2, "array_task_string": "", "job_state": "RUNNING"}
    new = {
        "job_id": 9,
        "array_job_id": {"set": True, "infinite": False, "number": 9},
        "array_task_id": {"set": False, "infinite": False, "number": 0},
        "array_task_string": "0-3%2",
        "job_state": ["PENDING"],
        "state_reason": "Priority",
    }
    single = {"job_id": 11, "array_job_id": {"set": False, "number": 0}, "job_state": ["COMPLETED"]}
    own = [{**job, "standard_output": f"{study}/logs/%A_%a.out"} for job in (old, new, single)]
    return {"jobs": [*own, {**old, "job_id": 8, "standard_output": "/elsewhere/out"}, {**old, "standard_output": None}]}


def test_the_jobs_of_a_study_are_those_that_write_into_it(tmp_path):
    jobs = parse_jobs(answer(tmp_path), tmp_path)
    assert jobs == [Job("7_2", "RUNNING", ""), Job("9_0-3%2", "PENDING", "Priority")]
    assert summary(jobs) == "1 running, 4 pending (Priority)"


ODD = {
    "standard_output": [3, ["a"], {}, None],
    "job_state": [3, [], [3], {}, None],
    "array_job_id": ["x", {"set": True}, [], None],
    "array_task_id": ["x", {"set": True}, [], None],
    "array_task_string": [3, {}, None],
    "state_reason": [3, {}, None],
    "job_id": ["x", [], None],
}


@pytest.mark.parametrize(("key", "values"), ODD.items(), ids=ODD)
def test_a_job_with_something_odd_is_no_crash(tmp_path, key: str, values: list):
    whole, *_ = answer(tmp_path)["jobs"]
    lost = key in ("standard_output", "job_state")
    for job in (*({**whole, key: value} for value in values), {name: whole[name] for name in whole if name != key}):
        found = parse_jobs({"jobs": [job, 3, None, "x"]}, tmp_path)
        assert [one.state for one in found] == ([] if lost else ["RUNNING"])
    assert parse_jobs({"jobs": 3}, tmp_path) == parse_jobs({"jobs": {"a": 1}}, tmp_path) == []


def test_a_job_without_a_number_has_a_question_mark(tmp_path):
    job = {"job_state": "RUNNING", "standard_output": f"{tmp_path}/logs/a.out"}
    assert parse_jobs({"jobs": [job]}, tmp_path) == [Job("?", "RUNNING", "")]


DEEP = f"echo '{'[' * 100_000}'"


@pytest.mark.parametrize(
    "script", [None, "exit 1", "echo no json", "echo '[]'", "echo '{}'", DEEP],
    ids=["none", "fails", "no json", "list", "object", "deep"],
)  # fmt: skip
def test_a_slurm_that_is_absent_or_odd_gives_no_jobs(tmp_path, monkeypatch, script):
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        stub(tmp_path, "squeue", script)
    assert study_jobs(tmp_path) == []


def test_squeue_is_asked(tmp_path, monkeypatch):
    (tmp_path / "answer.json").write_text(json.dumps(answer(tmp_path)))
    stub(tmp_path, "squeue", f'test "$*" = "--json --user={os.getuid()}" && cat {tmp_path}/answer.json')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert len(study_jobs(tmp_path)) == 2
