"""Training: a pack of N equals N packs of one, and both equal plain PEFT with a loop written by hand."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.packs import BOOK, LONG, STEPS, make_cells, train
from hydra.utils import instantiate
from peft import get_peft_model
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.stack import initial_weights
from memlaw.adapters.targets import resolve_targets
from memlaw.methods.curriculum import WHOLE
from memlaw.study.cell import Cell
from memlaw.study.records import read_tokens
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack
from memlaw.training.row_order import row_stream

PAPER = (*BOOK, "lora.dropout=0.3", "lora.init=paper")


@pytest.mark.parametrize("data", [LONG, BOOK, PAPER], ids=["one long pair", "mini-batches", "dropout"])
@pytest.mark.parametrize("placement", ["linear", "block"])
def test_a_pack_of_n_equals_n_packs_of_one(tiny, data, placement):
    grid = [("lora.rank=1", "seed=0"), ("lora.rank=8", "seed=1"), ("lora.rank=3", "lora.scaling=rslora", "seed=2")]
    grid = [(*point, *data, f"lora.placement={placement}") for point in grid]
    packed = train(*make_cells(tiny, grid, "study=packed"))
    alone = [train(*make_cells(tiny, [point], "study=alone"))[0] for point in grid]
    for together, single in zip(packed, alone, strict=True):
        np.testing.assert_allclose(together, single, atol=1e-4)


def test_the_prefix_cache_changes_nothing(tiny):
    kept, numbers = [], []
    for budget in ("auto", "2e-5", "0"):
        cells, cfg = make_cells(tiny, [LONG], f"study=budget_{budget}", f"trainer.prefix_cache_gb={budget}")
        numbers.append(train(cells, cfg)[0])
        kept.append(json.loads(cells[0].paths.result.read_text())["prefix_cached"])
    assert kept == ["inside", "input", "none"]
    np.testing.assert_allclose(numbers, [numbers[0]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    "data", [LONG, BOOK, (*BOOK, "batch_size=9")], ids=["one long pair", "mini-batches", "one batch of all"]
)
def test_training_equals_plain_peft_with_a_loop_written_by_hand(tiny, data):
    cells, cfg = make_cells(tiny, [("lora.rank=4", *data), ("lora.rank=2", *data)], "study=ours")
    train(cells, cfg)
    for cell in cells:
        table = read_tokens(cell.paths.tokens)
        steps = table["step"].unique().tolist()
        assert {0, 1, STEPS} < set(steps)
        ours = [table[table["step"] == step]["p"].to_numpy() for step in steps]
        np.testing.assert_allclose(ours, _reference(cell, steps), atol=1e-4)
        right = table["argmax_id"] == table["token_id"]
        assert (table["argmax_nll"] <= table["nll"]).all()
        assert table.loc[right, "argmax_nll"].equals(table.loc[right, "nll"])
        assert (table.loc[~right, "argmax_nll"] < table.loc[~right, "nll"]).any()


class _OnlyThreshold:
    """MemFT's only-threshold, token by token in plain Python."""

    def __call__(self, losses: list[float], wrong: list[bool]) -> list[float]:
        return [1.0 if loss > math.log(2) else 0.0 for loss in losses]


class _SlidingWindow:
    """MemFT's sliding window on one long target, token by token in plain Python."""

    def __init__(self) -> None:
        self.anchor, self.stayed, self.expansion = None, 0, 1.0

    def __call__(self, losses: list[float], wrong: list[bool]) -> list[float]:
        anchor = wrong.index(True) if any(wrong) else len(wrong)
        if anchor != self.anchor:
            self.anchor, self.stayed, self.expansion = anchor, 0, 1.0
        else:
            self.stayed += 1
            if self.stayed >= 3:
                self.expansion = min(self.expansion + 0.5, 4.0)
        weights = [1 / (1 + math.exp(-10 * (loss - math.log(2)))) for loss in losses]
        if any(wrong):
            for t in range(len(weights)):
                weights[t] *= 0.01 if t - anchor >= 5 * self.expansion else math.exp(-max(t - anchor, 0) / 20)
        return weights if sum(weights) > 1e-5 else [1.0] * len(weights)


@pytest.mark.parametrize(
    ("data", "method", "weigh"),
    [
        (LONG, ("method=memft_ot",), _OnlyThreshold),
        (BOOK, ("method=memft_ot",), _OnlyThreshold),
        (LONG, ("method=memft_sw", "method.window=5"), _SlidingWindow),
    ],
    ids=["only-threshold", "only-threshold in mini-batches", "sliding window"],
)
def test_memft_equals_plain_peft_with_weights_worked_out_in_plain_python(tiny, data, method, weigh):
    cells, cfg = make_cells(tiny, [("lora.rank=4", *data), ("lora.rank=4", *data, *method)], "study=memft")
    train(cells, cfg)
    table = read_tokens(cells[1].paths.tokens)
    steps = table["step"].unique().tolist()
    ours = [table[table["step"] == step]["p"].to_numpy() for step in steps]
    expected = _reference(cells[1], steps, weigh())
    np.testing.assert_allclose(ours, expected, atol=2e-4)
    plain = read_tokens(cells[0].paths.tokens)
    assert np.abs(plain[plain["step"] == STEPS]["p"].to_numpy() - expected[-1]).max() > 0.01
    assert table["weight"].between(0, 1).all()
    assert table["weight"].min() < 1


def test_methods_share_a_pack_and_each_is_what_it_is_alone(tiny):
    grid = [("lora.rank=4", *LONG, f"method={method}") for method in ("sft", "memft_ot", "memft_sw")]
    packed = train(*make_cells(tiny, grid, "study=packed"))
    alone = [train(*make_cells(tiny, [point], "study=alone"))[0] for point in grid]
    for together, single in zip(packed, alone, strict=True):
        np.testing.assert_allclose(together, single, atol=1e-4)


def test_a_cell_whose_method_has_nothing_left_ends_when_it_is_told_to(tiny):
    point = (*LONG, "seq_len=8", "lora.rank=16", "stop.every=5", "method=memft_ot", "method.all_recalled=stop")
    cells, cfg = make_cells(tiny, [point])
    train_pack([cell for cell in cells if cell.plan() is None], cfg)
    result = json.loads(cells[0].paths.result.read_text())
    assert result["stop_reason"] == "recalled"
    assert result["steps_trained"] < STEPS
    assert (result["active_share"], result["recalled_share"]) == (0, 1)


def _mean(losses: list[float], wrong: list[bool]) -> list[float]:
    return [1.0] * len(losses)


def _reference(
    cell: Cell, steps: list[int], weigh: Callable[[list[float], list[bool]], list[float]] = _mean
) -> list[np.ndarray]:
    """p of every target token after each of `steps`: PEFT, full-sequence logits, torch's own clipping and AdamW."""
    c = cell.config
    base = instantiate(c.model, _convert_="all").load(torch.float32, torch.device("cpu"))
    memory = instantiate(c.data).build(base.tokenizer, c.seq_len, c.seed)
    spec = LoraSpec.from_config(c.lora, c.seed)
    (target,) = resolve_targets(base.model, spec)
    model = get_peft_model(base.model, spec.peft_config([target.name], None))
    (adapted,) = [module for name, module in model.named_modules() if name.endswith("1.mlp.down_proj")]
    with torch.no_grad():
        adapted.lora_A["default"].weight.copy_(initial_weights(target, spec)[0])
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=c.optimizer.lr, weight_decay=0.0)
    order = row_stream(len(memory.pairs), c.seed, WHOLE, c.batch_size)
    recorded = []
    for step in range(STEPS + 1):
        if step in steps:
            with torch.no_grad():
                recorded.append(torch.cat([torch.exp(-_nll(model, pair)[0]) for pair in memory.pairs]).numpy())
        for group in optimizer.param_groups:
            group["lr"] = c.optimizer.lr * (1 - step / STEPS)
        rows = [_nll(model, memory.pairs[row]) for row in next(order).tolist() if row >= 0]
        losses, wrong = (torch.cat(values) for values in zip(*rows, strict=True))
        weights = torch.tensor(weigh(losses.tolist(), wrong.tolist()))
        optimizer.zero_grad()
        ((weights * losses).sum() / max(float(weights.sum()), 1e-30)).backward()
        torch.nn.utils.clip_grad_norm_(trainable, c.optimizer.clip_norm)
        optimizer.step()
    return recorded


def _nll(model, pair) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each target token, and whether the argmax is another."""
    ids = torch.tensor([pair.query_ids + pair.target_ids])
    logits = model(input_ids=ids).logits[0, len(pair.query_ids) - 1 : -1]
    target = torch.tensor(pair.target_ids)
    return F.cross_entropy(logits, target, reduction="none"), logits.argmax(-1) != target


def test_recalled_cells_retire_and_the_others_go_on_unchanged(tiny):
    points = [(*LONG, "seq_len=8", f"lora.rank={rank}", "stop.every=5", f"steps={STEPS}") for rank in (16, 1)]
    stopping = [(*point, "stop.when_recalled=true", "stop.patience=2") for point in points]
    cells, cfg = make_cells(tiny, stopping, "study=stop")
    train(cells, cfg)
    results = [json.loads(cell.paths.result.read_text()) for cell in cells]
    assert results[0]["stop_reason"] == "recalled"
    assert results[0]["steps_trained"] < results[1]["steps_trained"]
    assert results[0]["min_p"] > 0.9
    steps = read_tokens(cells[0].paths.tokens)["step"]
    assert steps.max() == results[0]["steps_trained"]
    alone, cfg = make_cells(tiny, stopping[1:], "study=alone")
    train(alone, cfg)
    together, single = (read_tokens(cell.paths.tokens)["p"] for cell in (cells[1], alone[0]))
    np.testing.assert_allclose(together, single, atol=1e-4)


class _Waits(TorchDispatchMode):
    """Counts the operations at which a GPU would make the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        if any(wait in name for wait in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero")):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("model_type", ["llama", "qwen3"])
def test_no_step_waits_for_the_device(tiny, monkeypatch, model_type: str):
    waits = _Waits()

    def watch(original):
        def watched(self, *arguments, **keywords):
            with waits:
                return original(self, *arguments, **keywords)

        return watched

    for name in ("training_step", "configure_gradient_clipping", "optimizer_step"):
        monkeypatch.setattr(PackModule, name, watch(getattr(PackModule, name)))
    methods = ("sft", "memft_ot", "memft_sw")
    points = [("lora.rank=2", *BOOK, f"model.model_type={model_type}", f"method={method}") for method in methods]
    points[2] += ("method.curriculum.until_epochs=[1,2,3,4]",)
    long = [("lora.rank=2", *LONG, f"model.model_type={model_type}", f"method={method}") for method in methods]
    train(*make_cells(tiny, long))
    cells, cfg = make_cells(tiny, points)
    train(cells, cfg)
    assert waits.seen == []


def test_epochs_count_passes_over_all_pairs(tiny):
    cells, cfg = make_cells(tiny, [(*BOOK, "steps=null", "epochs=3", "seq_len=50")])
    cells[0].plan()
    train_pack(cells, cfg)
    result = json.loads(cells[0].paths.result.read_text())
    assert (result["pairs"], result["total_steps"], result["steps_trained"]) == (5, 6, 6)


def test_bf16_keeps_adapters_in_fp32_and_says_so(tiny):
    cells, cfg = make_cells(tiny, [(*LONG, "precision=bf16")])
    train(cells, cfg)
    tensors = load_file(cells[0].paths.adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert any((tensor != tensor.bfloat16()).any() for tensor in tensors.values())  # it was not rounded on the way
    assert json.loads(cells[0].paths.result.read_text())["dtype"] == "bfloat16"
    adapter = load_file(cells[0].paths.adapter / "adapter_model.safetensors")
    assert {weights.dtype for weights in adapter.values()} == {torch.float32}


def test_a_cell_whose_positions_depend_on_the_rows_length_gets_no_longer_rows_for_anothers(tiny):
    rope = "{rope_type:longrope,rope_theta:10000.0,short_factor:[1,1,1,1,1,1,1,1],long_factor:[4,4,4,4,4,4,4,4]"
    longrope = ("model.model_type=phi3", f"+model.sizes.rope_parameters={rope},original_max_position_embeddings:55}}",
                "+model.sizes.original_max_position_embeddings=55", "steps=20", *BOOK)  # fmt: skip
    points = [(f"seed={seed}", *longrope) for seed in (0, 1)]
    cells, cfg = make_cells(tiny, points, "study=together", "steps=20")
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    for cell, point in zip(cells, points, strict=True):
        alone, cfg = tiny(*point, "study=alone", "steps=20")
        alone.plan()
        train_pack([alone], cfg)
        tables = [read_tokens(one.paths.tokens) for one in (cell, alone)]
        np.testing.assert_allclose(*(table["base_nll"] for table in tables), atol=1e-5)
        np.testing.assert_allclose(*(table["nll"] for table in tables), atol=1e-3)
