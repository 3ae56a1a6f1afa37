"""Config groups that are given something else than a name, which Hydra answers with an error of Python's."""

import traceback
from collections.abc import Sequence
from pathlib import Path

import hydra

from memlaw.paths import config_dir


def raised_by_hydra(error: BaseException) -> bool:
    """Whether an error comes out of Hydra's own code."""
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(hydra.__file__).parent in Path(innermost).parents


def misused_group(arguments: Sequence[str]) -> str | None:
    """What is wrong with the first override that gives a group something else than one of its names."""
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        options = sorted(path.stem for path in (Path(config_dir()) / key).glob("*.yaml")) if key else []
        if options and value not in options:
            return f"{argument}: {key} is a group of settings; choose one of {', '.join(options)}"
    return None
