"""What memlaw's launchers refuse before they plan anything."""

import pytest
from helpers.configs import composed
from hydra_plugins.memlaw_launchers.launcher import _refuse_operational_sweeps

from memlaw.core.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("study", "a b"),
        ("runs_dir", "a b"),
        ("trainer.prefix_cache_gb", "0 1"),
        ("logger.project", "a b"),
        ("checkpoint.every_min", "1 2"),
        ("pack.max_cells", "1 2"),
        ("rerun", "all failed"),
        ("dry_run", "true false"),
    ],
)
def test_what_says_how_or_where_to_run_is_one_for_the_whole_sweep(key: str, values: str):
    configs = [composed(f"{key}={value}") for value in values.split()]
    with pytest.raises(ConfigError, match=f"^{key.split('.')[0]} says how or where to run"):
        _refuse_operational_sweeps(configs)


def test_a_study_called_nan_is_one_study():
    _refuse_operational_sweeps([composed("study=nan", f"seed={seed}") for seed in (0, 1)])


def test_the_rest_can_be_swept():
    _refuse_operational_sweeps([composed(f"lora.rank={rank}", f"seed={rank}") for rank in (1, 2)])
