"""Configurations composed in Python."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from memlaw.config.compose import compose_config, first_values
from memlaw.core.errors import ConfigError
from memlaw.core.paths import config_dir


def test_a_hydra_program_around_it_goes_on():
    with initialize_config_dir(config_dir(), version_base="1.3"):
        assert compose_config(["seq_len=8"]).seq_len == 8
        with pytest.raises(ConfigError, match=r"lora\.rnk is not a key"):
            compose_config(["lora.rnk=3"])
        assert compose("config").seq_len == 256
    assert not GlobalHydra.instance().is_initialized()


def test_hydras_own_part_comes_only_when_asked_for():
    assert "hydra" not in compose_config()
    assert compose_config(["hydra.launcher.workers=3"], with_hydra=True).hydra.launcher.workers == 3


def test_options_of_the_users_own_directory(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nseq_len: 8\n")
    assert compose_config(["experiment=mine"], tmp_path).seq_len == 8


def test_the_first_cell_of_a_sweep():
    sweep = ["lora.rank=4,2", "seq_len=choice(8,16)", "lora.layers=[1,2]", "seed=range(3,5)", "~stop"]
    assert first_values(sweep) == ["lora.rank=4", "seq_len=8", "lora.layers=[1,2]", "seed=3", "~stop"]
    with pytest.raises(ConfigError, match="no viable alternative"):
        first_values(["seq_len=[1"])
