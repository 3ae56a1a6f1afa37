"""The flat row of a config. Hashes and names are tested with the cells, in `test_cell`."""

from omegaconf import OmegaConf

from memlaw.study.identity import config_hash, flatten


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
