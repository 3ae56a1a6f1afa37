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
    """Raise errors of Hydra and OmegaConf as a ConfigError. Others pass unchanged: they are mistakes in memlaw.

    Args:
        overrides: of the command line; used to find the one at fault.

    Raises:
        ConfigError: in one line.
    """
    try:
        yield
    except (ConfigError, SweepFailed):
        raise
    except (HydraException, OmegaConfBaseException, TypeError, ValueError, YAMLError) as error:
        clear = _in_one_line(error, overrides)
        if clear is None:
            raise
        raise clear from error


def _in_one_line(error: Exception, overrides: Sequence[str]) -> ConfigError | None:
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return _no_option(f"{group}={name}", group, error.options)
    if isinstance(error, HydraException) and isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return unknown_key(str(cause.full_key), cause.parent_node or ())
    if isinstance(error, HydraException) and isinstance(cause, ConfigTypeError):
        kinds = ("a list", "a group of settings")
        present, given = kinds if cause.object_type is list else kinds[::-1]
        return ConfigError(f"{cause.full_key} is {present}, which {given} cannot replace")
    if isinstance(error, HydraException):
        return ConfigError(one_line(error))
    if isinstance(error, OmegaConfBaseException):
        where = f"{error.full_key}: " if error.full_key else ""
        return ConfigError(f"{where}{str(error).splitlines()[0]}")
    if _raised_by_hydra(error):
        return _misused_group(overrides) or ConfigError(one_line(error))
    return None


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether Hydra called what raised the error, with neither memlaw nor its launchers in between."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parents = Path(frame.filename).parents
        if Path(hydra.__file__).parent in parents:
            return True
        if Path(__file__).parents[1] in parents or any(parent.name == "memlaw_launchers" for parent in parents):
            return False
    return False


def _misused_group(overrides: Sequence[str]) -> ConfigError | None:
    """Make the error for the first override that gives a group something other than one of its options."""
    for override in overrides:
        group, _, value = override.lstrip("+").partition("=")
        options = sorted(path.stem for path in (Path(config_dir()) / group).glob("*.yaml")) if group else []
        if options and value not in options:
            return _no_option(override, group, options)
    return None


def _no_option(override: str, group: str, options: Sequence[str]) -> ConfigError:
    return ConfigError(f"{override}: {group} is a group of settings; choose one of {', '.join(options)}")
