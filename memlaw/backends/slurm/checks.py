"""Check the options of a Slurm job."""

import re
from typing import Any

from memlaw.config.values import Check, check_at_least, check_or, check_positive, check_switch
from memlaw.core.errors import ConfigError

RESERVED = {
    **dict.fromkeys(("array", "ntasks", "nodes", "wckey", "open-mode"), "it follows from the packs"),
    **dict.fromkeys(("output", "error", "job-name"), "it follows from the study's name"),
    **dict.fromkeys(("signal", "time"), "use signal_delay_s and timeout_min"),
    **dict.fromkeys(("requeue", "no-requeue"), "preempted tasks are queued again"),
}
"""Option of sbatch that `additional` cannot set → the reason."""


def _check_line(key: str, value: Any) -> None:
    if not isinstance(value, str | int | float) or "\n" in str(value):
        raise ConfigError(f"{key}={value!r} is not a text of one line")


def _check_gpus(key: str, value: Any) -> None:
    if not re.fullmatch(r"0|1|\w+:1", str(value)):
        raise ConfigError(
            f"{key}={value} is none of 0, 1 and <type>:1. A pack takes one GPU; "
            "array_parallelism is the number of tasks, and so of GPUs, at work at a time"
        )


def _check_words(key: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"{key}={value} is not a list of texts, such as [one, two]")


def _check_additional(key: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}={value} does not name options, such as {{mail-type: END}}")
    for name, text in value.items():
        if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)):
            raise ConfigError(f"{key}: {name} is not an option of sbatch; write it without leading dashes")
        if name in RESERVED:
            raise ConfigError(f"{key}: {name} is set by the launcher: {RESERVED[name]}")
        check_or(None, _check_line)(f"{key}.{name}", text)


CHECKS: dict[str, Check] = {
    **dict.fromkeys(("partition", "account", "qos", "constraint", "exclude"), check_or(None, _check_line)),
    "gpus": _check_gpus,
    **dict.fromkeys(("gpu_memory_gb", "mem_gb"), check_or(None, check_positive)),
    **dict.fromkeys(("cpus", "timeout_min", "signal_delay_s"), check_at_least(1)),
    "requeues": check_at_least(0),
    "array_parallelism": check_or(None, check_at_least(1)),
    "packs_per_task": check_or("auto", check_at_least(1)),
    **dict.fromkeys(("setup", "srun_args"), _check_words),
    "python": check_or(None, _check_words),
    "additional": _check_additional,
    "wait": check_switch,
}
"""Option → check of its value."""
