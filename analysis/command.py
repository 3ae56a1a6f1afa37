"""The command that adds cells to a condition of a study, ready to be pasted.

It says whatever of the condition's config differs from the defaults, so that its cells join the condition.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memlaw.compose import compose_config
from memlaw.conditions import spelled
from memlaw.identity import flatten
from memlaw.keys import SCIENTIFIC
from memlaw.paths import config_dir

_GROUPS = ("model", "data", "method")
_UNNAMED = {"random": "model_type", "local": "path"}
"""Options whose cells have names of the user's → the key that they alone have."""
_SWEPT = ("lora.rank", "seq_len", "seed")


def command(cells: pd.DataFrame, study: Path, ranks: Sequence[float], lengths: Sequence[float]) -> str:
    """The command that trains cells of these ranks and lengths in the condition of `cells`.

    Args:
        cells: of one condition, with their config.
        study: directory of the study.
        ranks, lengths: what to train; rounded to whole numbers.
    """
    row = {
        name: None if pd.api.types.is_scalar(value) and pd.isna(value) else value
        for name, value in cells.iloc[0].items()
    }
    words = ["python -m memlaw.train -m", *_place(study), *_overrides(row)]
    for name, values in (("lora.rank", ranks), ("seq_len", lengths)):
        words.append(f"{name}={','.join(str(round(value)) for value in sorted(set(values)))}")
    return " ".join(words)


def _place(study: Path) -> list[str]:
    """The study and, as the user wrote it, the directory that holds it, unless that is the default one."""
    at_home = study.resolve().parent == Path("runs").resolve()
    return [f"study={study.resolve().name}", *([] if at_home else [f"runs_dir={study.parent}"])]


def _overrides(row: Mapping[Any, Any]) -> list[str]:
    """The overrides of a cell's config that the defaults do not give."""
    options = {group: _option(group, row) for group in _GROUPS}
    chosen = [f"{group}={option}" for group, option in options.items() if option]
    defaults = _flat(chosen)
    plain = _flat([])
    overrides = [word for word in chosen if plain.get(f"{word.split('=')[0]}.name") != word.split("=")[1]]
    names = [name for name in defaults if name in row and name not in _SWEPT]
    looked_up = [name for name in names if str(defaults[name]).startswith("${")]  # which depends on the overrides
    overrides += [
        _override(name, row) for name in names if name not in looked_up and _differs(row[name], defaults[name])
    ]
    values = _looked_up([*chosen, *overrides], looked_up) if looked_up else {}
    return overrides + [_override(name, row) for name in values if _differs(row[name], values[name])]


def _override(name: str, row: Mapping[Any, Any]) -> str:
    return f"{name}={_spell(row[name])}"


def _option(group: str, row: Mapping[Any, Any]) -> str | None:
    """The option of a config group that a cell has: of its name, else one that the keys tell, else from the Hub."""
    unnamed = [option for option, key in _UNNAMED.items() if row.get(f"{group}.{key}") is not None]
    for option in (str(row.get(f"{group}.name")), *unnamed, "hub"):
        if (Path(config_dir()) / group / f"{option}.yaml").exists():
            return option
    return None


def _looked_up(overrides: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Those of the named values that can be looked up."""
    cfg, values = compose_config(overrides), {}
    for name in names:
        with suppress(OmegaConfBaseException):  # what it stands for is not given
            values[name] = OmegaConf.select(cfg, name)
    return values


def _flat(overrides: Sequence[str]) -> dict[str, Any]:
    cfg = OmegaConf.masked_copy(compose_config(overrides), list(SCIENTIFIC))
    return dict(flatten(OmegaConf.to_container(cfg, resolve=False)))


def _differs(value: Any, default: Any) -> bool:
    if isinstance(value, int | float | np.number) and isinstance(default, int | float):
        return float(value) != float(default)
    return bool(value != default)


def _spell(value: Any) -> str:
    if isinstance(value, str) and value.startswith("["):
        return f"'{json.dumps(json.loads(value), separators=(',', ':'))}'"
    return spelled(value.item() if isinstance(value, np.generic) else value)
