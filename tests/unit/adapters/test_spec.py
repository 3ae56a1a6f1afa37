import pytest
from helpers.models import spec

from memlaw.core.errors import ConfigError


@pytest.mark.parametrize(("scaling", "scale"), [("constant", 32.0), ("rslora", 16.0), ("classic", 8.0)])
def test_scaling_policies(scaling: str, scale: float):
    assert spec("lora.rank=4", f"lora.scaling={scaling}").scale == scale


@pytest.mark.parametrize("override", ["lora.rank=0", "lora.rank=1.5", "lora.scaling=none", "lora.placement=head"])
def test_impossible_values_name_their_key(override: str):
    with pytest.raises(ConfigError, match=override.split("=")[0].replace(".", r"\.")):
        spec(override)
