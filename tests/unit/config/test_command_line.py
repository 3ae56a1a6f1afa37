"""Words that look like numbers reach the configuration as they were typed."""

from collections.abc import Iterator

import pytest
from helpers.checkout import ROOT
from helpers.configs import composed
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from memlaw.config.command_line import TEXT_KEYS, as_typed

NUMBERS = "2024_01_15 1.10 1e5 37577e34 nan inf -3 +5 007 12 true False 1_000.5 .5".split()
OTHERS = ["a", "v1.10", "2024-01-15", "12:30", "a b", "Größe/ℓ 1.txt", "Go!", "#1", "a=1.10"]


@pytest.mark.parametrize("value", [*NUMBERS, *OTHERS])
@pytest.mark.parametrize("key", ["study", "runs_dir", "rerun", "model.name", "data.name"])
def test_text_is_the_text_that_was_typed(key: str, value: str):
    assert OmegaConf.select(composed(*as_typed([f"{key}={value}"])), key) == value


@pytest.mark.parametrize(
    "word",
    [
        *["seq_len=64", "optimizer.lr=1e-3", "-m", "--config-dir", "data.subset=null", "study=", "study=a,,b"],
        *["study='1.10'", 'data.query="1,10"', "study=a\\,1.10", "data.query=Go\\, go!", "study=${seed}"],
        *["study=[1,2]", "data.path=range(1,3)", "model.name={a:1.10,b:2}"],
    ],
)
def test_other_words_stay_as_they_are(word: str):
    assert as_typed([word]) == [word]


@pytest.mark.parametrize("word", ["model.name=1.10, 2024_01,ö", "+model.name=choice(1.10,2024_01,ö)"])
def test_each_value_of_a_sweep_is_as_it_was_typed(word: str):
    override = OverridesParser.create().parse_override(*as_typed([word]))
    assert [value.strip("'") for value in override.sweep_string_iterator()] == ["1.10", "2024_01", "ö"]
    assert as_typed(as_typed([word])) == as_typed([word])


def _texts(section: dict, prefix: str) -> Iterator[str]:
    """Keys whose default is a text or null."""
    for key, value in section.items():
        if isinstance(value, dict) and key != "hydra":
            yield from _texts(value, f"{prefix}{key}.")
        elif (value is None or isinstance(value, str)) and not key.startswith("_"):
            yield f"{prefix}{key}"


def test_every_key_of_the_configuration_that_holds_a_name_is_text():
    texts = set()
    for path in (ROOT / "conf").rglob("*.yaml"):
        group = {"config.yaml": "", "slurm.yaml": "hydra.launcher."}.get(path.name, f"{path.parent.name}.")
        if path.parent.name in ("experiment", "job_logging"):
            continue
        texts |= set(_texts(OmegaConf.to_container(OmegaConf.load(path)), group))
    choices = "precision trainer.device model.model_type data.chat_template logger.mode method.all_recalled "
    choices += "lora.placement lora.scaling lora.target_modules lora.init lora.dtype"
    numbers = "epochs eval.recall.temperature trainer.prefix_cache_gb pack.memory_gb method.curriculum.until_epochs "
    numbers += "hydra.launcher.gpu_memory_gb hydra.launcher.array_parallelism"
    filled = "data.content data.template_arguments eval.side_effects_content "
    filled += "hydra.launcher.packs_per_task hydra.launcher.python launcher.workers launcher.partition"
    assert texts - TEXT_KEYS == {*choices.split(), *numbers.split(), *filled.split()}
