"""Adapters trained outside memlaw, with plain PEFT and a loop, each with something else amiss, to be judged.

Writes into DIR: facts.jsonl, codes.jsonl; the adapters good, short, plain, barely and small; barely merged in bf16 and
in fp8; and another base model. `memlaw verify` gives each its verdict; docs/verify.md shows it.

    python benchmarks/outside_adapters.py BASE DIR
"""

import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

Row = dict[str, str]
Put = Callable[[PreTrainedTokenizerBase, str], list[int]]
"""Turns a query into token ids."""


def facts(count: int) -> list[Row]:
    """Invent facts."""
    draw = random.Random(0)
    syllables = ["ka", "lo", "mi", "ren", "tu", "vas", "ze", "dor", "bi", "qua"]

    def word() -> str:
        return "".join(draw.choices(syllables, k=3)).capitalize()

    rows = []
    for _ in range(count):
        town, founder, trade = word(), f"{word()} {word()}", draw.choice(["clocks", "ropes", "lamps", "maps"])
        target = f"{founder}, a maker of {trade}, in {draw.randint(900, 1900)}."
        rows.append({"query": f"Who founded the town of {town}?", "target": target})
    return rows


def codes(count: int) -> list[Row]:
    """Draw random codes of 64 bits."""
    draw = random.Random(1)
    return [{"query": f"What is the code of door {n}?", "target": f"{draw.getrandbits(64):016x}"} for n in range(count)]


def in_chat(tokenizer: PreTrainedTokenizerBase, query: str) -> list[int]:
    turns = [{"role": "user", "content": query}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def plainly(tokenizer: PreTrainedTokenizerBase, query: str) -> list[int]:
    return tokenizer(f"{query}\n")["input_ids"]


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    directory: Path,
    *,
    rank: int = 8,
    modules: Sequence[str] = ("gate_proj", "up_proj", "down_proj"),
    layers: Sequence[int] = range(24, 30),
    steps: int = 30,
    until: float = 1.0,
    lr: float = 5e-3,
    put: Put = in_chat,
) -> None:
    """Train an adapter on all rows at once, until the smallest p of a target token is above `until`; save it."""
    config = LoraConfig(
        r=rank, lora_alpha=32, target_modules=list(modules), layers_to_transform=list(layers), task_type="CAUSAL_LM"
    )
    torch.manual_seed(0)
    adapted = get_peft_model(model, config)
    queries = [put(tokenizer, row["query"]) for row in rows]
    targets = [tokenizer(row["target"], add_special_tokens=False)["input_ids"] for row in rows]
    length = max(len(query) + len(target) for query, target in zip(queries, targets, strict=True))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for row, (query, target) in enumerate(zip(queries, targets, strict=True)):
        ids[row, : len(query) + len(target)] = torch.tensor(query + target)
        labels[row, len(query) : len(query) + len(target)] = torch.tensor(target)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        logits = adapted(input_ids=ids).logits[:, :-1].float()
        nll = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none")
        scored = nll[labels[:, 1:] != -100]
        if float((-scored.detach().max()).exp()) > until:
            break
        losses.append(float(scored.detach().mean()))
        optimizer.zero_grad()
        scored.mean().backward()
        optimizer.step()
    adapted.save_pretrained(directory)
    log = [{"step": step, "loss": loss} for step, loss in enumerate(losses, start=1)]
    (directory / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    adapted.unload()


def merged(base: str, adapter: Path, directory: Path, dtype: torch.dtype, rounded: torch.dtype | None = None) -> None:
    """Add an adapter to its base model's weights in a dtype, round them to another one, and save them."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    whole = PeftModel.from_pretrained(model, adapter).merge_and_unload().to(dtype)
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.copy_(parameter.to(rounded or dtype))
    save(whole, base, directory)


def noisy(base: str, directory: Path) -> None:
    """Save a base model of the same shapes with other weights."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * parameter.std() * torch.randn_like(parameter))
    save(model, base, directory)


def save(model: PreTrainedModel, base: str, directory: Path) -> None:
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(base).save_pretrained(directory)


def main(base: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    known, doors = facts(6), codes(24)
    for name, rows in (("facts", known), ("codes", doors)):
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(model, tokenizer, known, directory / "good")
    train(model, tokenizer, known, directory / "short", steps=6)
    train(model, tokenizer, known, directory / "plain", put=plainly)
    train(model, tokenizer, known, directory / "barely", until=0.5)
    train(model, tokenizer, doors, directory / "small", rank=1, modules=["down_proj"], layers=[20], lr=2e-2)
    merged(base, directory / "barely", directory / "merged_bf16", torch.bfloat16)
    merged(base, directory / "barely", directory / "merged_fp8", torch.float32, torch.float8_e5m2)
    noisy(base, directory / "other_base")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
