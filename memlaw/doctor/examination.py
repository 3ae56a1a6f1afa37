"""All checks of `memlaw doctor` that need more than the standard library."""

from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HUB_CACHE
from hydra_plugins.memlaw_launchers.launcher import PackLauncher
from omegaconf import DictConfig

from memlaw.config.instantiation import instantiate_checked
from memlaw.core.paths import cache_dir
from memlaw.doctor import cluster, hardware, services, storage
from memlaw.doctor.verdict import Verdict
from memlaw.planning.cells import compose_cell
from memlaw.planning.checks import check_cell, check_settings

FREE_GB = 10
"""Free space below which a directory is remarked on."""


def examine(cfg: DictConfig, runs: Path, try_job: bool) -> list[Verdict]:
    """Run the checks.

    Args:
        cfg: of the sweep to come, with Hydra's part.
        runs: the directory of studies.
        try_job: whether to start a tiny Slurm job.

    Raises:
        ConfigError: `cfg` asks for something impossible.
    """
    _refuse_impossible(cfg)
    return [
        hardware.gpu(torch.cuda.device_count()),
        hardware.precision(cfg.trainer.device),
        storage.directory("runs", runs, FREE_GB, chosen_by="runs_dir"),
        storage.directory("cache", cache_dir(), FREE_GB, chosen_by="MEMLAW_CACHE"),
        storage.directory("Hub cache", Path(HF_HUB_CACHE), FREE_GB, chosen_by="HF_HUB_CACHE or HF_HOME"),
        storage.clock(runs),
        services.base_model(instantiate_checked(cfg.model)),
        services.tracking(cfg.logger),
        *_slurm(cfg.hydra.launcher, cluster.slurm_config(), runs, try_job),
    ]


def _refuse_impossible(cfg: DictConfig) -> None:
    """Raise the ConfigError that the sweep would raise before it looks for a model."""
    check_cell(compose_cell(cfg))
    check_settings(cfg)
    launcher = instantiate_checked(cfg.hydra.launcher)
    if isinstance(launcher, PackLauncher):
        launcher.check_options()


def _slurm(launcher: DictConfig, config: Mapping[str, str], runs: Path, try_job: bool) -> list[Verdict]:
    """Run the checks of Slurm; fewer where it does not answer or the sweep does not go there."""
    chosen = launcher._target_.endswith(".SlurmLauncher")
    verdicts = [cluster.commands(config, chosen)]
    if chosen:
        verdicts.append(cluster.submission())
    if config:
        keys = ("partition", "account", "qos") if chosen else ()
        options = [f"--{key}={launcher[key]}" for key in keys if launcher[key] is not None]
        verdicts += [
            cluster.array_size(config),
            cluster.preemption(config),
            cluster.shared_directory(runs, try_job, options),
        ]
    return verdicts
