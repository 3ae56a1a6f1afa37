"""The words of the command line, before Hydra reads them."""

import re
from argparse import ArgumentError
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TEXT_KEYS = frozenset(
    "study runs_dir rerun model.name model.id model.revision model.path model.package model.gguf_file "
    "data.name data.path data.query data.subset data.split method.name eval.side_effects logger.project logger.entity "
    "hydra.launcher.partition hydra.launcher.account hydra.launcher.qos hydra.launcher.constraint "
    "hydra.launcher.exclude".split()
)
"""Keys whose values are text, whatever they look like; null is nothing."""


def as_typed(words: Sequence[str]) -> list[str]:
    """Quote values of `TEXT_KEYS` that Hydra takes for numbers, as 2024_01_15, 1.10, 1e5 and nan, or not at all: Größe.

    Args:
        words: of a command line, its program left out.
    """
    return [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    if key.lstrip("+") not in TEXT_KEYS:
        return word
    choice = re.fullmatch(r"(\s*choice\()(.*)(\)\s*)", value)
    before, inside, after = choice.groups() if choice else ("", value, "")
    if re.search(r"['\"\\\[{(]", inside):  # quoted already, or no text
        return word
    elements = [f"'{element.strip()}'" if _is_misread(element) else element for element in inside.split(",")]
    return f"{key}={before}{','.join(elements)}{after}"


def _is_misread(text: str) -> bool:
    try:
        value = OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:  # a letter that its grammar lacks
        return bool(text.strip())
    return isinstance(value, int | float)


def with_last(words: Sequence[str], override: str) -> list[str]:
    """The words with an override behind the others, which must stand together: the last one of a key holds.

    Args:
        words: of a command line, its program left out.
        override: KEY=VALUE.
    """
    given = _read(words)
    if given is None:  # Hydra says what is wrong
        return list(words)
    wanted = {**given, "overrides": [*given["overrides"], override]}
    places = ([*words[:place], override, *words[place:]] for place in range(len(words), -1, -1))
    return next(line for line in places if _read(line) == wanted)


def _read(words: Sequence[str]) -> dict | None:
    """What Hydra reads of a command line; None where it objects to it."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        options, unread = parser.parse_known_args(words)
    except ArgumentError:
        return None
    return None if unread else vars(options)
