"""What memorizing costs elsewhere: equal to plain PEFT's loss on the same text, and free of the pack."""

import json
from pathlib import Path

import pytest
import torch
from helpers.models import random_base
from helpers.packs import LONG, make_cells, train
from hydra.utils import instantiate
from peft import PeftModel

from memlaw.core.errors import ConfigError
from memlaw.data.held_out import held_out_text
from memlaw.training.side_effects import text_rows

ON = "eval.side_effects=on"


def losses_by_hand(cell) -> tuple[float, float]:
    """Under the base model and under the adapter that PEFT loads, by transformers' own loss, row by row."""
    base = instantiate(cell.config.model, _convert_="all").load(torch.float32, torch.device("cpu"))
    ids = torch.tensor(base.tokenizer(held_out_text("on", None))["input_ids"])

    def loss(model: torch.nn.Module) -> float:
        rows = [row[None] for row in ids.split(256) if len(row) > 1]
        sums = [float(model(input_ids=row, labels=row).loss) * (row.shape[1] - 1) for row in rows]
        return sum(sums) / sum(row.shape[1] - 1 for row in rows)

    with torch.no_grad():
        return loss(base.model), loss(PeftModel.from_pretrained(base.model, str(cell.paths.adapter)))


def test_the_loss_is_that_of_the_exported_adapter(tiny):
    cells, cfg = make_cells(tiny, [(f"lora.rank={rank}", *LONG, ON) for rank in (1, 8)])
    train(cells, cfg)
    for cell in cells:
        result = json.loads(cell.paths.result.read_text())
        base, tuned = losses_by_hand(cell)
        assert result["base_held_out_loss_nats"] == pytest.approx(base, rel=1e-5)
        assert result["held_out_loss_nats"] == pytest.approx(tuned, rel=1e-5)
        assert result["forgetting_nats"] == pytest.approx(tuned - base, abs=1e-4)
        assert abs(result["forgetting_nats"]) > 0.01


def test_a_text_of_one_s_own(tiny, tmp_path: Path):
    own = tmp_path / "ein Text.txt"
    own.write_text("The quick brown fox. " * 3, encoding="utf-8")
    texts = {}
    for name, how in (("own", str(own)), ("shipped", "on")):
        cells, cfg = make_cells(tiny, [(*LONG, f"eval.side_effects='{how}'")], f"study={name}")
        train(cells, cfg)
        texts[name] = json.loads(cells[0].paths.result.read_text())
    assert texts["own"]["held_out_fingerprint"] != texts["shipped"]["held_out_fingerprint"]
    assert texts["own"]["held_out_loss_nats"] != texts["shipped"]["held_out_loss_nats"]


def test_rows_hold_all_of_the_text_but_a_last_lonely_token():
    tokenizer = random_base().tokenizer
    assert [len(row) for row in text_rows("x" * 21, tokenizer, 10)] == [10, 10]
    assert [len(row) for row in text_rows("x" * 22, tokenizer, 10)] == [10, 10, 2]
    with pytest.raises(ConfigError, match="fewer than two tokens"):
        text_rows("x", tokenizer, 10)
