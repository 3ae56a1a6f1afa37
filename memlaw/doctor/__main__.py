"""`memlaw doctor`: what would spoil a sweep on this machine or cluster, and what to do about it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memlaw.config.command_line import as_typed
from memlaw.config.compose import compose_config, first_values
from memlaw.config.explain import explained
from memlaw.core.errors import ConfigError, refuse
from memlaw.core.paths import add_checkout, cache_dir
from memlaw.doctor import installation
from memlaw.doctor.verdict import Verdict
from memlaw.planning.cells import compose_cell

add_checkout()

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

    from memlaw.config.instantiation import instantiate_checked
    from memlaw.doctor import cluster, hardware, services, storage

    _check_sweep(cfg)
    found += [hardware.gpu(torch.cuda.device_count()), hardware.precision(cfg.trainer.device)]
    found += [
        storage.directory("runs", runs, wanted_gb=10, chosen_by="runs_dir"),
        storage.directory("cache", cache_dir(), wanted_gb=10, chosen_by="MEMLAW_CACHE"),
        storage.directory("Hub cache", Path(HF_HUB_CACHE), wanted_gb=10, chosen_by="HF_HUB_CACHE or HF_HOME"),
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


def _check_sweep(cfg: DictConfig) -> None:
    """Refuse what the sweep refuses before it looks for a model. Raises ConfigError."""
    from hydra_plugins.memlaw_launchers.launcher import PackLauncher

    from memlaw.config.instantiation import instantiate_checked
    from memlaw.planning.checks import check_cell, check_settings

    check_cell(compose_cell(cfg))
    check_settings(cfg)
    launcher = instantiate_checked(cfg.hydra.launcher)
    if isinstance(launcher, PackLauncher):
        launcher.check_options()


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="memlaw doctor", description=__doc__)
    parser.add_argument("--runs", type=Path, help="where studies go; default: runs_dir")
    parser.add_argument("--job", action="store_true", help="let a tiny Slurm job look whether it sees that directory")
    parser.add_argument("-m", "--multirun", action="store_true", help="taken as in the sweep's command")
    parser.add_argument("--config-dir", type=Path, help="options and experiments of your own, as for the sweep")
    parser.add_argument("overrides", nargs="*", help="of the sweep to come, such as model=qwen3_8b logger.mode=online")
    options = parser.parse_intermixed_args()
    try:
        cfg = compose_config(first_values(as_typed(options.overrides)), options.config_dir, with_hydra=True)
        with explained():  # a mandatory value is missing, such as the id of model=hub
            found = examine(cfg, options.runs or Path(str(cfg.runs_dir)).expanduser(), options.job)
    except ConfigError as error:
        refuse(error)
    Console(highlight=False).print(verdict_table(found))
    sys.exit(int(any(verdict.level == "red" for verdict in found)))


if __name__ == "__main__":
    main()
