import pytest
from omegaconf import OmegaConf

from memlaw.config.instantiation import instantiate_checked
from memlaw.core.errors import ConfigError


def node(**values):
    return OmegaConf.create({"section": values}).section


def test_the_target_is_called_with_plain_python_values():
    made = instantiate_checked(node(_target_="builtins.dict", names=["a"], sizes={"b": 1}))
    assert made == {"names": ["a"], "sizes": {"b": 1}}
    assert (type(made["names"]), type(made["sizes"])) == (list, dict)


def test_a_value_that_the_target_refuses_names_the_section():
    with pytest.raises(ConfigError, match=r"^section: .*invalid literal for int"):
        instantiate_checked(node(_target_="builtins.int", _args_=["x"]))


def test_a_clear_error_of_the_target_stays_as_it_is():
    target = "memlaw.config.values.check_switch"
    with pytest.raises(ConfigError, match=r"^a\.b=3 is neither true nor false$"):
        instantiate_checked(node(_target_=target, key="a.b", value=3))
