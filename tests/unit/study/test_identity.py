"""The flat row of a config, and the keys that earlier versions lack. Hashes and names are tested in `test_cell`."""

import io
from zipfile import Path as ZipPath

import pytest
from helpers.checkout import ROOT
from omegaconf import OmegaConf

from memlaw.study.identity import LATER_KEYS, add_later_keys, config_hash, flatten, with_later_keys
from memlaw.study.kept_cells import cell_directories


def test_nested_keys_are_dotted_lists_are_json_and_code_is_left_out():
    nested = {"a": {"_target_": "x.Y", "b": {"c": 1}}, "d": [1, "e"], "f": None}
    assert dict(flatten(nested)) == {"a.b.c": 1, "d": '[1, "e"]', "f": None}


def test_the_order_of_keys_does_not_count_and_the_order_of_lists_does():
    first, second = OmegaConf.create({"a": 1, "b": [1, 2]}), OmegaConf.create({"b": [1, 2], "a": 1})
    assert config_hash(first) == config_hash(second)
    assert config_hash(first) != config_hash(OmegaConf.create({"a": 1, "b": [2, 1]}))


def test_a_number_and_its_text_are_different():
    hashes = {config_hash(OmegaConf.create({"a": value})) for value in (1, "1", True, None, 1.5)}
    assert len(hashes) == 5


LATER = pytest.mark.parametrize("key", LATER_KEYS)


@LATER
def test_a_later_key_counts_unless_it_has_its_neutral_value(key: str):
    section, name = key.split(".")
    old = OmegaConf.create({section: {"other": 1}})
    neutral, changed = (OmegaConf.create({section: {"other": 1, name: value}}) for value in (LATER_KEYS[key], "else"))
    assert config_hash(old) == config_hash(neutral) != config_hash(changed)
    assert config_hash(OmegaConf.create({"x": {key: 1, name: LATER_KEYS[key]}})) != config_hash(
        OmegaConf.create({"x": {key: 1}})
    )


def test_neutral_numbers_are_neutral_however_they_are_written():
    one, other, old = ({"lora": {"rank": 1, **more}} for more in ({"dropout": 0}, {"dropout": 0.0}, {}))
    assert len({config_hash(OmegaConf.create(config)) for config in (one, other, old)}) == 1


@pytest.mark.parametrize("kept", sorted((ROOT / "docs").glob("**/cells.zip")), ids=lambda path: path.parent.name)
def test_kept_cells_of_earlier_versions_have_the_hashes_that_they_had(kept):
    directories = list(cell_directories(ZipPath(kept)))
    assert directories
    for directory in directories:
        config = OmegaConf.load(io.StringIO((directory / "config.yaml").read_text()))
        before = config_hash(config)
        add_later_keys(config)
        assert config.lora.init == "peft"
        assert config_hash(config) == before == directory.name.rsplit("-", 1)[1]


def test_what_a_config_or_a_row_has_stays():
    config = OmegaConf.create({"lora": {"init": "paper"}})
    add_later_keys(config)
    later = {key.removeprefix("lora."): value for key, value in LATER_KEYS.items() if key.startswith("lora.")}
    assert config.lora == {**later, "init": "paper"}
    assert with_later_keys({"lora.init": "paper"}) == {**LATER_KEYS, "lora.init": "paper"}


def test_a_mapping_in_a_row_stands_as_its_values():
    row = with_later_keys({"data.template_arguments.enable_thinking": False})
    assert "data.template_arguments" not in row
    assert row["data.system_prompt"] is None


def test_a_section_that_names_a_class_keeps_its_keys():
    config = OmegaConf.create({"lora": {"_target_": "x.Y"}})
    add_later_keys(config)
    assert config.lora == {"_target_": "x.Y"}
