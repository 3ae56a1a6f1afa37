"""Training: a pack of N equals N packs of one, and both equal plain PEFT with a loop written by hand."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig
from peft import get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode

from memlaw import fit as fit_module
from memlaw.cell import Cell
from memlaw.data.tokens import RowOrder
from memlaw.errors import is_out_of_memory
from memlaw.lora import initial_A
from memlaw.lora_spec import LoraSpec
from memlaw.module import PackModule
from memlaw.pack import train_pack
from memlaw.records import read_tokens
from memlaw.targets import resolve_targets

STEPS = 50


def train(cells: Sequence[Cell], cfg: DictConfig) -> list[np.ndarray]:
    """Train the cells as one pack; p of every target token after the last step, per cell."""
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.status.get("traceback") for cell in cells] == [None] * len(cells)
    tables = [read_tokens(cell.paths.tokens) for cell in cells]
    assert all((table["base_nll"] - table["nll"]).max() > 1 for table in tables)  # all learned something
    return [table[table["step"] == STEPS]["p"].to_numpy() for table in tables]


COMMON = (f"steps={STEPS}", "stop.when_recalled=false", "seq_len=40", "lora.layers=[1]")
LONG = (*COMMON, "data.random_ratio=1.0")
BOOK = (*COMMON, "data=phonebook", "batch_size=3")


@pytest.mark.parametrize("data", [LONG, BOOK], ids=["one long pair", "mini-batches"])
@pytest.mark.parametrize("placement", ["linear", "block"])
def test_a_pack_of_n_equals_n_packs_of_one(tiny, data, placement):
    grid = [("lora.rank=1", "seed=0"), ("lora.rank=8", "seed=1"), ("lora.rank=3", "lora.scaling=rslora", "seed=2")]
    grid = [(*point, *data, f"lora.placement={placement}") for point in grid]
    packed = train(*_cells(tiny, grid, "study=packed"))
    alone = [train(*_cells(tiny, [point], "study=alone"))[0] for point in grid]
    for together, single in zip(packed, alone, strict=True):
        np.testing.assert_allclose(together, single, atol=1e-4)


def test_the_prefix_cache_changes_nothing(tiny):
    kept, numbers = [], []
    for budget in ("auto", "2e-5", "0"):
        cells, cfg = _cells(tiny, [LONG], f"study=budget_{budget}", f"trainer.prefix_cache_gb={budget}")
        numbers.append(train(cells, cfg)[0])
        kept.append(json.loads(cells[0].paths.result.read_text())["prefix_cached"])
    assert kept == ["inside", "input", "none"]
    np.testing.assert_allclose(numbers, [numbers[0]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    "data", [LONG, BOOK, (*BOOK, "batch_size=9")], ids=["one long pair", "mini-batches", "one batch of all"]
)
def test_training_equals_plain_peft_with_a_loop_written_by_hand(tiny, data):
    cells, cfg = _cells(tiny, [("lora.rank=4", *data), ("lora.rank=2", *data)], "study=ours")
    train(cells, cfg)
    for cell in cells:
        table = read_tokens(cell.paths.tokens)
        steps = table["step"].unique().tolist()
        assert {0, 1, STEPS} < set(steps)
        ours = [table[table["step"] == step]["p"].to_numpy() for step in steps]
        np.testing.assert_allclose(ours, _reference(cell, steps), atol=1e-4)


def _cells(tiny, points, *operational: str) -> tuple[list[Cell], DictConfig]:
    made = [tiny(*point, *operational) for point in points]
    return [cell for cell, _ in made], made[0][1]


def _reference(cell: Cell, steps: list[int]) -> list[np.ndarray]:
    """p of every target token after each of `steps`: PEFT, full-sequence logits, torch's own clipping and AdamW."""
    c = cell.config
    base = instantiate(c.model, _convert_="all").load(torch.float32, torch.device("cpu"))
    memory = instantiate(c.data).build(base.tokenizer, c.seq_len, c.seed)
    spec = LoraSpec.from_config(c.lora, c.seed)
    (target,) = resolve_targets(base.model.config, spec)
    model = get_peft_model(base.model, spec.peft_config([target.name], None))
    (adapted,) = [module for name, module in model.named_modules() if name.endswith("1.mlp.down_proj")]
    with torch.no_grad():
        adapted.lora_A["default"].weight.copy_(initial_A(target, spec))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=c.optimizer.lr, weight_decay=0.0)
    order = iter(RowOrder((len(memory.pairs),), (c.seed,), c.batch_size))
    recorded = []
    for step in range(STEPS + 1):
        if step in steps:
            with torch.no_grad():
                recorded.append(torch.cat([torch.exp(-_nll(model, pair)) for pair in memory.pairs]).numpy())
        for group in optimizer.param_groups:
            group["lr"] = c.optimizer.lr * (1 - step / STEPS)
        losses = torch.cat([_nll(model, memory.pairs[row]) for row in next(order)[0].tolist() if row >= 0])
        optimizer.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(trainable, c.optimizer.clip_norm)
        optimizer.step()
    return recorded


def _nll(model, pair) -> torch.Tensor:
    ids = torch.tensor([pair.query_ids + pair.target_ids])
    logits = model(input_ids=ids).logits[0, len(pair.query_ids) - 1 : -1]
    return F.cross_entropy(logits, torch.tensor(pair.target_ids), reduction="none")


def test_recalled_cells_retire_and_the_others_go_on_unchanged(tiny):
    points = [(*LONG, "seq_len=8", f"lora.rank={rank}", "stop.every=5", f"steps={STEPS}") for rank in (16, 1)]
    stopping = [(*point, "stop.when_recalled=true", "stop.patience=2") for point in points]
    cells, cfg = _cells(tiny, stopping, "study=stop")
    train(cells, cfg)
    results = [json.loads(cell.paths.result.read_text()) for cell in cells]
    assert results[0]["stop_reason"] == "recalled"
    assert results[0]["steps_trained"] < results[1]["steps_trained"]
    assert results[0]["min_p"] > 0.9
    steps = read_tokens(cells[0].paths.tokens)["step"]
    assert steps.max() == results[0]["steps_trained"]
    alone, cfg = _cells(tiny, stopping[1:], "study=alone")
    train(alone, cfg)
    together, single = (read_tokens(cell.paths.tokens)["p"] for cell in (cells[1], alone[0]))
    np.testing.assert_allclose(together, single, atol=1e-4)


def test_a_diverged_cell_fails_and_the_others_finish(tiny, monkeypatch):
    draw = fit_module.LoraPack.__init__

    def poisoned(self, targets, specs):
        draw(self, targets, specs)
        with torch.no_grad():
            self.stacks[0].B_NOR[1, 0, 0] = float("nan")

    cells, cfg = _cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(3)])
    healthy = train([cells[0], cells[2]], cfg)
    for cell in cells:
        cell.plan()
    monkeypatch.setattr(fit_module.LoraPack, "__init__", poisoned)
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["done", "failed", "done"]
    assert cells[1].status["cause"].startswith("diverged: 40 of 40 losses are not finite after step 0")
    after = [read_tokens(cells[n].paths.tokens).query(f"step == {STEPS}")["p"] for n in (0, 2)]
    np.testing.assert_allclose(after, healthy, atol=1e-4)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_pack_that_does_not_fit_is_halved_until_it_does(tiny, monkeypatch, error: Exception):
    step, sizes = PackModule.training_step, []

    def limited(self, rows_NB, index):
        sizes.append(len(self.adapters.specs))
        if len(self.adapters.specs) > 2:
            raise error
        return step(self, rows_NB, index)

    points = [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(5)]
    expected = train(*_cells(tiny, points, "study=fits"))
    monkeypatch.setattr(PackModule, "training_step", limited)
    halved = train(*_cells(tiny, points, "study=halved"))
    assert list(dict.fromkeys(sizes)) == [5, 3, 2, 1]
    np.testing.assert_allclose(halved, expected, atol=1e-4)


def test_a_cell_that_does_not_fit_alone_fails(tiny, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PackModule, "training_step", full)
    cells, cfg = _cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(2)])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["failed", "failed"]
    assert all("CUDA out of memory" in cell.status["cause"] for cell in cells)


def test_a_pack_halved_late_does_not_repeat_a_finished_cell(tiny, monkeypatch):
    step = PackModule.training_step

    def limited(self, rows_NB, index):
        if self.trainer.global_step == 40 and len(self.adapters.specs) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, rows_NB, index)

    short = (*LONG, "seq_len=8", "stop.every=5", "stop.patience=2", "stop.when_recalled=true")
    points = [("lora.rank=16", *short), ("lora.rank=1", *short), ("lora.rank=1", *short, "seed=1")]
    cells, cfg = _cells(tiny, points)
    monkeypatch.setattr(PackModule, "training_step", limited)
    train(cells, cfg)
    first, *others = (json.loads(cell.paths.result.read_text()) for cell in cells)
    assert (first["pack_size"], first["stop_reason"]) == (3, "recalled")
    assert first["steps_trained"] < 40
    assert [(other["pack_size"], other["steps_trained"]) for other in others] == [(1, STEPS)] * 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, expected: bool):
    assert is_out_of_memory(error) == expected


def test_memory_that_the_cpu_cannot_give_counts_as_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_a_full_disk_fails_its_cell_alone(tiny, monkeypatch):
    write = fit_module.CellRun.finish

    def full(self, *arguments):
        if self.cell.config.seed == 1:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(fit_module.CellRun, "finish", full)
    cells, cfg = _cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in range(3)])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert [cell.state for cell in cells] == ["done", "failed", "done"]
    assert "No space left on device" in cells[1].status["cause"]


def test_a_cell_that_was_finished_meanwhile_is_not_trained_again(tiny):
    (cell,), cfg = _cells(tiny, [LONG])
    cell.plan()
    cell.set_status("done")
    train_pack([cell], cfg)
    assert cell.status["attempt"] == 0


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
    cells, cfg = _cells(tiny, [("lora.rank=2", *BOOK, f"model.model_type={model_type}")])
    train(cells, cfg)
    assert waits.seen == []


def test_a_cell_that_another_process_trains_is_left_to_it(tiny):
    (mine, theirs), cfg = _cells(tiny, [LONG, (*LONG, "seed=1")])
    mine.plan(), theirs.plan()
    with theirs.lock():
        train_pack([mine, theirs], cfg)
    assert (mine.state, theirs.state) == ("done", "pending")


def test_a_memory_that_cannot_be_built_fails_its_cell_alone(tiny, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("short")
    short = ("data=text", f"data.path={path}", *COMMON)
    (bad, good), cfg = _cells(tiny, [short, LONG])
    bad.plan(), good.plan()
    train_pack([bad, good], cfg)
    assert (bad.state, good.state) == ("failed", "done")
    assert "longer than the text, which has 5 tokens" in bad.status["cause"]


def test_a_target_that_fits_only_without_its_query_fails_with_the_reason(tiny):
    cells, cfg = _cells(tiny, [(*LONG, "seq_len=2040")])
    cells[0].plan()
    train_pack(cells, cfg)
    assert cells[0].state == "failed"
    assert "query and target take 2066 tokens; random_llama_h64 has 2048 positions" in cells[0].status["cause"]


def test_epochs_count_passes_over_all_pairs(tiny):
    cells, cfg = _cells(tiny, [(*BOOK, "steps=null", "epochs=3", "seq_len=50")])
    cells[0].plan()
    train_pack(cells, cfg)
    result = json.loads(cells[0].paths.result.read_text())
    assert (result["pairs"], result["total_steps"], result["steps_trained"]) == (5, 6, 6)


def test_bf16_keeps_adapters_in_fp32_and_says_so(tiny):
    cells, cfg = _cells(tiny, [(*LONG, "precision=bf16")])
    train(cells, cfg)
    assert json.loads(cells[0].paths.result.read_text())["dtype"] == "bfloat16"
