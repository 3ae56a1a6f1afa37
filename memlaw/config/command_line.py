"""Prepare the words of a command line for Hydra."""

import re
from argparse import ArgumentError
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TEXT_KEYS = frozenset(
    "study runs_dir rerun model.name model.id model.revision model.path model.package model.gguf_file "
    "data.name data.path data.query data.query_field data.target_field data.system_prompt data.subset data.split "
    "method.name eval.side_effects logger.project logger.entity "
    "hydra.launcher.partition hydra.launcher.account hydra.launcher.qos hydra.launcher.constraint "
    "hydra.launcher.exclude".split()
)
"""Keys whose values are text even if they look like numbers. null stays null."""


def as_typed(words: Sequence[str]) -> list[str]:
    """Quote values of `TEXT_KEYS` that Hydra would misread, so that they arrive as the user typed them.

    Hydra reads 2024_01_15, 1.10, 1e5 and nan as numbers, and refuses Größe.

    Args:
        words: words of a command line, without the program.
    """
    return [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    if key.lstrip("+") not in TEXT_KEYS:
        return word
    choice = re.fullmatch(r"(\s*choice\()(.*)(\)\s*)", value)
    before, inside, after = choice.groups() if choice else ("", value, "")
    if re.search(r"['\"\\\[{(]", inside):  # quoted already, or not a text
        return word
    elements = [f"'{element.strip()}'" if _is_misread(element) else element for element in inside.split(",")]
    return f"{key}={before}{','.join(elements)}{after}"


def _is_misread(text: str) -> bool:
    try:
        value = OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:  # its grammar lacks a letter of the text
        return bool(text.strip())
    return isinstance(value, int | float)


def with_last(words: Sequence[str], override: str) -> list[str]:
    """Add an override after the others, so that it wins. Hydra requires all overrides to stand together.

    Args:
        words: words of a command line, without the program.
        override: KEY=VALUE.
    """
    options = _read(words)
    if options is None:  # Hydra will explain what is wrong
        return list(words)
    expected = {**options, "overrides": [*options["overrides"], override]}
    lines = ([*words[:index], override, *words[index:]] for index in range(len(words), -1, -1))
    return next(line for line in lines if _read(line) == expected)


def _read(words: Sequence[str]) -> dict | None:
    """Parse a command line as Hydra does. Return None where Hydra refuses it."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        options, unread = parser.parse_known_args(words)
    except ArgumentError:
        return None
    return None if unread else vars(options)
