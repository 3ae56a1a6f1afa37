"""Python and the packages that memlaw requires."""

import importlib.metadata
import platform
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from memlaw.doctor.verdict import Verdict

CHECKOUT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def requirements() -> tuple[str, list[Requirement]]:
    """The versions of Python and of packages that memlaw asks for: of the checkout, else of the installation."""
    if CHECKOUT.is_file():
        project = tomllib.loads(CHECKOUT.read_text(encoding="utf-8"))["project"]
        return project["requires-python"], [Requirement(text) for text in project["dependencies"]]
    needed = [Requirement(text) for text in importlib.metadata.requires("memlaw") or []]
    plain = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return importlib.metadata.metadata("memlaw")["Requires-Python"], plain


def python(needed: str, found: str = platform.python_version()) -> Verdict:
    """Whether this Python is new enough."""
    if SpecifierSet(needed).contains(found, prereleases=True):
        return Verdict("Python", "green", found)
    return Verdict("Python", "red", f"{found}, but memlaw needs {needed}", "make an environment with a newer Python")


def packages(needed: Sequence[Requirement], version: Callable[[str], str] = importlib.metadata.version) -> Verdict:
    """Whether every required package is there in a version that serves."""
    lacking = []
    for one in needed:
        try:
            found = version(one.name)
        except importlib.metadata.PackageNotFoundError:
            lacking.append((one, "missing"))
            continue
        if not one.specifier.contains(found, prereleases=True):
            lacking.append((one, f"{found}, needs {one.specifier}"))
    if not lacking:
        return Verdict("packages", "green", f"{len(needed)} required packages are there")
    wanted = " ".join(f"'{one}'" for one, _ in lacking)
    found = "; ".join(f"{one.name} {what}" for one, what in lacking)
    return Verdict("packages", "red", found, f"pip install {wanted}")
