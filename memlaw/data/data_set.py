"""Loads data sets with the library `datasets`: of the Hub, or of this machine."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from memlaw.core.errors import ConfigError, one_line
from memlaw.data.text_file import named


@lru_cache(maxsize=4)
def data_set(path: str, subset: str | None, split: str) -> Any:
    """Load a split of a data set.

    Args:
        path: as `datasets.load_dataset` takes it, or a directory that `save_to_disk` wrote.
        subset: configuration name, or None for the only one.
        split: e.g. `train`; not read of a saved directory without splits.

    Raises:
        ConfigError: it cannot be loaded.
    """
    import datasets

    try:
        if (Path(path) / "state.json").is_file():
            return datasets.load_from_disk(path)
        if (Path(path) / "dataset_dict.json").is_file():
            return datasets.load_from_disk(path)[split]
        return datasets.load_dataset(path, name=subset, split=split)
    except Exception as error:  # each kind of data set raises errors of its own
        raise ConfigError(f"{named(path)} could not be loaded: {one_line(error)}") from error
