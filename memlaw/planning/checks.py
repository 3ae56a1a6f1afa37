"""Refuse impossible cells before any long work starts. Each error names the key."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from memlaw.config.instantiation import instantiate_checked
from memlaw.config.values import (
    Check,
    check_at_least,
    check_choice,
    check_label,
    check_not_negative,
    check_or,
    check_positive,
    check_share,
    check_switch,
)
from memlaw.core.errors import ConfigError, spelled
from memlaw.data.held_out import held_out_text
from memlaw.models.base import positions
from memlaw.models.devices import PRECISIONS
from memlaw.planning.resolved import ResolvedCell, resolve
from memlaw.study.cell import Cell


def check_betas(key: str, value: Any) -> None:
    """Raise ConfigError unless `value` is a pair of numbers from 0 to below 1."""
    if not isinstance(value, ListConfig) or len(value) != 2:
        raise ConfigError(f"{key}={spelled(value)} is not a pair of numbers")
    for beta in value:
        check_share(key, beta)


SCIENTIFIC_VALUES: dict[str, Check] = {
    "model.name": check_label,
    "data.name": check_label,
    "method.name": check_label,
    "seq_len": check_at_least(1),
    "steps": check_or(None, check_at_least(1)),
    "epochs": check_or(None, check_at_least(1)),
    "batch_size": check_at_least(1),
    "seed": check_at_least(0),
    "precision": partial(check_choice, choices=("auto", *PRECISIONS)),
    "optimizer.lr": check_positive,
    "optimizer.weight_decay": check_not_negative,
    "optimizer.betas": check_betas,
    "optimizer.eps": check_positive,
    "optimizer.clip_norm": check_or(None, check_positive),
    "lora.lora_alpha": check_positive,
    "stop.when_recalled": check_switch,
    "stop.p_above": check_share,
    "stop.patience": check_at_least(1),
    "stop.every": check_at_least(1),
    "eval.per_decade": check_at_least(1),
    "eval.recall.greedy": check_switch,
    "eval.recall.temperature": check_or(None, check_positive),
    "eval.recall.repeats": check_at_least(1),
}
"""Scientific key → check of its value. A `_target_` checks its own keys."""

OPERATIONAL_VALUES: dict[str, Check] = {
    "trainer.prefix_cache_gb": check_or("auto", check_not_negative),
    "checkpoint.every_min": check_or(None, check_positive),
    "pack.memory_gb": check_or("auto", check_positive),
    "pack.max_cells": check_at_least(1),
    "dry_run": check_switch,
}
"""Operational key → check of its value."""


def check_cell(cell: Cell) -> ResolvedCell:
    """Check a cell's config, and make the objects that it names.

    Raises:
        ConfigError: naming the key and the allowed values.
    """
    c = cell.config
    _check_values(c, SCIENTIFIC_VALUES)
    if (c.steps is None) == (c.epochs is None):
        given = f"steps={spelled(c.steps)} epochs={spelled(c.epochs)}"
        raise ConfigError(f"{given}: set one of the two to a number and the other to null")
    if c.eval.recall.temperature is not None and not c.eval.recall.greedy:
        raise ConfigError(f"eval.recall.temperature={c.eval.recall.temperature} needs eval.recall.greedy=true")
    held_out_text(c.eval.side_effects, c.eval.side_effects_content)
    resolved = resolve(cell)
    resolved.data.check()
    return resolved


def check_settings(cfg: DictConfig) -> None:
    """Check the operational settings of a sweep.

    Raises:
        ConfigError: naming the key and the allowed values.
    """
    _check_values(cfg, OPERATIONAL_VALUES)
    instantiate_checked(cfg.logger)


def _check_values(config: DictConfig, checks: Mapping[str, Check]) -> None:
    for key, check in checks.items():
        check(key, OmegaConf.select(config, key))


def check_length(resolved: ResolvedCell) -> None:
    """Raise ConfigError where a cell has a single target that is longer than the base model's context."""
    c, (pairs, _) = resolved.cell.config, resolved.expected_shape
    allowed = positions(resolved.adapted.model.config)
    if pairs == 1 and c.seq_len > allowed:
        raise ConfigError(f"seq_len={c.seq_len} is longer than the {allowed} positions of {c.model.name}")
