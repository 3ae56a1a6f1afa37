"""Adapters that plain PEFT trained on the real default model: each gets its verdict."""

from pathlib import Path

import pytest
from helpers.outside import OUTSIDE

from memlaw.models.gguf import convert_gguf
from memlaw.verification.base_source import named_source
from memlaw.verification.judging import How
from memlaw.verification.verification import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("outside")
    file = named_source("smollm2_135m").file()
    OUTSIDE.main(str(convert_gguf(file)), place)
    return place


@pytest.mark.parametrize(
    ("adapter", "data", "kind"),
    [("short", "facts", "training"), ("plain", "facts", "template"), ("small", "codes", "capacity")],
)
def test_what_is_amiss_is_told(place: Path, adapter: str, data: str, kind: str):
    assert verify("smollm2_135m", place / adapter, place / f"{data}.jsonl").verdict.kind == kind


def test_another_base_is_told(place: Path):
    verdict = verify(str(place / "other_base"), place / "good", place / "facts.jsonl").verdict
    assert verdict.kind == "base"


def test_what_is_recalled_is_recalled_unless_merging_rounds_it_away(place: Path):
    adapters = [place / name for name in ("good", "barely", "merged_bf16", "merged_fp8")]
    found = verify("smollm2_135m", adapters, place / "facts.jsonl")
    assert {name: verdict.kind for name, verdict in found.verdicts.items()} == {
        "good": "recalled",
        "barely": "recalled",
        "merged_bf16": "recalled",
        "merged_fp8": "numerics",
    }
    merged = verify(None, place / "barely", place / "facts.jsonl", How(precision="bf16", merged=True))
    assert merged.verdict.kind == "recalled"
