"""The Hydra application behind the commands `train` and `plan`."""

import errno
import os
import sys
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from memlaw.backends.this_process import ThisProcess
from memlaw.config.explain import explained
from memlaw.core import errors
from memlaw.core.errors import ConfigError, SweepFailed, leave_interrupted, refuse
from memlaw.core.paths import add_checkout, config_dir
from memlaw.planning.cells import compose_cell
from memlaw.sweep.run_sweep import run_sweep

add_checkout()


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="config")
def run(cfg: DictConfig) -> None:
    """Train the cell that `cfg` describes, unless the study has it."""
    hydra_config = HydraConfig.get()
    sweep = hydra_config.mode == RunMode.MULTIRUN
    launcher = hydra_config.runtime.choices["hydra/launcher"]
    try:
        if not sweep and launcher != "local":
            raise ConfigError(f"hydra/launcher={launcher} launches a sweep: add -m; without it the cell trains here")
        run_sweep([compose_cell(cfg)], cfg, ThisProcess())
    except ConfigError as error:
        if sweep:  # Hydra's launcher goes on with the sweep's other jobs
            raise
        refuse(error)
    except KeyboardInterrupt:
        leave_interrupted()


def run_application(words: Sequence[str]) -> None:
    """Run the sweep, or the single cell, of a command line.

    End the program with exit code 1 when cells failed, and with 2 when the configuration is impossible.

    Args:
        words: words of the command line, without the program.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets Hydra raise errors, which it would print before it exits with 1
    sys.argv[1:] = words
    try:
        with explained(words):
            run()
    except SweepFailed as failed:
        print(failed, file=sys.stderr)
        sys.exit(1)
    except ConfigError as error:
        refuse(error)
    except KeyboardInterrupt:  # while Hydra starts
        leave_interrupted()
    except OSError as error:  # a directory that cannot be written to, a full disk
        if errors.TRACEBACKS:
            raise
        if error.errno == errno.ENAMETOOLONG:  # Hydra makes the study's directory before we check its name
            refuse(ConfigError("study and runs_dir make a path that is longer than the file system takes"))
        sys.exit(str(error))
