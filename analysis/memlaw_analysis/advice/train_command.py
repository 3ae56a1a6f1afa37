"""The command that adds cells to a condition of a study, ready to be pasted into a shell.

It names every value of the condition's config that differs from the defaults, so that the cells join the condition.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memlaw.config.compose import compose_config
from memlaw.config.keys import SCIENTIFIC
from memlaw.core.paths import config_dir
from memlaw.study.conditions import spelled
from memlaw.study.identity import flatten

_GROUPS = ("model", "data", "method")
_UNNAMED = {"random": "model_type", "local": "path"}
"""Options whose cells bear names that users chose → the key that only this option has."""
_SWEPT = ("lora.rank", "seq_len", "seed")


def base_model(cells: pd.DataFrame) -> str:
    """Return the base model of a condition's cells as `memlaw verify --model` takes it: an option, a path or an id."""
    row = cells.iloc[0].to_dict()
    option = _option("model", row)
    named = {"hub": "model.id", "local": "model.path"}
    return str(row.get(named[option]) or row["model.name"]) if option in named else str(option)


def train_command(
    cells: pd.DataFrame,
    study: Path,
    ranks: Sequence[float],
    lengths: Sequence[float],
    on: Mapping[str, Any] | None = None,
) -> str:
    """Write the command that trains cells of these ranks and lengths in the condition of `cells`.

    Args:
        cells: cells of one condition, with their config.
        study: directory of the study.
        ranks, lengths: what to train; rounded to whole numbers.
        on: other data to train on: keys of the group `data`, and others that go with it, in place of the cells' own.
    """
    row = {
        name: None if pd.api.types.is_scalar(value) and pd.isna(value) else value
        for name, value in cells.iloc[0].items()
    }
    if on is not None:
        row = {name: value for name, value in row.items() if not name.startswith("data.")} | dict(on)
    words = ["python", "-m", "memlaw.train", "-m", *_study(study), *_overrides(row)]
    for name, values in (("lora.rank", ranks), ("seq_len", lengths)):
        words.append(f"{name}={','.join(str(round(value)) for value in sorted(set(values)))}")
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    """Quote the value of an override for the shell, where that needs it."""
    key, equals, value = word.partition("=")
    return f"{key}={shlex.quote(value)}" if equals else word


def _study(study: Path) -> list[str]:
    """The study's name and, unless it is the default, the directory that holds it as the user wrote it."""
    name = f"study={_hydra_text(study.resolve().name)}"
    is_default = study.resolve().parent == Path("runs").resolve()
    return [name] if is_default else [name, f"runs_dir={_hydra_text(str(study.parent))}"]


def _overrides(row: Mapping[Any, Any]) -> list[str]:
    """The overrides that lead from the defaults to a cell's config."""
    options = {group: _option(group, row) for group in _GROUPS}
    chosen = [f"{group}={option}" for group, option in options.items() if option]
    defaults = _flat(chosen)
    plain = _flat([])
    overrides = [word for word in chosen if plain.get(f"{word.split('=')[0]}.name") != word.split("=")[1]]
    row = {**row, **_mappings(row, defaults)}
    names = [name for name in defaults if name in row and name not in _SWEPT]
    looked_up = [name for name in names if str(defaults[name]).startswith("${")]  # these depend on the overrides
    overrides += [
        _override(name, row) for name in names if name not in looked_up and _differs(row[name], defaults[name])
    ]
    values = _looked_up([*chosen, *overrides], looked_up) if looked_up else {}
    return overrides + [_override(name, row) for name in values if _differs(row[name], values[name])]


def _mappings(row: Mapping[Any, Any], defaults: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The mappings of a cell whose defaults are null. A flat row has their values alone."""
    mappings = {
        name: {
            key.removeprefix(f"{name}."): value
            for key, value in row.items()
            if str(key).startswith(f"{name}.") and value is not None
        }
        for name, default in defaults.items()
        if default is None
    }
    return {name: mapping for name, mapping in mappings.items() if mapping}


def _override(name: str, row: Mapping[Any, Any]) -> str:
    return f"{name}={_spell(row[name])}"


def _option(group: str, row: Mapping[Any, Any]) -> str | None:
    """The option of a config group that a cell has: by its name, else by its keys, else `hub`."""
    unnamed = [option for option, key in _UNNAMED.items() if row.get(f"{group}.{key}") is not None]
    for option in (str(row.get(f"{group}.name")), *unnamed, "hub"):
        if (Path(config_dir()) / group / f"{option}.yaml").exists():
            return option
    return None


def _looked_up(overrides: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """The named values, resolved; values that depend on something missing are left out."""
    cfg, values = compose_config(overrides), {}
    for name in names:
        with suppress(OmegaConfBaseException):  # it refers to a value that is missing
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
    """Spell a value as Hydra's command line reads it; the shell's quotes come later."""
    if isinstance(value, str) and value.startswith("["):
        return json.dumps(json.loads(value), separators=(",", ":"))
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_spell(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):
        return _hydra_text(value)
    return spelled(value.item() if isinstance(value, np.generic) else value)


def _hydra_text(text: str) -> str:
    """Quote a text for Hydra unless it is plainly one unquoted value."""
    if re.fullmatch(r"[\w/.\-+%@:]+", text, re.ASCII):
        return text
    return '"' + re.sub(r'(\\*)(?="|$)', r"\1\1", text).replace('"', '\\"') + '"'
