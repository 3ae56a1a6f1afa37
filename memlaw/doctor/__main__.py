"""`python -m memlaw.doctor`: what would spoil a sweep on this machine or cluster, and what to do about it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memlaw.doctor import installation
from memlaw.doctor.verdict import Verdict
from memlaw.errors import ConfigError, refuse
from memlaw.hydra_errors import explained
from memlaw.paths import add_launchers, cache_dir, config_dir

WORDS = {"green": "ok", "yellow": "look", "red": "bad"}


def examine(cfg: DictConfig, runs: Path, try_job: bool) -> list[Verdict]:
    """All checks; those of the installation alone where it is broken.

    Args:
        cfg: of the sweep to come, with Hydra's own part.
        runs: where studies go.
        try_job: whether to start a tiny Slurm job.

    Raises:
        ConfigError: `cfg` asks for something impossible.
    """
    python_needed, packages_needed = installation.requirements()
    found = [installation.python(python_needed), installation.packages(packages_needed)]
    if any(verdict.level == "red" for verdict in found):
        return found
    import torch  # with all that the other checks import, only now that it is known to be there
    from huggingface_hub.constants import HF_HUB_CACHE

    from memlaw.checks import instantiate_checked
    from memlaw.doctor import cluster, hardware, services, storage

    found += [hardware.gpu(torch.cuda.device_count()), hardware.precision(cfg.trainer.device)]
    found += [
        storage.directory("runs", runs, wanted_gb=10),
        storage.directory("cache", cache_dir(), wanted_gb=10),
        storage.directory("Hub cache", Path(HF_HUB_CACHE), wanted_gb=10),
        storage.clock(runs),
    ]
    found += [services.base_model(instantiate_checked(cfg.model)), services.tracking(cfg.logger)]
    config = cluster.slurm_config()
    launcher = cfg.hydra.launcher
    wanted = launcher._target_.endswith(".SlurmLauncher")
    found.append(cluster.commands(config, wanted))
    if wanted:
        found.append(cluster.submission())
    if config:
        keys = ("partition", "account", "qos") if wanted else ()
        where = [f"--{key}={launcher[key]}" for key in keys if launcher[key] is not None]
        found += [
            cluster.array_size(config),
            cluster.preemption(config),
            cluster.shared_directory(runs, try_job, where),
        ]
    return found


def verdict_table(found: Sequence[Verdict]) -> Table:
    """A row per check, and below it what to do where it is not green."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for verdict in found:
        table.add_row(f"[{verdict.level}]{WORDS[verdict.level]}[/]", verdict.check, escape(verdict.finding))
        if verdict.remedy:
            table.add_row("", "", f"[dim]→ {escape(verdict.remedy)}[/]")
    return table


def _composed(overrides: Sequence[str]) -> DictConfig:
    add_launchers()
    with explained(overrides), initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m memlaw.doctor", description=__doc__)
    parser.add_argument("--runs", type=Path, help="where studies go; default: runs_dir")
    parser.add_argument("--job", action="store_true", help="let a tiny Slurm job look whether it sees that directory")
    parser.add_argument("overrides", nargs="*", help="of the sweep to come, such as model=qwen3_8b logger.mode=online")
    options = parser.parse_args()
    try:
        cfg = _composed(options.overrides)
        with explained():  # a mandatory value is missing, such as the id of model=hub
            found = examine(cfg, options.runs or Path(str(cfg.runs_dir)).expanduser(), options.job)
    except ConfigError as error:
        refuse(error)
    Console(highlight=False).print(verdict_table(found))
    sys.exit(int(any(verdict.level == "red" for verdict in found)))


if __name__ == "__main__":
    main()
