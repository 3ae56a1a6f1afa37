"""What W&B's log of a run says of itself: where the run belongs, and whether the log goes on to the run's end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TIMEOUT_S = 120


class Log(NamedTuple):
    """What a log says.

    Attributes:
        project, entity: of the run; empty where the log has none.
        ended: whether the run's end is in it.
    """

    project: str
    entity: str
    ended: bool


def read_log(path: Path) -> Log:
    """Let W&B read a log as far as it goes; what it cannot read has no project and no end.

    Raises:
        OSError, subprocess.TimeoutExpired: W&B does not run.
    """
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    try:
        said = json.loads(told)
    except ValueError:
        return Log("", "", False)
    return Log(said["project"], said["entity"], said["exit_code"] is not None)
