"""Options of a Slurm job: the keys of the launcher, checked, and as parameters of submitit."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from memlaw.backends.slurm.checks import CHECKS
from memlaw.core.errors import ConfigError
from memlaw.planning.machine import CPU_SHARE, GPU_SHARE

EARLY_S = 60
"""Slurm may send the signal this much earlier than requested."""


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
        for field in fields(self):
            CHECKS[field.name](_key(field.name), getattr(self, field.name))
        if 60 * self.timeout_min <= self.signal_delay_s + EARLY_S:
            raise ConfigError(
                f"{_key('timeout_min')}={self.timeout_min} leaves no time to train: the signal comes up to "
                f"{self.signal_delay_s + EARLY_S} s before the end ({_key('signal_delay_s')} and {EARLY_S} s)"
            )

    @classmethod
    def from_config(cls, options: Mapping[str, Any]) -> "SlurmOptions":
        """Make options of the launcher's keys. Raises ConfigError for an unknown key or an impossible value."""
        names = {field.name for field in fields(cls)}
        if options.keys() - names:
            unknown = ", ".join(sorted(options.keys() - names))
            raise ConfigError(f"hydra.launcher: {unknown} is none of {', '.join(sorted(names))}")
        return cls(**options)

    @property
    def device(self) -> str:
        """Return the type of the job's device: `cuda` or `cpu`."""
        return "cpu" if str(self.gpus) == "0" else "cuda"

    @property
    def pack_ram_gb(self) -> float:
        """Return what a pack may fill in a job with `pack.memory_gb=auto`: a share of its GPU's memory or of its RAM.

        Raises:
            ConfigError: the options give neither.
        """
        key, share = ("gpu_memory_gb", GPU_SHARE) if self.device == "cuda" else ("mem_gb", CPU_SHARE)
        whole = getattr(self, key)
        if whole is None:
            raise ConfigError(f"pack.memory_gb=auto cannot be measured on the jobs' machine: set it, or {_key(key)}")
        return share * whole

    def parameters(self, job_name: str, array_parallelism: int, python_path: Sequence[str]) -> dict[str, Any]:
        """Return parameters for `submitit.SlurmExecutor.update_parameters`.

        Args:
            job_name: name in the queue.
            array_parallelism: tasks of this array that run at a time.
            python_path: directories that a job searches before installed packages.
        """
        path = shlex.quote(":".join(python_path))
        exports = [f"export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}"] if python_path else []
        additional = {
            name: value for name, value in self.additional.items() if value is not None and value is not False
        }
        parameters = {
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
        given = {name: value for name, value in parameters.items() if value is not None}
        return {**given, "wckey": None}  # clusters that track keys refuse submitit's default


def _key(name: str) -> str:
    return f"hydra.launcher.{name}"
