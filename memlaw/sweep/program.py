"""The sweep's command as a function, for notebooks and scripts: `memlaw.train([...])`."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from memlaw.config.compose import compose_config, first_values
from memlaw.core.errors import ConfigError, SweepFailed
from memlaw.core.paths import checkout_paths
from memlaw.study.directory import study_dir


def train(overrides: Sequence[str] = ()) -> Path:
    """Train a sweep as `python -m memlaw.train -m` does, and print what it prints. What is done is not trained again.

    The command runs in a process of its own. An interrupt reaches it, and it writes checkpoints before it ends.

    Args:
        overrides: words of the command line, such as `lora.rank=1,4` and `seq_len=64,256`; no options such as `-m`.

    Returns:
        The study's directory, which `memlaw.load_study` reads.

    Raises:
        ConfigError: the overrides are impossible.
        SweepFailed: cells failed or were left unfinished; the others are done.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides are a list of words, such as ['lora.rank=1,4']; got the text {overrides!r}")
    directory = study_dir(compose_config(first_values(overrides)))
    command = [sys.executable, "-u", "-m", "memlaw.train", "-m", *overrides]
    path = os.pathsep.join([*checkout_paths(), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},  # a checkout that is not installed is found by this process alone
    ) as process:
        assert process.stdout
        last = ""
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                last = line.strip() or last
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if process.returncode:
        raise (ConfigError if process.returncode == 2 else SweepFailed)(last.removeprefix("Configuration error: "))
    return directory
