"""The composed presets of the paper, on a small model in fp32, against a loop of the released trainer's rules."""

import dataclasses
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.configs import TINY, composed
from helpers.packs import train
from helpers.paper_loop import PaperLoop
from hydra.utils import instantiate

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.stack import initial_weights
from memlaw.adapters.targets import resolve_targets
from memlaw.core.seeding import stream, stream_seed
from memlaw.models.base import BaseModel
from memlaw.planning.resolved import resolve
from memlaw.study.records import read_tokens

TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}[/]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
)
PROMPT = "[system]You are a helpful assistant.[/][user]{query}[/][assistant]<think></think>"
QUERY = "Please output the content of the vector memory injected into the activations."
MODULE = "model.layers.1.mlp"
STEPS = 50


@pytest.fixture
def small(tmp_path: Path) -> tuple[BaseModel, list[str]]:
    """A random base model with a chat template like Qwen3's, and the overrides that put it into a preset, in fp32."""
    base = instantiate(composed(*TINY).model, _convert_="all").load(torch.float32, torch.device("cpu"))
    base.tokenizer.chat_template = TEMPLATE
    for part in (base.model, base.tokenizer):
        part.save_pretrained(tmp_path / "small")
    return base, ["model=local", f"model.path={tmp_path}/small", "lora.layers=[1]", "lora.dtype=fp32", "precision=fp32"]


def loop_of(cell, base: BaseModel, pairs, **rules) -> PaperLoop:
    """The loop from the cell's own initial weights."""
    spec = LoraSpec.from_config(cell.config.lora, cell.config.seed)
    (target,) = resolve_targets(base.model, spec)
    assert target.name == MODULE
    A = initial_weights(target, spec)[0].T
    assert A.abs().max() * spec.rank**0.5 == pytest.approx(1, abs=0.02)  # uniform in ±1/√r
    return PaperLoop(base.model, MODULE, pairs, A, **rules)


def dropout(pairs, seed: int, rows: int, hidden: int):
    """A step's factors: a tenth of the values is dropped, drawn as memlaw draws them."""
    tokens = max(len(prompt + target) for prompt, target in pairs)

    def kept(step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(stream_seed(seed, f"dropout {MODULE} {step}"))
        return (torch.rand(rows, tokens, hidden, generator=generator) >= 0.1) / 0.9

    return kept


def recorded(cell) -> dict[int, np.ndarray]:
    return {step: rows["nll"].to_numpy() for step, rows in read_tokens(cell.paths.tokens).groupby("step")}


def check_losses(cell, loop: PaperLoop, batches) -> None:
    """The cell's losses are the loop's at every evaluation."""
    ours = recorded(cell)
    assert {0, 1, STEPS} < set(ours)
    kept = dropout(loop.pairs, cell.config.seed, len(batches[0]), loop.A.shape[0])
    expected = loop.losses(batches, kept, ours)
    for step, nll in ours.items():
        np.testing.assert_allclose(nll, expected[step], rtol=0, atol=1e-4, err_msg=f"{step}")


@pytest.mark.parametrize(("method", "seq_len"), [("sft", 24), ("memft_ot", 1)])
def test_long_context(tiny, small, method: str, seq_len: int):
    base, on_it = small
    short = [f"steps={STEPS}", f"seq_len={seq_len}", "lora.rank=8"]
    cell, cfg = tiny("experiment=paper_long_context_qwen3_8b", f"method={method}", *on_it, *short)
    train([cell], cfg)
    data, encode = resolve(cell).data, lambda text: tuple(base.tokenizer(text, add_special_tokens=False)["input_ids"])
    (drawn,) = dataclasses.replace(data, retokenize=False).build(base.tokenizer, 4096, 0).pairs
    target = encode(base.tokenizer.decode(drawn.target_ids))[:seq_len]
    pairs = [(encode(PROMPT.format(query=QUERY)), target)]
    threshold = 0.5 if method == "memft_ot" else None
    loop = loop_of(cell, base, pairs, lr=1e-2, threshold=threshold)
    check_losses(cell, loop, [[0]] * STEPS)
    assert (0 < loop.fallbacks < STEPS) == (method == "memft_ot")  # some steps have no token left


def test_phonebook_with_a_curriculum(tiny, small):
    base, on_it = small
    until = [
        1,
        2,
        3,
        4,
    ]  # in place of 20, 40, 60 and 80: with 2, 4, 6, 8 and from then on 10 steps an epoch, 7 epochs are 50 steps
    short = [f"method.curriculum.until_epochs={until}", "epochs=7", "seq_len=1000", "lora.rank=8"]
    cell, cfg = tiny("experiment=paper_phonebook_qwen3_8b", "method=memft_sw", *on_it, *short)
    train([cell], cfg)
    rows = islice(resolve(cell).data.source.rows(0), 100)
    names_and_numbers = [(pair.query, pair.target) for pair in rows]
    assert all(
        query.count(" ") == 1 and query.endswith(":") and len(number) == 10 for query, number in names_and_numbers
    )
    encode = lambda text: tuple(base.tokenizer(text, add_special_tokens=False)["input_ids"])  # noqa: E731
    pairs = [(encode(PROMPT.format(query=query)), encode(number)) for query, number in names_and_numbers]
    first, order = stream(0, "curriculum").permutation(100), stream(0, "row order")
    batches = []
    for epoch in range(7):
        taking_part = [20, 40, 60, 80, 100][sum(epoch >= boundary for boundary in until)]
        batches += first[order.permutation(taking_part)].reshape(-1, 10).tolist()
    assert len(batches) == STEPS
    check_losses(cell, loop_of(cell, base, pairs, lr=1e-2, threshold=0.5, fallback=False), batches)
