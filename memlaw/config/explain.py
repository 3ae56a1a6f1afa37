"""Turn errors of Hydra and OmegaConf into one line that names the key and the allowed values."""

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, ConfigTypeError, OmegaConfBaseException
from yaml import YAMLError

from memlaw.config.keys import unknown_key
from memlaw.core.errors import ConfigError, SweepFailed, one_line
from memlaw.core.paths import config_dir


@contextmanager
def explained(overrides: Sequence[str] = ()) -> Iterator[None]:
    """Raise errors of Hydra and OmegaConf as a ConfigError. Other errors pass unchanged: they are mistakes in memlaw.

    Args:
        overrides: overrides of the command line, among which the mistake is looked for.

    Raises:
        ConfigError: in one line.
    """
    try:
        yield
    except (ConfigError, SweepFailed):
        raise
    except (HydraException, OmegaConfBaseException, TypeError, ValueError, YAMLError) as error:
        explanation = _explanation(error, overrides)
        if explanation is None:
            raise
        raise explanation from error


def _explanation(error: Exception, overrides: Sequence[str]) -> ConfigError | None:
    """Make the one-line error for the user; None for a mistake in memlaw."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return _no_option(f"{group}={name}", group, error.options)
    if isinstance(error, HydraException) and isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return unknown_key(str(cause.full_key), cause.parent_node or ())
    if isinstance(error, HydraException) and isinstance(cause, ConfigTypeError):
        kinds = ("a list", "a group of settings")
        present, given = kinds if cause.object_type is list else kinds[::-1]
        return ConfigError(f"{cause.full_key} is {present}; {given} cannot replace it")
    if isinstance(error, HydraException):
        return ConfigError(one_line(error))
    if isinstance(error, OmegaConfBaseException):
        where = f"{error.full_key}: " if error.full_key else ""
        return ConfigError(f"{where}{str(error).splitlines()[0]}")
    if _raised_by_hydra(error):
        return _misused_group(overrides) or ConfigError(one_line(error))
    return None


def _raised_by_hydra(error: BaseException) -> bool:
    """Tell whether Hydra's code raised the error, called by neither memlaw nor its launchers in between."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parents = Path(frame.filename).parents
        if Path(hydra.__file__).parent in parents:
            return True
        if Path(__file__).parents[1] in parents or any(parent.name == "memlaw_launchers" for parent in parents):
            return False
    return False


def _misused_group(overrides: Sequence[str]) -> ConfigError | None:
    """Make the error for the first override that gives a group a value which is not one of its options."""
    for override in overrides:
        group, _, value = override.lstrip("+").partition("=")
        options = sorted(path.stem for path in (Path(config_dir()) / group).glob("*.yaml")) if group else []
        if options and value not in options:
            return _no_option(override, group, options)
    return None


def _no_option(override: str, group: str, options: Sequence[str]) -> ConfigError:
    return ConfigError(f"{override}: {group} is a group of settings; choose one of {', '.join(options)}")
