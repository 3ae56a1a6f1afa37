"""Compose a configuration in Python, as the command line does."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from memlaw.config.explain import explained
from memlaw.core.paths import config_dir


def compose_config(
    overrides: Sequence[str] = (), options_dir: Path | None = None, with_hydra: bool = False
) -> DictConfig:
    """Compose the configuration of one cell. The state of a surrounding Hydra program is restored afterwards.

    Args:
        overrides: words of the command line, without a sweep.
        options_dir: directory of the user's options and experiments, as for `--config-dir`.
        with_hydra: whether to include Hydra's part, which holds the launcher.

    Raises:
        ConfigError: Hydra refuses an override.
    """
    words = [f"hydra.searchpath=['file://{options_dir.resolve()}']"] if options_dir else []
    state = GlobalHydra.instance()
    outer = state.hydra
    state.clear()
    try:
        with explained(overrides), initialize_config_dir(config_dir(), version_base="1.3"):
            return compose("config", [*words, *overrides], return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = outer


def first_values(overrides: Sequence[str]) -> list[str]:
    """Replace each sweep by its first value, which gives the overrides of a sweep's first cell.

    Raises:
        ConfigError: Hydra cannot read an override.
    """
    with explained(overrides):
        return [_first_value(override) for override in OverridesParser.create().parse_overrides(list(overrides))]


def _first_value(override: Override) -> str:
    line = str(override.input_line)
    if not override.is_sweep_override():
        return line
    return f"{line.partition('=')[0]}={next(override.sweep_string_iterator())}"
