"""The way through the code: what is called between two points, and from which files."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType

from helpers.checkout import ROOT

SOURCES = tuple(f"{ROOT / name}/" for name in ("memlaw", "analysis", "launchers"))


@dataclass
class Walk:
    """What `walk_to` has seen of the project's code, in this thread.

    Attributes:
        files: those of which a function was called.
        switches: how often a call was in another file than the call before it.
        stack: file and function of each frame that waits while the goal runs, the outermost first.
    """

    files: set[str] = field(default_factory=set)
    switches: int = 0
    stack: list[tuple[str, str]] = field(default_factory=list)


def walk_to(goal: Callable[..., object], start: Callable[[], object]) -> Walk:
    """Call `start`, and follow it up to the first call of `goal`; the bodies of modules and classes do not count."""
    walk, before = Walk(), ""

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal before
        if event != "call" or not frame.f_code.co_flags & CO_OPTIMIZED or not (file := _file_of(frame)):
            return
        walk.files.add(file)
        walk.switches += file != before
        before = file
        if frame.f_code is goal.__code__:  # type: ignore[attr-defined]
            sys.setprofile(None)
            walk.stack = _stack_of(frame)

    sys.setprofile(look)
    try:
        with suppress(SystemExit):
            start()
    finally:
        sys.setprofile(None)
    return walk


def _file_of(frame: FrameType) -> str:
    """The frame's file, relative to the checkout; empty for another project's."""
    path = frame.f_code.co_filename
    return str(Path(path).relative_to(ROOT)) if path.startswith(SOURCES) else ""


def _stack_of(frame: FrameType | None) -> list[tuple[str, str]]:
    frames = []
    while frame:
        if file := _file_of(frame):
            frames.append((file, frame.f_code.co_name))
        frame = frame.f_back
    return frames[::-1]
