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


def examine() -> list[Verdict]:
    """Check Python and the packages."""
    python_needed, packages_needed = requirements()
    return [python(python_needed), packages(packages_needed)]


def requirements() -> tuple[str, list[Requirement]]:
    """Read the required versions of Python and of packages, from the checkout or else from the installation."""
    if CHECKOUT.is_file():
        project = tomllib.loads(CHECKOUT.read_text(encoding="utf-8"))["project"]
        return project["requires-python"], [Requirement(text) for text in project["dependencies"]]
    needed = [Requirement(text) for text in importlib.metadata.requires("memlaw") or []]
    without_extras = [package for package in needed if package.marker is None or package.marker.evaluate({"extra": ""})]
    return importlib.metadata.metadata("memlaw")["Requires-Python"], without_extras


def python(needed: str, version: str = platform.python_version()) -> Verdict:
    """Check that this Python is new enough."""
    if SpecifierSet(needed).contains(version, prereleases=True):
        return Verdict("Python", "green", version)
    return Verdict("Python", "red", f"{version}, but memlaw needs {needed}", "make an environment with a newer Python")


def packages(needed: Sequence[Requirement], version_of: Callable[[str], str] = importlib.metadata.version) -> Verdict:
    """Check that every required package is installed in an allowed version."""
    problems = {}
    for package in needed:
        try:
            version = version_of(package.name)
        except importlib.metadata.PackageNotFoundError:
            problems[package] = "missing"
            continue
        if not package.specifier.contains(version, prereleases=True):
            problems[package] = f"{version}, needs {package.specifier}"
    if not problems:
        return Verdict("packages", "green", f"{len(needed)} required packages are there")
    finding = "; ".join(f"{package.name} {problem}" for package, problem in problems.items())
    return Verdict("packages", "red", finding, "pip install " + " ".join(f"'{package}'" for package in problems))
