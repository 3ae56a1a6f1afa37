"""Split cells into conditions. The cells of a condition differ in rank, length and seed alone.

`status` and `report` both split their cells here, so they agree on what a config separates and on labels. A row is the
flat config of a cell (`lora.rank` and so on). Rows of `report` also hold what was measured (`MEASURED`), by which it
separates finished cells of other weights or another dtype; `status` does not know these of cells to come.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memlaw.study.identity import LATER_KEYS

Row = Mapping[str, Any]

AXES = ("seq_len", "lora.rank", "seed")
"""The variables of the law. They may vary within a condition."""

PROTOCOL = ("steps", "epochs", "batch_size", "optimizer.lr")
"""How long and how fast a cell trains. A method may set these for each length, as the paper sets learning rates."""

MEASURED = ("dtype", "model_fingerprint")
"""Columns of a result that describe the base model as it was loaded. They tell conditions apart."""

NAMED_BY = {"lora.layers": "model.name"}
"""Key → name that decides it, where that is another section's: the layer at a fraction of the depth depends on the
model."""

_LONGEST_VALUE, _LONGEST_NAME = 48, 80
"""Most characters of a value in a label, and of a directory's name."""


def spelled(value: Any) -> str:
    """Return a config value as YAML spells it: `null`, `true`. 1.0 becomes 1, as in a cell's hash."""
    if value is None or value != value:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def differing_keys(rows: Sequence[Row], keys: Iterable[str]) -> list[str]:
    """Return the keys in which the rows differ and which no name implies, in the order given.

    The name of a model, a method or a data source implies the values of its section that depend on it alone:
    `method.threshold` is left out where all rows of a `method.name` have the same threshold.
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
        following: keys that may vary within a condition if method and length together decide them.
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
    """Return a condition's heading: its model, its data, and the rest of its label."""
    others = [word for word in label.split() if not word.startswith(("model.name=", "data.name="))]
    return " ".join([str(model), str(data), *others])


def short_name(label: str) -> str:
    """Return a label as the name of a directory, at most 80 characters. A hash stands for what is cut off."""
    plain = re.sub(r"[^\w.=]+", "_", label)
    if plain == label.replace(" ", "_") and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[: _LONGEST_NAME - 7]}-{_digest(label)}"


def _label(keys: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{key}={_shortened(value)}" for key, value in zip(keys, values, strict=True))


def _shortened(value: str) -> str:
    """Return a value as a word of a label. Cut a long value, replace spaces, and append a hash where that loses."""
    value = value.replace(", ", ",") if value.startswith("[") else value
    word = re.sub(r"\s+", "_", value)
    if word == value and len(word) <= _LONGEST_VALUE:
        return word
    return f"{word[: _LONGEST_VALUE - 7]}-{_digest(value)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _values(row: Row, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(_value(row, key) for key in keys)


def _value(row: Row, key: str) -> str:
    """Return a value of a row, spelled. A row of an earlier version has the neutral value of a key that it lacks."""
    value = spelled(row.get(key))
    return spelled(LATER_KEYS[key]) if value == "null" and key in LATER_KEYS else value


def _varying(rows: Sequence[Row], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if len({_value(row, key) for row in rows}) > 1]


def _implied(rows: Sequence[Row], key: str) -> bool:
    """Tell whether the name of the key's section decides its value. Every row must have that name."""
    name = NAMED_BY.get(key, f"{key.split('.')[0]}.name")
    return key != name and all(row.get(name) is not None for row in rows) and _decides(rows, (name,), key)


def _decides(rows: Sequence[Row], keys: Sequence[str], key: str) -> bool:
    """Tell whether rows that agree in `keys` agree in `key` as well."""
    together = {(_values(row, keys), _value(row, key)) for row in rows}
    return len(together) == len({values for values, _ in together})
