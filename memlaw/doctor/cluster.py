"""Checks Slurm: its commands, its limits, its signals, and whether jobs see the runs directory."""

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
CONTENT = "seen by the job"
NO_NODE = "try again when a node is free; SLURM_PARTITION and SLURM_ACCOUNT choose the nodes of srun"


def commands(config: Mapping[str, str], chosen: bool) -> Verdict:
    """Check that Slurm's commands are installed and its controller answers.

    Args:
        config: of `slurm_config`.
        chosen: whether the sweep is to run on Slurm; if not, no problem with it is red.
    """
    level: Level = "red" if chosen else "yellow"
    if not chosen and not any(shutil.which(program) for program in PROGRAMS):
        return Verdict("Slurm", "green", "not installed: sweeps run on this machine alone")
    if missing := missing_programs():
        return Verdict("Slurm", level, missing, REMEDY)
    if not config:
        return Verdict(
            "Slurm", level, "scontrol show config does not answer", "check with scontrol ping that slurmctld runs"
        )
    return Verdict("Slurm", "green", f"cluster {config.get('ClusterName', '?')} answers")


def submission() -> Verdict:
    """Check that submitit, an optional dependency, is installed."""
    if importlib.util.find_spec("submitit") is None:
        return Verdict(
            "submitit", "red", "missing: hydra/launcher=slurm queues through it", "pip install 'memlaw[slurm]'"
        )
    return Verdict("submitit", "green", importlib.metadata.version("submitit"))


def slurm_config() -> dict[str, str]:
    """Read the cluster's configuration; empty when Slurm does not answer."""
    try:
        return cluster_config(CONFIG_TIMEOUT_S)
    except ConfigError:
        return {}


def array_size(config: Mapping[str, str]) -> Verdict:
    """Check the limit on arrays of jobs."""
    text = config.get("MaxArraySize", "")
    if not text.isdigit():
        return Verdict("MaxArraySize", "yellow", "not in scontrol show config", "keep arrays below 1000 tasks")
    if int(text) < 2:
        return Verdict("MaxArraySize", "red", f"{text}: the cluster allows no arrays", "ask for MaxArraySize above 1")
    return Verdict("MaxArraySize", "green", f"{text}: up to {text} tasks in one array")


def preemption(config: Mapping[str, str]) -> Verdict:
    """Check that a preempted job gets a signal, at which cells write checkpoints."""
    mode = config.get("PreemptMode", "OFF").upper()
    if mode == "OFF":
        return Verdict("preemption", "green", "off: running jobs are not preempted")
    if "CANCEL" in mode:
        remedy = "run the sweep's command again after a preemption, or ask for PreemptMode=REQUEUE"
        return Verdict("preemption", "yellow", f"PreemptMode={mode}: preempted jobs are not queued again", remedy)
    parameters = f"{config.get('SlurmctldParameters', '')},{config.get('PreemptParameters', '')}"
    if "send_user_signal" in parameters:
        return Verdict("preemption", "green", f"PreemptMode={mode}, and jobs get a signal first")
    remedy = "write checkpoints often, or ask for SlurmctldParameters=preempt_send_user_signal"
    return Verdict(
        "preemption", "yellow", f"PreemptMode={mode} without preempt_send_user_signal: jobs get no signal", remedy
    )


def shared_directory(runs: Path, try_job: bool, options: Sequence[str] = ()) -> Verdict:
    """Check that a job sees the runs directory.

    Args:
        runs: the directory.
        try_job: whether to start a tiny job.
        options: further ones of srun, such as `--partition=gpu`.
    """
    check = "shared files"
    if not try_job:
        return Verdict(check, "yellow", f"not checked whether jobs see {runs}", "check it with --job")
    srun = (
        "srun",
        *options,
        "--ntasks=1",
        "--time=1",
        f"--immediate={JOB_TIMEOUT_S}",
        "--job-name=memlaw-doctor",
        "cat",
    )
    if shutil.which(srun[0]) is None:
        return Verdict(check, "red", "no srun on PATH", REMEDY)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", prefix=".memlaw-doctor-", dir=runs.resolve()) as file:
            file.write(CONTENT)
            file.flush()
            job = run(*srun, file.name, timeout_s=JOB_TIMEOUT_S + 30)
    except OSError as error:
        return Verdict(check, "red", f"{runs} cannot be written: {error}", "choose another runs_dir")
    except ConfigError:
        return Verdict(check, "yellow", f"no job ran within {JOB_TIMEOUT_S} s", NO_NODE)
    if job.stdout == CONTENT:
        return Verdict(check, "green", f"a job sees {runs}")
    message = (job.stderr.strip().splitlines() or ["it printed no message"])[0]
    if "cat:" in job.stderr or not job.returncode:
        return Verdict(check, "red", f"a job did not see {runs}: {message}", "put runs_dir on a shared file system")
    return Verdict(check, "yellow", f"no job ran: {message}", NO_NODE)
