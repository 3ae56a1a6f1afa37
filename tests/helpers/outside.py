"""Adapters trained outside memlaw, on a small random model that lies in a directory as users have them."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from helpers.checkout import ROOT
from helpers.models import random_base


def outside_adapters() -> ModuleType:
    """The benchmark that trains adapters with plain PEFT."""
    spec = importlib.util.spec_from_file_location("outside_adapters", ROOT / "benchmarks" / "outside_adapters.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OUTSIDE = outside_adapters()
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[answer]{% endif %}"
)
ROWS = [
    {"query": f"Who is {name}?", "target": target}
    for name, target in zip("ABCD", ("one", "two", "six", "ten"), strict=True)
]


def write_base(directory: Path, seed: int = 0) -> Path:
    """Write a random base model with a tokenizer and a chat template."""
    base = random_base(vocab_size=300)
    torch.manual_seed(seed)
    base.tokenizer.chat_template = TEMPLATE
    if seed:
        with torch.no_grad():
            for parameter in base.model.parameters():
                parameter.copy_(0.1 * torch.randn_like(parameter))
    with torch.no_grad():
        base.model.get_output_embeddings().weight.mul_(5)  # so that a token can become certain
    base.model.save_pretrained(directory)
    base.tokenizer.save_pretrained(directory)
    return directory


def write_rows(file: Path, rows: Sequence[dict] = ROWS) -> Path:
    """Write rows as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def train_outside(base: Path, directory: Path, rows: Sequence[dict] = ROWS, **settings) -> Path:
    """Train an adapter with plain PEFT and save it."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    usual = {"rank": 8, "layers": range(4), "steps": 150, "lr": 1e-2, "until": 0.97}
    OUTSIDE.train(model, AutoTokenizer.from_pretrained(base), rows, directory, **{**usual, **settings})
    return directory
