"""What each option of a Slurm job may be."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from memlaw.errors import ConfigError
from memlaw.values import check_number, check_switch, check_whole

Check = Callable[[str, Any], None]
"""Takes a key and its value. Raises ConfigError naming the key and what is allowed."""

OWN = {
    **dict.fromkeys(("array", "ntasks", "nodes", "wckey", "open-mode"), "it follows from the packs"),
    **dict.fromkeys(("output", "error", "job-name"), "named after the study"),
    **dict.fromkeys(("signal", "time"), "signal_delay_s and timeout_min"),
    **dict.fromkeys(("requeue", "no-requeue"), "a preempted task is queued again"),
}
"""Options of sbatch that `additional` cannot give → what gives them."""


def _unless(open_value: Any, check: Check) -> Check:
    """Check any value but one that leaves the choice open."""
    return lambda key, value: None if value == open_value else check(key, value)


def _check_line(key: str, value: Any) -> None:
    if not isinstance(value, str | int | float) or "\n" in str(value):
        raise ConfigError(f"{key}={value!r} is not a text of one line")


def _check_size(key: str, value: Any) -> None:
    check_number(key, value, "a number above 0", lambda number: number > 0)


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
        _unless(None, _check_line)(f"{key}.{name}", text)


_at_least_one: Check = partial(check_whole, at_least=1)

CHECKS: dict[str, Check] = {
    **dict.fromkeys(("partition", "account", "qos", "constraint", "exclude"), _unless(None, _check_line)),
    "gpus": _check_gpus,
    **dict.fromkeys(("gpu_memory_gb", "mem_gb"), _unless(None, _check_size)),
    **dict.fromkeys(("cpus", "timeout_min", "signal_delay_s"), _at_least_one),
    "requeues": partial(check_whole, at_least=0),
    "array_parallelism": _unless(None, _at_least_one),
    "packs_per_task": _unless("auto", _at_least_one),
    **dict.fromkeys(("setup", "srun_args"), _check_words),
    "python": _unless(None, _check_words),
    "additional": _check_additional,
    "wait": check_switch,
}
"""For each option, what refuses an impossible value."""
