"""Adapters made outside memlaw, judged by the command and by the Python function."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import random_base
from helpers.outside import OUTSIDE, ROWS, train_outside, write_base, write_rows
from helpers.packs import train
from helpers.processes import python
from peft import IA3Config, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from memlaw.core.errors import ConfigError
from memlaw.data.prompt import Prompt
from memlaw.study.result import read_result
from memlaw.study.verification import PAIR_COLUMNS, TOKEN_COLUMNS, VerificationPaths
from memlaw.verification import batches, scoring
from memlaw.verification.judging import How
from memlaw.verification.verification import verify


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, the data, and adapters."""
    place = tmp_path_factory.mktemp("outside")
    base = write_base(place / "base")
    write_rows(place / "facts.jsonl")
    train_outside(base, place / "good")
    train_outside(base, place / "short", steps=3, until=1.0)
    train_outside(base, place / "plain", put=OUTSIDE.plainly)
    return place


def judged(place: Path, name: str, **settings):
    return verify(None, place / name, place / "facts.jsonl", **settings)


def test_the_function_is_exported():
    code = "import memlaw; print(memlaw.verify.__module__)"
    assert python("-c", code).stdout == "memlaw.verification.verification\n"


def test_an_adapter_that_recalls_is_recalled(place: Path):
    found = judged(place, "good")
    assert found.verdict.kind == "recalled"
    assert list(found.pairs) == [*PAIR_COLUMNS]
    assert list(found.tokens) == [*TOKEN_COLUMNS]
    assert found.to_frame()["exact"].all()
    assert found.recalled_pairs == {"good": 1.0}


def test_losses_are_those_of_plain_peft_and_transformers(place: Path):
    found = judged(place, "good")
    tokenizer = AutoTokenizer.from_pretrained(place / "base")
    base = AutoModelForCausalLM.from_pretrained(place / "base", dtype=torch.float32).eval()

    def losses(model) -> list[float]:
        values = []
        for row in ROWS:
            query = OUTSIDE.in_chat(tokenizer, row["query"])
            target = tokenizer(row["target"], add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([query + target])).logits[0, len(query) - 1 : -1]
            values += (-logits.log_softmax(-1)[range(len(target)), target]).tolist()
        return values

    expected_base = losses(base)
    expected = losses(PeftModel.from_pretrained(base, place / "good").eval())
    np.testing.assert_allclose(found.tokens["base_nll"], expected_base, atol=1e-5)
    np.testing.assert_allclose(found.tokens["nll"], expected, atol=1e-5)
    bits = sum(expected_base) / math.log(2)
    assert found.record["adapters"][0]["summary"]["base_bits"] == pytest.approx(bits, rel=1e-5)


def test_one_trained_too_little_is_told(place: Path):
    assert judged(place, "short").verdict.kind == "training"


def test_one_trained_without_the_template_is_told_which(place: Path):
    verdict = judged(place, "plain").verdict
    assert (verdict.kind, "without the chat template, with a line end" in verdict.text) == ("template", True)
    asked = How(Prompt("off"))
    rows = [{"query": f"{row['query']}\n", "target": row["target"]} for row in ROWS]
    assert verify(None, place / "plain", rows, asked).verdict.kind == "recalled"


def test_one_on_another_base_is_told(place: Path, tmp_path: Path):
    other = write_base(tmp_path / "other", seed=1)
    verdict = verify(str(other), place / "good", place / "facts.jsonl").verdict
    assert verdict.kind == "base"
    assert any("names the base model" in line for line in verdict.evidence)


def test_one_too_small_is_told(place: Path, tmp_path: Path):
    rows = OUTSIDE.codes(6)
    train_outside(
        place / "base", tmp_path / "small", rows, rank=1, modules=["down_proj"], layers=[3], steps=60, lr=2e-2
    )
    verdict = verify(None, tmp_path / "small", rows).verdict
    assert verdict.kind == "capacity"
    assert "take rank" in verdict.remedies[0]


def test_a_merged_model_is_judged_beside_its_adapter(place: Path, tmp_path: Path):
    base = AutoModelForCausalLM.from_pretrained(place / "base", dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, place / "good").merge_and_unload()
    with torch.no_grad():
        for parameter in merged.parameters():  # far coarser than bf16, so that this small model forgets
            parameter.copy_((parameter * 8).round() / 8)
    merged.save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(place / "base").save_pretrained(tmp_path / "merged")
    found = verify(str(place / "base"), [place / "good", tmp_path / "merged"], place / "facts.jsonl")
    assert {name: verdict.kind for name, verdict in found.verdicts.items()} == {
        "good": "recalled",
        "merged": "numerics",
    }


def test_rounding_is_told_from_forgetting(place: Path, monkeypatch: pytest.MonkeyPatch):
    def coarse(model, pairs):
        table = exact(model, pairs)
        return table if model.dtype == torch.float32 else table.assign(nll=2.0, argmax_id=0)

    exact = scoring.score
    monkeypatch.setattr("memlaw.verification.judging.score", coarse)
    verdict = judged(place, "good", how=How(precision="bf16", merged=True, decode=False)).verdict
    assert (verdict.kind, "in fp32 and without merging" in verdict.text) == ("numerics", True)


def test_decoding_that_parts_from_teacher_forcing_is_told(place: Path, monkeypatch: pytest.MonkeyPatch):
    def spoiled(model, pairs, row_tokens=None):
        table = exact(model, pairs, row_tokens)
        return table if len(pairs) == 1 else table.assign(exact=False, matched_prefix=0)

    exact = scoring.written
    monkeypatch.setattr("memlaw.verification.judging.written", spoiled)
    verdict = judged(place, "good").verdict
    assert (verdict.kind, "one row at a time" in verdict.text) == ("numerics", True)


def test_the_base_alone_and_other_tuners_are_judged(place: Path, tmp_path: Path):
    base = AutoModelForCausalLM.from_pretrained(place / "base", dtype=torch.float32)
    for name, config in (
        (
            "dora",
            LoraConfig(r=4, use_dora=True, use_rslora=True, rank_pattern={"down_proj": 2}, target_modules="all-linear"),
        ),
        ("ia3", IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])),
    ):
        adapted = get_peft_model(base, config)
        adapted.save_pretrained(tmp_path / name)
        adapted.unload()
    found = verify(str(place / "base"), [tmp_path / "dora", tmp_path / "ia3", "none"], place / "facts.jsonl")
    assert found.verdicts["none"].kind == "untouched"
    by_adapter = found.tokens.groupby("adapter")
    for name in ("dora", "ia3"):  # untrained, these change nothing
        np.testing.assert_allclose(by_adapter.get_group(name)["nll"], by_adapter.get_group(name)["base_nll"], atol=1e-5)
    sizes = {each["name"]: each["trainable_parameters"] for each in found.record["adapters"]}
    assert sizes["ia3"] == 4 * (16 + 48)
    assert sizes["dora"] > sizes["ia3"] > sizes["none"] == 0


def test_a_cell_is_judged_as_its_adapter(tiny, tmp_path: Path):
    data = write_rows(tmp_path / "table.jsonl")
    cell, cfg = tiny("data=table", f"data.path={data}", "seq_len=12", "batch_size=4", "steps=50")
    train([cell], cfg)
    found = verify(None, cell.paths.directory, data)
    own = pd.read_parquet(cell.paths.tokens)
    last = own[own["step"] == own["step"].max()].sort_values(["pair", "position"])
    np.testing.assert_allclose(found.tokens["nll"], last["nll"], atol=1e-4)
    assert (
        found.record["adapters"][0]["trainable_parameters"] == read_result(cell.paths.directory)["trainable_parameters"]
    )


def test_an_interrupted_verification_goes_on(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batches, "BATCH_ROWS", 1)
    seen = []

    def counted(model, pairs):
        seen.append(len(pairs))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return exact(model, pairs)

    exact = scoring.score
    monkeypatch.setattr("memlaw.verification.judging.score", counted)
    with pytest.raises(KeyboardInterrupt):
        judged(place, "good", out=tmp_path)
    assert not VerificationPaths(tmp_path).record.exists()
    found = judged(place, "good", out=tmp_path)
    assert len(seen) == 3 + 6  # two of eight batches were kept
    pd.testing.assert_frame_equal(found.tokens, judged(place, "good").tokens)
    assert json.loads(VerificationPaths(tmp_path).record.read_text())["adapters"][0]["verdict"]["kind"] == "recalled"


def test_the_command_gates_a_pipeline(place: Path, tmp_path: Path):
    words = ["-m", "memlaw", "verify", "--data", place / "facts.jsonl", "--require-recall", "0.99", "--adapter"]
    both = python(*words, place / "good", place / "short", "--out", tmp_path, cwd=tmp_path)
    assert both.returncode == 1
    assert "good: The adapter recalls its data" in both.stdout
    assert "short: Trained too little" in both.stdout
    assert VerificationPaths(tmp_path).page.is_file()
    good = python(*words, place / "good", "--json", cwd=tmp_path)
    assert good.returncode == 0
    assert json.loads(good.stdout)["adapters"][0]["verdict"]["kind"] == "recalled"
    missing = python(*words, tmp_path / "none", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("adapter", "model", "rows", "said"),
    [
        ("missing", None, ROWS, "missing is not a directory"),
        ("empty", None, ROWS, "neither adapter_config.json .* nor config.json"),
        ("weightless", None, ROWS, "lacks its weights"),
        ("virtual", None, ROWS, "adds virtual tokens"),
        ("good", "wide", ROWS, "does not fit the base model: size mismatch"),
        ("good", None, [{"query": "a", "target": "b"}, {"query": "a"}], "row 2: needs the field target"),
        ("good", None, [{"query": "a", "target": "x" * 400}], r"row 1: .* the model has 256 positions"),
        ("none", None, ROWS, "does not name a base model; give it with --model"),
    ],
)
def test_what_cannot_be_judged_is_one_line(place: Path, tmp_path: Path, adapter: str, model, rows, said: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "weightless").mkdir()
    (tmp_path / "weightless" / "adapter_config.json").write_text((place / "good" / "adapter_config.json").read_text())
    PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2).save_pretrained(str(tmp_path / "virtual"))
    if model:
        wide = random_base(hidden_size=64)
        wide.model.save_pretrained(tmp_path / "wide")
        wide.tokenizer.save_pretrained(tmp_path / "wide")
        model = str(tmp_path / "wide")
    where = adapter if adapter == "none" else str((place if adapter == "good" else tmp_path) / adapter)
    with pytest.raises(ConfigError, match=said) as caught:
        verify(model, where, rows)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_with_other_layers_is_refused(place: Path, tmp_path: Path):
    base = write_base(tmp_path / "shallow")
    shallow = json.loads((base / "config.json").read_text()) | {"num_hidden_layers": 2}
    (base / "config.json").write_text(json.dumps(shallow))
    with pytest.raises(ConfigError, match="does not fit the base model"):
        verify(str(base), place / "good", ROWS)


def test_an_adapter_that_changes_the_base_does_not_change_the_next_verdict(place: Path, tmp_path: Path):
    base = AutoModelForCausalLM.from_pretrained(place / "base", dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["down_proj"], modules_to_save=["lm_head"]))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "modules_to_save" in name:
                parameter.mul_(-1)
    adapted.save_pretrained(tmp_path / "whole_head")
    found = verify(str(place / "base"), [tmp_path / "whole_head", place / "good"], place / "facts.jsonl")
    alone = verify(None, place / "good", place / "facts.jsonl")
    together = found.tokens[found.tokens["adapter"] == "good"]
    np.testing.assert_allclose(together["nll"], alone.tokens["nll"], atol=1e-6)
    assert found.verdicts["whole_head"].kind == "base"


def test_one_pair_that_decoding_misses_does_not_decide_for_all(place: Path, monkeypatch: pytest.MonkeyPatch):
    def spoiled(model, pairs):
        table = exact(model, pairs)
        return table.assign(argmax_id=table["argmax_id"].where(table["index"] == 0, 0))

    exact = scoring.score
    monkeypatch.setattr("memlaw.verification.judging.score", spoiled)
    monkeypatch.setattr("memlaw.verification.judging.written", lambda model, pairs, row_tokens=None: scoring.written(
        model, pairs, row_tokens).assign(exact=False, matched_prefix=0))  # fmt: skip
    assert judged(place, "short").verdict.kind != "numerics"
