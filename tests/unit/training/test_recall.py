"""Free-running recall: equal to `generate` on the exported adapter, bounded by what teacher forcing says."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.packs import BOOK, LONG, make_cells, train
from hydra.utils import instantiate
from peft import PeftModel
from transformers import GenerationConfig

from memlaw.study.records import read_tokens
from memlaw.training import history, pack_clock
from memlaw.training.pack import train_pack
from memlaw.training.recall_record import compare


def written_by_generate(cell) -> list[np.ndarray]:
    """Each pair alone, by transformers' own `generate` on the adapter that PEFT loads."""
    c = cell.config
    base = instantiate(c.model, _convert_="all").load(torch.float32, torch.device("cpu"))
    memory = instantiate(c.data).build(base.tokenizer, c.seq_len, c.seed)
    model = PeftModel.from_pretrained(base.model, str(cell.paths.adapter))
    model.base_model.model.generation_config = GenerationConfig()
    rows = []
    for pair in memory.pairs:
        ids = torch.tensor([pair.query_ids])
        settings = GenerationConfig(max_new_tokens=len(pair.target_ids), do_sample=False, pad_token_id=0)
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        rows.append(out[0, ids.shape[1] :].numpy())
    return [memory, rows]


@pytest.mark.parametrize("data", [LONG, BOOK], ids=["one long pair", "table"])
def test_decoding_in_a_pack_is_generate_on_each_exported_adapter(tiny, data):
    cells, cfg = make_cells(tiny, [(f"lora.rank={rank}", *data, "steps=50") for rank in (1, 16)])
    train(cells, cfg)
    for cell in cells:
        memory, expected = written_by_generate(cell)
        record = json.loads(cell.paths.recall.read_text())
        assert [compare(pair, row) for pair, row in zip(memory.pairs, expected, strict=True)] == [
            {name: row[name] for name in ("exact", "token_accuracy", "matched_prefix", "first_failure")}
            for row in record["by_pair"]
        ]
        result = json.loads(cell.paths.result.read_text())
        assert result["recall_exact_share"] == record["recall_exact_share"]
        assert result["pairs"] == len(memory.pairs)
        assert (result["recall_order_violations"], result["recall_unlike_predicted"]) == (0, 0)
        assert result["control_token_accuracy"] < 0.2
    assert json.loads(cells[1].paths.result.read_text())["recall_token_accuracy"] > 0.5


def test_the_order_of_the_three_positions_holds_and_is_what_the_tokens_say(tiny):
    cells, cfg = make_cells(tiny, [("lora.rank=4", *BOOK), ("lora.rank=2", *BOOK, "seed=1")])
    train(cells, cfg)
    for cell in cells:
        tokens = read_tokens(cell.paths.tokens)
        last = tokens[tokens["step"] == tokens["step"].max()]
        for pair, row in enumerate(json.loads(cell.paths.recall.read_text())["by_pair"]):
            own = last[last["pair"] == pair]
            wrong = own.loc[own["argmax_id"] != own["token_id"], "position"]
            stubborn = own.loc[own["p"] <= 0.5, "position"]
            assert row["predicted_first_failure"] == (wrong.min() if len(wrong) else None)
            assert row["first_stubborn"] == (stubborn.min() if len(stubborn) else None)
            assert row["first_failure"] == row["predicted_first_failure"]
            if row["first_failure"] is not None:
                assert row["first_stubborn"] <= row["first_failure"]


def test_a_decode_that_fails_costs_no_trained_cell(tiny, monkeypatch, caplog):
    from memlaw.training import recall as recall_module

    original = recall_module.write_memories

    def failing(model, adapters, *rest):
        if any(spec.rank == 16 for spec in adapters.specs):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(model, adapters, *rest)

    monkeypatch.setattr(recall_module, "write_memories", failing)
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG), ("lora.rank=1", *LONG), ("lora.rank=16", *LONG)])
    train(cells, cfg)
    assert [cell.state for cell in cells] == ["done"] * 3
    assert [cell.paths.recall.exists() for cell in cells] == [True, True, False]
    assert f"{cells[2].name} ends without recall: OutOfMemoryError" in caplog.text


def test_what_finished_cells_write_is_nobodys_training_time(tiny, monkeypatch):
    from memlaw.training import recall as recall_module

    original = recall_module.write_memories

    def slow(*arguments):
        clock["late"] += 1000
        return original(*arguments)

    clock = {"late": 0}
    late = SimpleNamespace(monotonic=lambda: time.monotonic() + clock["late"], time=time.time)
    for module in (history, pack_clock):
        monkeypatch.setattr(module, "time", late)
    monkeypatch.setattr(recall_module, "write_memories", slow)
    early = ("stop.when_recalled=true", "stop.patience=1", "stop.every=5", "seq_len=8", "steps=40")
    cells, cfg = make_cells(tiny, [(f"lora.rank={rank}", *LONG, *early) for rank in (16, 1)])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    results = [json.loads(cell.paths.result.read_text()) for cell in cells]
    assert results[0]["steps_trained"] < results[1]["steps_trained"]
    assert all(max(row["seconds"], row["worker_seconds"]) < 1000 for row in results)


def test_an_end_of_sequence_token_is_a_token_like_any_other(tiny, monkeypatch):
    from memlaw.training import recall as recall_module

    seen = []
    original = recall_module.write

    def noted(model, *arguments, **keywords):
        model.generation_config.eos_token_id = list(range(model.config.vocab_size))  # anything would end it
        rows = original(model, *arguments, **keywords)
        seen.append(rows.shape[1])
        return rows

    monkeypatch.setattr(recall_module, "write", noted)
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG)])
    train(cells, cfg)
    assert seen == [40]


def test_samples_are_the_cell_s_own_whatever_the_pack(tiny):
    points = [("lora.rank=16", *LONG, "eval.recall.temperature=1.5", f"seed={seed}") for seed in (0, 1)]
    cells, cfg = make_cells(tiny, points, "study=both")
    train(cells, cfg)
    alone, cfg = make_cells(tiny, points[1:], "study=alone")
    train(alone, cfg)
    both, one = (json.loads(cell.paths.result.read_text()) for cell in (cells[1], alone[0]))
    assert both["sample_token_accuracy"] == one["sample_token_accuracy"]
    assert 0 < one["sample_token_accuracy"] < one["recall_token_accuracy"]
