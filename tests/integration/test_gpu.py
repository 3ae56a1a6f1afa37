"""What only a GPU can show; the numbers themselves are tested on the CPU."""

import json

import numpy as np
import pytest
import torch
from helpers.models import random_base
from helpers.packs import BOOK, LONG, make_cells, train

from memlaw.models.base import BaseModel
from memlaw.training.module import PackModule
from memlaw.training.prefix import Prefix
from memlaw.training.token_table import TokenTable

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

CUDA = "trainer.device=cuda"


@pytest.mark.parametrize("data", [LONG, BOOK], ids=["one long pair", "mini-batches"])
def test_a_gpu_gives_what_the_cpu_gives(tiny, data):
    points = [("lora.rank=2", "seed=0"), ("lora.rank=5", "seed=1")]
    both = []
    for device in ("cuda", "cpu"):
        cells = [(*data, *point) for point in points]
        both.append(train(*make_cells(tiny, cells, f"trainer.device={device}", f"study={device}")))
    np.testing.assert_allclose(both[0], both[1], atol=1e-3)


def test_auto_precision_is_bf16(tiny):
    cell, cfg = tiny(*LONG, CUDA, "precision=auto")
    train([cell], cfg)
    assert json.loads(cell.paths.result.read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    "data",
    [LONG, BOOK, (*BOOK, "lora.dropout=0.1", "lora.dtype=bf16")],
    ids=["one long pair", "mini-batches", "dropout and bf16"],
)
def test_no_step_waits_for_the_device(tiny, monkeypatch, data):
    step = PackModule.training_step

    def watched(self, *arguments):
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(self, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(PackModule, "training_step", watched)
    cell, cfg = tiny(*data, CUDA, "precision=auto")
    train([cell], cfg)


def test_the_weights_of_the_prefix_leave_the_gpu_and_come_back():
    made = random_base()
    base = BaseModel.freeze(made.model, made.tokenizer, torch.device("cuda"))
    prefix = Prefix(base.model, 2, ["model.layers.2.mlp.down_proj"])
    table = TokenTable((1,), torch.arange(12).view(1, 1, 12), torch.ones(1, 1, 1).long(), torch.ones(1, 1, 1).bool())
    prefix.run(table.input_ids_NPT[0].cuda(), 1)
    below = base.model.model.layers[0]
    with prefix.replaced():
        assert {weight.device.type for weight in below.parameters()} == {"cpu"}
        assert base.model.model.layers[3].mlp.down_proj.weight.is_cuda
    assert all(weight.is_cuda for weight in base.model.parameters())
