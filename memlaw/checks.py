"""Refuse impossible cells before any long work starts: one clear error that names the key."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from memlaw.base_model import PRECISIONS, positions
from memlaw.cell import Cell
from memlaw.data.held_out import held_out_text
from memlaw.errors import ConfigError
from memlaw.instantiation import instantiate_checked
from memlaw.resolved import ResolvedCell, resolve
from memlaw.values import check_number, check_switch, check_whole

ABOVE_0 = ("a number above 0", lambda value: value > 0)
SHARE = ("a number from 0 to below 1", lambda value: 0 <= value < 1)


def check_cell(cell: Cell) -> ResolvedCell:
    """Check what the cell's config alone can tell, and make the objects that it names.

    Raises:
        ConfigError: naming the key and the allowed values.
    """
    c = cell.config
    _sections(c, "stop", "eval", "eval.recall")
    for group in ("model", "data", "method"):
        _named(f"{group}.name", c[group].name)
    for key in ("seq_len", "batch_size"):
        check_whole(key, c[key], at_least=1)
    for key in ("stop.every", "stop.patience"):
        check_whole(key, c.stop[key.split(".")[1]], at_least=1)
    check_whole("eval.per_decade", c.eval.per_decade, at_least=1)
    check_whole("eval.recall.repeats", c.eval.recall.repeats, at_least=1)
    for key, value in (("eval.recall.greedy", c.eval.recall.greedy), ("stop.when_recalled", c.stop.when_recalled)):
        check_switch(key, value)
    if c.eval.recall.temperature is not None:
        if not c.eval.recall.greedy:
            raise ConfigError(f"eval.recall.temperature={c.eval.recall.temperature} needs eval.recall.greedy=true")
        check_number("eval.recall.temperature", c.eval.recall.temperature, *ABOVE_0)
    held_out_text(c.eval.side_effects, c.eval.side_effects_content)
    check_whole("seed", c.seed, at_least=0)
    if (c.steps is None) == (c.epochs is None):
        raise ConfigError(f"give either steps or epochs and the other as null; got steps={c.steps} epochs={c.epochs}")
    check_whole("steps", 1 if c.steps is None else c.steps, at_least=1)
    check_whole("epochs", 1 if c.epochs is None else c.epochs, at_least=1)
    check_number("optimizer.lr", c.optimizer.lr, *ABOVE_0)
    check_number("optimizer.eps", c.optimizer.eps, *ABOVE_0)
    check_number("lora.lora_alpha", c.lora.lora_alpha, *ABOVE_0)
    check_number("stop.p_above", c.stop.p_above, *SHARE)
    if not isinstance(c.optimizer.betas, ListConfig) or len(c.optimizer.betas) != 2:
        raise ConfigError(f"optimizer.betas={c.optimizer.betas} is not a pair of numbers")
    for beta in c.optimizer.betas:
        check_number("optimizer.betas", beta, *SHARE)
    if c.optimizer.weight_decay != 0:
        check_number("optimizer.weight_decay", c.optimizer.weight_decay, *ABOVE_0)
    if c.optimizer.clip_norm is not None:
        check_number("optimizer.clip_norm", c.optimizer.clip_norm, *ABOVE_0)
    if c.precision not in ("auto", *PRECISIONS):
        raise ConfigError(f"precision={c.precision} is not one of auto, {', '.join(PRECISIONS)}")
    resolved = resolve(cell)
    resolved.data.check()
    return resolved


def check_settings(cfg: DictConfig) -> None:
    """Check the operational settings of a sweep.

    Raises:
        ConfigError: naming the key and the allowed values.
    """
    _sections(cfg, "pack", "checkpoint")
    check_switch("dry_run", cfg.dry_run)
    check_whole("pack.max_cells", cfg.pack.max_cells, at_least=1)
    if cfg.pack.memory_gb != "auto":
        check_number("pack.memory_gb", cfg.pack.memory_gb, *ABOVE_0)
    if cfg.trainer.prefix_cache_gb not in ("auto", 0):
        check_number("trainer.prefix_cache_gb", cfg.trainer.prefix_cache_gb, *ABOVE_0)
    if cfg.checkpoint.every_min is not None:
        check_number("checkpoint.every_min", cfg.checkpoint.every_min, *ABOVE_0)
    instantiate_checked(cfg.logger)


def check_length(resolved: ResolvedCell) -> None:
    """Refuse a single target that is longer than what the base model can read.

    Raises:
        ConfigError: it is.
    """
    c, (pairs, _) = resolved.cell.config, resolved.expected_shape
    allowed = positions(resolved.adapted.model.config)
    if pairs == 1 and c.seq_len > allowed:
        raise ConfigError(f"seq_len={c.seq_len} is longer than the {allowed} positions of {c.model.name}")


def _sections(config: DictConfig, *keys: str) -> None:
    for key in keys:
        value = OmegaConf.select(config, key)
        if not isinstance(value, DictConfig):
            raise ConfigError(f"{key}={value} is in the place of several settings; set these, {key}.NAME=VALUE")


def _named(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise ConfigError(f"{key}={value} is no name")
