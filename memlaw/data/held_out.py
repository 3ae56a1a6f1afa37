"""The held-out text for measuring side effects: memlaw's own, or a user's file."""

from importlib.resources import files

from memlaw.core.errors import ConfigError, shown, spelled
from memlaw.core.files import file_hash
from memlaw.data.text_file import read_text

OFF, SHIPPED = "off", "on"


def held_out_text(side_effects: str, content: str | None) -> str | None:
    """Read the text that `eval.side_effects` names: `on` is memlaw's own, `off` is none.

    Args:
        side_effects: `on`, `off` or the path of a file.
        content: the hash that the file must have (`memlaw.core.files.file_hash`); None allows any.

    Raises:
        ConfigError: the file cannot be read, is empty, or was edited since the cell was planned.
    """
    if side_effects == OFF:
        return None
    if side_effects == SHIPPED:
        return files("memlaw.data").joinpath("held_out.txt").read_text(encoding="utf-8")
    if content is not None and file_hash(side_effects) != content:
        raise ConfigError(f"eval.side_effects={shown(side_effects)} is gone or was edited since the cell was planned")
    try:
        text = read_text(side_effects)
    except ValueError as error:
        raise ConfigError(
            f"eval.side_effects={spelled(side_effects)} is neither {SHIPPED}, nor {OFF}, nor a text file: {error}"
        ) from error
    if not text.strip():
        raise ConfigError(f"eval.side_effects={shown(side_effects)} is an empty file")
    return text
