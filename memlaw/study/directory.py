"""Find the directory of a study, `runs_dir/study`."""

import os
import re
from pathlib import Path

from omegaconf import DictConfig

from memlaw.core.errors import ConfigError
from memlaw.core.files import NAME_BYTES, PATH_BYTES


def study_dir(cfg: DictConfig) -> Path:
    """Return the absolute path of the study's directory, `runs_dir/study`.

    Raises:
        ConfigError: `study` is not the name of a directory, `runs_dir` is not a path, or they are too long.
    """
    study, runs = cfg.study, cfg.runs_dir
    if study is None or str(study) in ("", ".", "..") or not re.fullmatch(r"[^/\x00-\x1f\x7f]+", str(study)):
        raise ConfigError(
            f"study={_quoted(study)} is not a directory's name: no slash, no control character, not . or .."
        )
    if runs is None or not re.fullmatch(r"[^\x00-\x1f\x7f]+", str(runs)):
        raise ConfigError(f"runs_dir={_quoted(runs)} is not the path of a directory")
    path = Path(str(runs)).expanduser().resolve() / str(study)
    for part in path.parts:
        if len(os.fsencode(part)) > NAME_BYTES:
            key = "study" if part == path.name else "runs_dir"
            raise ConfigError(f"{key}={part[:100]}… is longer than a directory's name may be, {NAME_BYTES} bytes")
    if len(os.fsencode(path)) > PATH_BYTES - 2 * NAME_BYTES:  # a cell's directory and its files come below it
        raise ConfigError(
            f"runs_dir={str(runs)[:100]}… is longer than a path may be, {PATH_BYTES} bytes with its cells"
        )
    return path


def _quoted(value: object) -> str:
    """Quote a text, so that control characters and its ends show. null stays null."""
    return "null" if value is None else repr(value)
