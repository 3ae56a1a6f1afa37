"""Every causal LM that transformers builds trains to the numbers of plain transformers and PEFT, or is refused."""

from pathlib import Path

import pytest
from helpers.architectures.examine import Row, examine
from helpers.architectures.sizes import MODEL_TYPES
from helpers.architectures.table import document, row_line
from helpers.checkout import ROOT

FEW = ("llama", "gpt2", "mixtral", "qwen2_moe", "deepseek_v3", "falcon_mamba", "gemma3n_text", "jamba", "trocr", "bert",
       "bart")  # fmt: skip
"""Those that a kind of fault was found with: dense, Conv1D, fused and shared experts, no attention, several hidden
states for a token, a cache without attention, padding ignored, not causal, encoder-decoder."""
DOCUMENT = ROOT / "docs" / "architectures.md"


@pytest.mark.parametrize(
    "model_type", [pytest.param(name, marks=[] if name in FEW else pytest.mark.slow) for name in MODEL_TYPES]
)
def test_it_trains_to_right_numbers_or_is_refused(model_type: str, tmp_path: Path):
    row = examine(model_type, tmp_path)
    assert row_line(row) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_the_document_has_every_architecture_once():
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in rows] == MODEL_TYPES


def test_a_row_is_a_line_of_a_table():
    row = Row("llama", "trains", "`mlp.down_proj`", "inside", "cache")
    assert "| `llama` | trains | `mlp.down_proj` | inside | cache |" in document([row])
