"""Submissions to a stand-in for sbatch."""

import os
from pathlib import Path

from helpers.processes import stub
from helpers.slurm_options import options

from memlaw.backends.slurm.submission import Submission
from memlaw.backends.slurm.tasks import (
    Task,
    submitted,
)


def test_a_job_that_submits_hands_on_the_users_wishes_and_not_its_own_limits(tmp_path: Path, monkeypatch):
    stub(tmp_path, "srun", "")
    stub(tmp_path, "sbatch", f"env > {tmp_path}/seen; echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    kept = {"SLURM_CONF": "/etc/my.conf", "SBATCH_ACCOUNT": "mine"}
    for name, value in {**kept, "SLURM_MEM_PER_CPU": "100", "SLURM_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    submission = Submission(tmp_path / "study/slurm/now", options(gpus=0))
    task = Task(str(tmp_path), [["a"]], {})
    assert submission.submit([submission.write_tasks([task])]) == ["7"]
    assert submitted(tmp_path / "study") == {"7": submission.directory / "tasks/00000.json"}
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert {name: value for name, value in seen.items() if name.startswith(("SLURM", "SBATCH"))} == kept
    assert os.environ["SLURM_JOB_ID"] == "1"
