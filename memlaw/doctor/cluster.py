"""Slurm: its commands, its limits, its signals, and whether jobs see the runs directory."""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from memlaw.backends.slurm.commands import PROGRAMS, REMEDY, cluster_config, missing_programs, run
from memlaw.core.errors import ConfigError
from memlaw.doctor.verdict import Level, Verdict

CONFIG_TIMEOUT_S = 20.0
JOB_TIMEOUT_S = 120
WHERE = "try again when a node is free; SLURM_PARTITION and SLURM_ACCOUNT choose where srun goes"


def commands(config: Mapping[str, str], wanted: bool) -> Verdict:
    """Whether Slurm's commands are there and its controller answers.

    Args:
        config: of `slurm_config`.
        wanted: whether the sweep is to go there; if not, what is amiss does not spoil it.
    """
    level: Level = "red" if wanted else "yellow"
    if not wanted and not any(shutil.which(program) for program in PROGRAMS):
        return Verdict("Slurm", "green", "none here: sweeps run on this machine alone")
    if missing := missing_programs():
        return Verdict("Slurm", level, missing, REMEDY)
    if not config:
        return Verdict(
            "Slurm", level, "scontrol show config gives no answer", "ask whether slurmctld is up; scontrol ping"
        )
    return Verdict("Slurm", "green", f"cluster {config.get('ClusterName', '?')} answers")


def submission() -> Verdict:
    """Whether the launcher can queue jobs: submitit is an optional dependency."""
    if importlib.util.find_spec("submitit") is None:
        return Verdict(
            "submitit", "red", "missing: hydra/launcher=slurm queues through it", "pip install 'memlaw[slurm]'"
        )
    return Verdict("submitit", "green", importlib.metadata.version("submitit"))


def slurm_config() -> dict[str, str]:
    """Read the cluster's configuration; empty when Slurm gives no answer."""
    try:
        return cluster_config(CONFIG_TIMEOUT_S)
    except ConfigError:
        return {}


def array_size(config: Mapping[str, str]) -> Verdict:
    """How large an array of jobs may be."""
    text = config.get("MaxArraySize", "")
    if not text.isdigit():
        return Verdict("MaxArraySize", "yellow", "not told by scontrol show config", "keep arrays below 1000 tasks")
    if int(text) < 2:
        return Verdict("MaxArraySize", "red", f"{text}: the cluster takes no arrays", "ask for MaxArraySize above 1")
    return Verdict("MaxArraySize", "green", f"{text}: up to {text} tasks in one array")


def preemption(config: Mapping[str, str]) -> Verdict:
    """Whether a job that is preempted gets its own signal, at which cells write checkpoints."""
    mode = config.get("PreemptMode", "OFF").upper()
    if mode == "OFF":
        return Verdict("preemption", "green", "off: running jobs are not preempted")
    if "CANCEL" in mode:
        remedy = "run the sweep's command again after a preemption, or ask for PreemptMode=REQUEUE"
        return Verdict("preemption", "yellow", f"PreemptMode={mode}: preempted jobs are not queued again", remedy)
    said = f"{config.get('SlurmctldParameters', '')},{config.get('PreemptParameters', '')}"
    if "send_user_signal" in said:
        return Verdict("preemption", "green", f"PreemptMode={mode}, and jobs get their own signal first")
    remedy = "write checkpoints often, or ask for SlurmctldParameters=preempt_send_user_signal"
    return Verdict("preemption", "yellow", f"PreemptMode={mode} without preempt_send_user_signal: no warning", remedy)


def shared_directory(runs: Path, try_job: bool, where: Sequence[str] = ()) -> Verdict:
    """Whether a job sees the runs directory, by a tiny one if `try_job`.

    Args:
        runs: the directory.
        try_job: whether to start one.
        where: options of srun, such as `--partition=gpu`; else it goes where srun sends it by itself.
    """
    check = "shared files"
    if not try_job:
        return Verdict(check, "yellow", f"not tried whether jobs see {runs}", "try it with --job")
    tiny = ("srun", *where, "--ntasks=1", "--time=1", f"--immediate={JOB_TIMEOUT_S}", "--job-name=memlaw-doctor", "cat")
    if shutil.which(tiny[0]) is None:
        return Verdict(check, "red", "no srun on PATH", REMEDY)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", prefix=".memlaw-doctor-", dir=runs.resolve()) as file:
            file.write("seen by the job")
            file.flush()
            job = run(*tiny, file.name, timeout_s=JOB_TIMEOUT_S + 30)
    except OSError as error:
        return Verdict(check, "red", f"{runs} cannot be written: {error}", "choose another runs_dir")
    except ConfigError:
        return Verdict(check, "yellow", f"no job ran within {JOB_TIMEOUT_S} s", WHERE)
    if job.stdout == "seen by the job":
        return Verdict(check, "green", f"a job sees {runs}")
    said = (job.stderr.strip().splitlines() or ["it said nothing"])[0]
    if "cat:" in job.stderr or not job.returncode:
        return Verdict(check, "red", f"a job did not see {runs}: {said}", "put runs_dir on a shared file system")
    return Verdict(check, "yellow", f"no job ran: {said}", WHERE)
