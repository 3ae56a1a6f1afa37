from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from helpers.configs import TINY, composed
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memlaw.config.keys import TABLES
from memlaw.core.errors import ConfigError
from memlaw.core.paths import config_dir
from memlaw.models.devices import resolve_device
from memlaw.planning.cells import compose_cell
from memlaw.planning.checks import (
    OPERATIONAL_VALUES,
    SCIENTIFIC_VALUES,
    check_cell,
    check_length,
    check_settings,
)
from memlaw.planning.resolved import resolve

IMPOSSIBLE = {
    "seq_len=0": "seq_len=0 is not a whole number of at least 1",
    "seq_len=many": "seq_len=many is not a whole number",
    "batch_size=0": "batch_size=0",
    "seed=-1": "seed=-1",
    "steps=null": "steps=null epochs=null: set one of the two to a number",
    "epochs=3": "steps=200 epochs=3: set one of the two to a number",
    "steps=0": "steps=0",
    "stop.p_above=2": "stop.p_above=2",
    "optimizer.betas=[0.9]": "optimizer.betas=[0.9]",
    "optimizer.weight_decay=-1": "optimizer.weight_decay=-1",
    "optimizer.lr=fast": "optimizer.lr=fast is not a number above 0",
    "optimizer.lr=-1": "optimizer.lr=-1",
    "optimizer.lr=inf": "optimizer.lr=inf",
    "optimizer.clip_norm=0": "optimizer.clip_norm=0",
    "lora.rank=0": "lora.rank=0",
    "lora.lora_alpha=0": "lora.lora_alpha=0",
    "lora.init=olora": "lora.init=olora is not one of peft, paper, gaussian, orthogonal",
    "lora.dropout=1": "lora.dropout=1 is not a number from 0 to below 1",
    "lora.dtype=fp16": "lora.dtype=fp16 is not one of fp32, bf16",
    "precision=fp8": "precision=fp8 is not one of auto, fp32, bf16",
    "data.random_ratio=2": "data.random_ratio=2",
    "stop.every=0": "stop.every=0",
    "eval.per_decade=0": "eval.per_decade=0",
    "optimizer.clip_norm=off": "optimizer.clip_norm=off is not a number above 0, nor null",
    "eval.recall.temperature=0": "eval.recall.temperature=0 is not a number above 0, nor null",
    "+data.typo=1": "typo",
    "stop=null": "stop=null replaces a group of settings; set stop.when_recalled=… instead",
    "optimizer.betas=3": "optimizer.betas=3 is not a pair of numbers",
    "lora.rank=true": "lora.rank=true is not",
    "lora.target_modules=null": "lora.target_modules=null is neither a list of names of modules nor a regex",
    "lora.layers=true": "lora.layers=true is neither",
    "data.random_ratio=null": "data.random_ratio=null is not between 0 and 1",
    "data.chat_template=none": "data.chat_template=none is not one of auto, off",
    "data.query=null": "data.query=null is not a text",
    "data.system_prompt=''": "data.system_prompt= is neither a text nor null",
    "data.system_prompt=[a]": "data.system_prompt=[a] is neither a text nor null",
    "data.template_arguments=false": "data.template_arguments=false is neither null nor {NAME: VALUE}",
    "data.template_arguments={messages:a}": "data.template_arguments: messages is not the name of an argument",
    "data.template_arguments={a-b:1}": "data.template_arguments: a-b is not the name of an argument",
    "data.retokenize=1": "data.retokenize=1 is neither true nor false",
    "model.name=null": "model.name=null is not a name",
}


@pytest.mark.parametrize("override", IMPOSSIBLE)
def test_impossible_values_name_their_key(tiny, override: str):
    with pytest.raises(ConfigError) as caught:
        check_cell(tiny(override)[0])
    assert IMPOSSIBLE[override] in str(caught.value)


def test_a_possible_cell_passes_and_resolves(tiny):
    cell, _ = tiny()
    adapted = check_cell(cell).adapted
    assert adapted.model.config.hidden_size == 64
    assert [target.name for target in adapted.targets] == ["model.layers.1.mlp.down_proj"]


def test_a_length_past_the_models_positions_is_refused_before_loading(tiny):
    cell, _ = tiny("seq_len=2049")
    with pytest.raises(ConfigError, match="seq_len=2049 is longer than the 2048 positions"):
        check_length(resolve(cell))


def test_a_target_that_matches_nothing_is_refused_before_loading(tiny):
    with pytest.raises(ConfigError, match=r"lora\.target_modules=\[nothing\]"):
        _ = resolve(tiny("lora.target_modules=[nothing]")[0]).adapted


GROUPS = {path.name for path in Path(config_dir()).iterdir() if path.is_dir()}
ODD = [None, "text", [1, 2], -1, {"a": 1}, 1.5, True]
VARIANTS = [
    ("method=memft_sw",),
    ("method=memft_ot", "data=phonebook", "logger=trackio"),
    ("data=text", "data.path=FILE", "lora.placement=block"),
    ("data=table", "data.path=FILE"),
]


def _keys(node: Mapping, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if name not in ("_target_", "content"):  # code, and what is filled in
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.") if isinstance(value, Mapping) else ()


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_no_value_of_any_key_is_more_than_a_config_error(tmp_path, variant):
    (tmp_path / "a.jsonl").write_text('{"text": "any", "query": "A?", "target": "b"}')
    variant = [override.replace("FILE", str(tmp_path / "a.jsonl")) for override in variant]
    base = composed(*TINY, f"runs_dir={tmp_path}", *variant)
    crashes = []
    for key in _keys(OmegaConf.to_container(base)):
        if key in GROUPS:  # which Hydra refuses
            continue
        for value in ODD:
            cfg = base.copy()
            try:
                OmegaConf.update(cfg, key, value, merge=True, force_add=True)
            except OmegaConfBaseException:  # which Hydra passes on
                continue
            try:
                cell = compose_cell(cfg)
                assert cell.name
                check_settings(cfg)
                resolve_device(cfg.trainer.device)
                assert check_cell(cell).adapted.targets
            except ConfigError as error:
                if "\n" in str(error):
                    crashes.append(f"{key}={value}: {error}")
            except Exception as error:
                crashes.append(f"{key}={value}: {type(error).__name__}: {error}")
    assert crashes == []


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("pack=null", "pack.memory_gb"),
        ("checkpoint=false", "checkpoint.every_min"),
        ("trainer=cpu", "trainer.device"),
        ("lora=8", "lora.rank"),
        ("eval.recall=3", "eval.recall.greedy"),
    ],
)
def test_a_value_in_place_of_a_section_is_refused_with_a_key_to_set(override: str, key: str):
    with pytest.raises(ConfigError) as caught:
        compose_cell(composed(*TINY[:1], override))
    assert str(caught.value) == f"{override} replaces a group of settings; set {key}=… instead"


IMPOSSIBLE_SETTINGS = {
    "dry_run=maybe": "dry_run=maybe is neither true nor false",
    "pack.max_cells=0": "pack.max_cells=0 is not a whole number of at least 1",
    "pack.memory_gb=some": "pack.memory_gb=some is not a number above 0, nor auto",
    "checkpoint.every_min=0": "checkpoint.every_min=0 is not a number above 0, nor null",
    "trainer.prefix_cache_gb=-1": "trainer.prefix_cache_gb=-1 is not a number of at least 0, nor auto",
}


@pytest.mark.parametrize("override", IMPOSSIBLE_SETTINGS)
def test_impossible_settings_name_their_key(override: str):
    with pytest.raises(ConfigError) as caught:
        check_settings(composed(*TINY, override))
    assert str(caught.value) == IMPOSSIBLE_SETTINGS[override]


CHECKED_ELSEWHERE = {
    *("lora.rank", "lora.target_modules", "lora.layers", "lora.placement", "lora.block_modules", "lora.scaling"),
    *("lora.init", "lora.dropout", "lora.dtype"),
    *("eval.side_effects", "eval.side_effects_content", "study", "runs_dir", "rerun", "trainer.device"),
}
"""By `LoraSpec`, `held_out_text`, `study_dir`, `run_sweep` and `resolve_device`."""


def test_every_key_of_a_section_is_checked():
    sections = {key: value for key, value in composed().items() if key not in (*GROUPS, *TABLES)}
    keys = {key for key in _keys(sections) if not isinstance(OmegaConf.select(composed(), key), DictConfig)}
    named = {f"{group}.name" for group in ("model", "data", "method")}
    assert {*SCIENTIFIC_VALUES, *OPERATIONAL_VALUES} - named == keys - CHECKED_ELSEWHERE
