"""Conditions: cells that differ in rank, length and seed alone, separated from others by what varies.

`status` and `report` split their cells here, so that both name the same conditions by the same words. A row is the
flat config of a cell, `lora.rank` and so on, perhaps with what was measured of it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

AXES = ("seq_len", "lora.rank", "seed")
"""What the law is about: keys that may vary within a condition."""

PROTOCOL = ("steps", "epochs", "batch_size", "optimizer.lr")
"""How long and how fast a cell trains; what a method may set for each length, such as the paper's learning rates."""

MEASURED = ("dtype", "model_fingerprint")
"""Columns of a result that say what the base model really was; cells that differ in them belong to other conditions."""

NAMED_BY = {"lora.layers": "model.name"}
"""Keys that another section's name decides: a fraction of the depth is another layer in another model."""

_LONGEST_VALUE, _LONGEST_NAME = 48, 80
"""Characters of a value in a label, and of a directory's name."""


def spelled(value: Any) -> str:
    """Return a config value as YAML spells it: `null`, `true`, and 1 for 1.0, which are one value in a cell's hash."""
    if value is None or value != value:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def differing_keys(rows: Sequence[Row], keys: Iterable[str]) -> list[str]:
    """Return the keys in which the rows differ and which no name implies, in the order given.

    The name of a model, a method or a data source implies the constants of its section: `method.threshold` is left out
    where each `method.name` has one threshold.
    """
    return [key for key in _varying(rows, keys) if not _implied(rows, key)]


def condition_keys(
    rows: Sequence[Row], keys: Iterable[str], ignoring: Sequence[str] = (), following: Sequence[str] = ()
) -> list[str]:
    """Return the keys that tell the conditions of the rows apart.

    Args:
        rows: cells.
        keys: keys of their config.
        ignoring: beginnings of keys that may vary within a condition, such as `model.`.
        following: keys that may vary within a condition where method and length together decide them.
    """
    config = [key for key in keys if key not in AXES and not key.startswith(tuple(ignoring))]
    config = [
        key
        for key in differing_keys(rows, config)
        if key not in following or not _decides(rows, ("method.name", "seq_len"), key)
    ]
    for key in () if "model." in ignoring else MEASURED:
        if not _decides(rows, config, key):
            config.append(key)
    return config


def split(
    rows: Sequence[Row], keys: Iterable[str], ignoring: Sequence[str] = (), following: Sequence[str] = ()
) -> list[tuple[str, list[int]]]:
    """Split rows into conditions: (label, indices of its rows), ordered by the values in the label.

    The label names what varies, e.g. `model.name=qwen3_8b method.name=sft`. It is empty when nothing does.

    Args:
        rows, keys, ignoring, following: see `condition_keys`.
    """
    distinguishing = condition_keys(rows, keys, ignoring, following)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(_values(row, distinguishing), []).append(index)
    return [(_label(distinguishing, values), groups[values]) for values in sorted(groups)]


def title(model: object, data: object, label: str) -> str:
    """Return a condition's heading: its model, its data, and what else its label says."""
    others = [word for word in label.split() if not word.startswith(("model.name=", "data.name="))]
    return " ".join([str(model), str(data), *others])


def short_name(label: str) -> str:
    """Return a label as the name of a directory, at most 80 characters; a hash tells apart what the name loses."""
    plain = re.sub(r"[^\w.=]+", "_", label)
    if plain == label.replace(" ", "_") and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[: _LONGEST_NAME - 7]}-{_digest(label)}"


def _label(keys: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{key}={_shortened(value)}" for key, value in zip(keys, values, strict=True))


def _shortened(value: str) -> str:
    """A value as one word of a label; what is long or has spaces loses them and gets a hash."""
    value = value.replace(", ", ",") if value.startswith("[") else value
    word = re.sub(r"\s+", "_", value)
    if word == value and len(word) <= _LONGEST_VALUE:
        return word
    return f"{word[: _LONGEST_VALUE - 7]}-{_digest(value)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _values(row: Row, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(spelled(row.get(key)) for key in keys)


def _varying(rows: Sequence[Row], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if len({spelled(row.get(key)) for row in rows}) > 1]


def _implied(rows: Sequence[Row], key: str) -> bool:
    """Whether the name of the key's section gives its value; without a name in every row, nothing is implied."""
    name = NAMED_BY.get(key, f"{key.split('.')[0]}.name")
    return key != name and all(row.get(name) is not None for row in rows) and _decides(rows, (name,), key)


def _decides(rows: Sequence[Row], keys: Sequence[str], key: str) -> bool:
    """Whether rows that agree in `keys` agree in `key` as well."""
    together = {(_values(row, keys), spelled(row.get(key))) for row in rows}
    return len(together) == len({values for values, _ in together})
