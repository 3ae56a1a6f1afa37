"""What a Slurm job asks for: the launcher's options, checked, and as submitit takes them."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from memlaw.backends.slurm.checks import CHECKS
from memlaw.core.errors import ConfigError

EARLY_S = 60
"""Slurm may send the signal that much earlier than asked."""


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
        """Take the launcher's keys. Raises ConfigError for one that is unknown, or a value that is impossible."""
        known = {field.name for field in fields(cls)}
        if options.keys() - known:
            unknown = ", ".join(sorted(options.keys() - known))
            raise ConfigError(f"hydra.launcher: {unknown} is none of {', '.join(sorted(known))}")
        return cls(**options)

    @property
    def device(self) -> str:
        """Return what the job trains on: `cuda` or `cpu`."""
        return "cpu" if str(self.gpus) == "0" else "cuda"

    @property
    def pack_memory_gb(self) -> float:
        """Return what `pack.memory_gb=auto` is in a job: 80 % of its GPU's memory, or half of its RAM.

        Raises:
            ConfigError: the options do not give either.
        """
        key, share = ("gpu_memory_gb", 0.8) if self.device == "cuda" else ("mem_gb", 0.5)
        whole = getattr(self, key)
        if whole is None:
            raise ConfigError(
                f"the memory of a pack is not known where jobs are submitted: give pack.memory_gb, or {_key(key)}"
            )
        return share * whole

    def parameters(self, job_name: str, array_parallelism: int, python_path: Sequence[str]) -> dict[str, Any]:
        """Return what `submitit.SlurmExecutor.update_parameters` takes.

        Args:
            job_name: name that squeue shows.
            array_parallelism: tasks of this array at a time.
            python_path: directories that a job searches before installed packages.
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
        given = {name: value for name, value in asked.items() if value is not None}
        return {**given, "wckey": None}  # submitit's own is refused where keys are tracked


def _key(name: str) -> str:
    return f"hydra.launcher.{name}"
