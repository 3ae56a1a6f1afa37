"""What each option of a Slurm job may be."""

import re
from typing import Any

from memlaw.config.values import Check, check_at_least, check_or, check_positive, check_switch
from memlaw.core.errors import ConfigError

OWN = {
    **dict.fromkeys(("array", "ntasks", "nodes", "wckey", "open-mode"), "it follows from the packs"),
    **dict.fromkeys(("output", "error", "job-name"), "named after the study"),
    **dict.fromkeys(("signal", "time"), "signal_delay_s and timeout_min"),
    **dict.fromkeys(("requeue", "no-requeue"), "a preempted task is queued again"),
}
"""Options of sbatch that `additional` cannot give → what gives them."""


def _check_line(key: str, value: Any) -> None:
    if not isinstance(value, str | int | float) or "\n" in str(value):
        raise ConfigError(f"{key}={value!r} is not a text of one line")


def _check_gpus(key: str, value: Any) -> None:
    if not re.fullmatch(r"0|1|\w+:1", str(value)):
        raise ConfigError(
            f"{key}={value} is none of 0, 1 and <type>:1. A pack takes one GPU; "
            "the tasks of an array share a node, so array_parallelism is the number of GPUs at work"
        )


def _check_words(key: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"{key}={value} is not a list of texts, such as [one, two]")


def _check_additional(key: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}={value} does not name options, such as {{mail-type: END}}")
    for name, text in value.items():
        if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)):
            raise ConfigError(f"{key}: {name} is no option of sbatch; write it without dashes before")
        if name in OWN:
            raise ConfigError(f"{key}: {name} is the launcher's own: {OWN[name]}")
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
"""For each option, what refuses an impossible value."""
