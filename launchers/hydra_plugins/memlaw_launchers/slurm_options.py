"""What a SLURM job asks for: the launcher's options, checked, and as submitit takes them."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memlaw.errors import ConfigError
from memlaw.values import check_number, check_switch, check_whole

EARLY_S = 60
"""Slurm may send the signal that much earlier than asked."""

OWN = {
    **dict.fromkeys(("array", "ntasks", "nodes", "wckey", "open-mode"), "it decides that"),
    **dict.fromkeys(("output", "error", "job-name"), "named after the study"),
    **dict.fromkeys(("signal", "time"), "signal_delay_s and timeout_min"),
    **dict.fromkeys(("requeue", "no-requeue"), "a preempted task is queued again"),
}
"""Options of sbatch that `additional` cannot give → what does."""


@dataclass(frozen=True)
class SlurmOptions:
    """The keys of `conf/hydra/launcher/slurm.yaml`, which documents them and holds their defaults.

    Raises:
        ConfigError: a value is impossible.
    """

    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    exclude: str | None
    gpus: int | str
    gpu_memory_gb: float | None
    cpus: int
    mem_gb: float | None
    timeout_min: int
    signal_delay_s: int
    requeues: int
    array_parallelism: int | None
    packs_per_task: int | str
    setup: list[str]
    python: list[str] | None
    srun_args: list[str]
    additional: dict[str, Any]
    wait: bool

    def __post_init__(self) -> None:
        if not re.fullmatch(r"0|1|\w+:1", str(self.gpus)):
            raise ConfigError(
                f"{_key('gpus')}={self.gpus} is none of 0, 1 and <type>:1. A pack takes one GPU; "
                "the tasks of an array share a node, so array_parallelism is the number of GPUs at work"
            )
        for key in ("cpus", "timeout_min", "signal_delay_s"):
            check_whole(_key(key), getattr(self, key), at_least=1)
        check_whole(_key("requeues"), self.requeues, at_least=0)
        if self.array_parallelism is not None:
            check_whole(_key("array_parallelism"), self.array_parallelism, at_least=1)
        if self.packs_per_task != "auto":
            check_whole(_key("packs_per_task"), self.packs_per_task, at_least=1)
        for key in ("mem_gb", "gpu_memory_gb"):
            value = getattr(self, key)
            if value is not None:
                check_number(_key(key), value, "a number above 0", lambda number: number > 0)
        if 60 * self.timeout_min <= self.signal_delay_s + EARLY_S:
            raise ConfigError(
                f"{_key('timeout_min')}={self.timeout_min} leaves no time to train: the signal comes up to "
                f"{self.signal_delay_s + EARLY_S} s before the end ({_key('signal_delay_s')} and {EARLY_S} s)"
            )
        check_switch(_key("wait"), self.wait)
        for key in ("setup", "python", "srun_args"):
            words = getattr(self, key)
            if not (isinstance(words, list) and all(isinstance(word, str) for word in words)) and (
                key != "python" or words is not None
            ):
                raise ConfigError(f"{_key(key)}={words} is not a list of texts, such as [one, two]")
        if not isinstance(self.additional, dict):
            raise ConfigError(
                f"{_key('additional')}={self.additional} does not name options, such as {{mail-type: END}}"
            )
        for name in self.additional:
            if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)):
                raise ConfigError(
                    f"{_key('additional')}: {name} is no option of sbatch; write it without dashes before"
                )
            if name in OWN:
                raise ConfigError(f"{_key('additional')}: {name} is the launcher's own: {OWN[name]}")
        lines = {key: getattr(self, key) for key in ("partition", "account", "qos", "constraint", "exclude")}
        for key, text in {**lines, **self.additional}.items():
            if text is not None and not (isinstance(text, str | int | float) and "\n" not in str(text)):
                raise ConfigError(f"hydra.launcher: {key}={text!r} is not a text of one line")

    @property
    def device(self) -> str:
        """What the job trains on: `cuda` or `cpu`."""
        return "cpu" if str(self.gpus) == "0" else "cuda"

    @property
    def pack_memory_gb(self) -> float:
        """What `pack.memory_gb=auto` is in a job: 80 % of its GPU, or half of its memory.

        Raises:
            ConfigError: the options do not tell.
        """
        key, share = ("gpu_memory_gb", 0.8) if self.device == "cuda" else ("mem_gb", 0.5)
        whole = getattr(self, key)
        if whole is None:
            raise ConfigError(
                f"the memory of a pack is not known where jobs are submitted: give pack.memory_gb, or {_key(key)}"
            )
        return share * whole

    def parameters(self, job_name: str, array_parallelism: int, python_path: Sequence[str]) -> dict[str, Any]:
        """What `submitit.SlurmExecutor.update_parameters` takes.

        Args:
            job_name: as squeue shows it.
            array_parallelism: tasks of this array at a time.
            python_path: what a job must find before anything installed.
        """
        path = shlex.quote(":".join(python_path))
        exports = [f"export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}"] if python_path else []
        additional = {
            name: value for name, value in self.additional.items() if value is not None and value is not False
        }
        asked = {
            "job_name": job_name,
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "exclude": self.exclude,
            "gpus_per_node": self.gpus if self.device == "cuda" else None,
            "cpus_per_task": self.cpus,
            "mem": f"{round(1024 * self.mem_gb)}M" if self.mem_gb else None,
            "time": self.timeout_min,
            "signal_delay_s": self.signal_delay_s,
            "array_parallelism": array_parallelism,
            "setup": [*exports, f"export OMP_NUM_THREADS={self.cpus}", *self.setup],
            "srun_args": [f"--cpus-per-task={self.cpus}", *self.srun_args],  # srun no longer takes it from sbatch
            "stderr_to_stdout": True,
            "additional_parameters": {"requeue": True, **additional},
        }
        told = {name: value for name, value in asked.items() if value is not None}
        return {**told, "wckey": None}  # submitit's own is refused where keys are tracked


def _key(name: str) -> str:
    return f"hydra.launcher.{name}"
