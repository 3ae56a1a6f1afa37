"""Slurm's queue, as a study's readers and waiting sweeps see it."""

import os
from pathlib import Path

import pytest
from helpers.processes import stub

from memlaw.backends.slurm import queue
from memlaw.backends.slurm.queue import Awaited, Job, live_jobs, ranges, study_jobs, summary
from memlaw.core.errors import ConfigError
from memlaw.core.files import write_json

ANSWER = "7_2|RUNNING|None\n9_0|PENDING|Priority\n9_1|PENDING|Priority\n8|RUNNING|None\n"
JOBS = [Job("7_2", "RUNNING", ""), Job("9_0", "PENDING", "Priority"), Job("9_1", "PENDING", "Priority")]


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch):
    """Let squeue be a script, or be missing."""

    def pretend(script: str | None) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}" if script else f"{tmp_path}/bin")
        if script:
            stub(tmp_path / "bin", "squeue", script)

    return pretend


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study whose submissions had four jobs, of which one has ended."""
    write_json(tmp_path / "s/slurm/monday/jobs.json", {"7_1": "00000.json", "7_2": "00001.json"})
    write_json(tmp_path / "s/slurm/tuesday/jobs.json", {"9_0": "00000.json", "9_1": "00001.json"})
    return tmp_path / "s"


def test_the_jobs_of_a_study_are_those_of_its_submissions(squeue, study: Path):
    squeue(f"printf '{ANSWER}'")
    assert study_jobs(study) == JOBS
    assert summary(JOBS) == "1 running, 2 pending (Priority)"


def test_squeue_is_asked_for_the_jobs_of_one_user(squeue, study: Path):
    squeue(f'echo "$*" | grep -q -- "--noheader --array --user={study.stat().st_uid}" && printf "{ANSWER}"')
    assert len(study_jobs(study)) == 3
    assert len(live_jobs()) == 4


def test_jobs_that_are_ending_are_not_asked_for(squeue):
    squeue('echo "$*" | tr " " "\\n" | grep states | sed "s/$/|RUNNING|None/"')
    assert [job.id for job in live_jobs()] == ["--states=PENDING,RUNNING,SUSPENDED"]


def test_a_study_without_submissions_asks_nobody(squeue, tmp_path: Path):
    squeue(f"touch {tmp_path}/asked; printf '{ANSWER}'")
    assert study_jobs(tmp_path) == []
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("script", [None, "exit 1", "echo no line of a job", "echo '|'"])
def test_a_slurm_that_is_absent_or_odd_gives_a_reader_no_jobs(squeue, study: Path, script: str | None):
    squeue(script)
    assert study_jobs(study) == []


def test_a_broken_list_of_jobs_gives_a_reader_no_jobs(squeue, study: Path):
    squeue(f"printf '{ANSWER}'")
    (study / "slurm/monday/jobs.json").write_text("{")
    assert study_jobs(study) == []


def test_a_sweep_needs_an_answer(squeue):
    squeue(None)
    with pytest.raises(ConfigError, match="no sbatch, srun, squeue, scontrol on PATH of this machine"):
        live_jobs()
    squeue("echo no words of mine >&2; exit 1")
    with pytest.raises(ConfigError, match=r"^no words of mine$"):
        live_jobs()


def test_ids_are_shortened_to_ranges():
    assert ranges(["12_0", "12_1", "12_2", "13"]) == "12_[0-2], 13"


def test_jobs_are_gone_when_two_looks_miss_them_and_a_silent_controller_does_not_count(monkeypatch):
    looks = iter([[Job("7_2", "RUNNING", "")], [], ConfigError("slurmctld restarts"), []])

    def look() -> list[Job]:
        answer = next(looks)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    monkeypatch.setattr(queue, "live_jobs", look)
    monkeypatch.setattr(queue, "POLL_S", 0.0)
    awaited = Awaited({"7_1", "7_2"})
    assert [awaited.gone() for _ in range(4)] == [False, False, False, True]


def test_the_queue_is_not_asked_more_often_than_every_few_seconds(monkeypatch):
    looks = []
    monkeypatch.setattr(queue, "live_jobs", lambda: looks.append(1) or [])
    awaited = Awaited({"7"})
    assert [awaited.gone() for _ in range(3)] == [False] * 3
    assert len(looks) == 1
