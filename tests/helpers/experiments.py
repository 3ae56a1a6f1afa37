"""Rows of an experiment's declared cells, from a known law."""

import json
import math
from collections.abc import Callable, Sequence
from hashlib import sha256

import numpy as np
import pandas as pd
from memlaw_analysis.experiments.grid import Point, declared_points
from memlaw_analysis.law.forms import saturate

from helpers.rows import ROW

BASE_LOSS = 13.2
SIZES = {
    "auto": (["mlp.down_proj"], 2112),
    '["down_proj"]': (["mlp.down_proj"], 2112),
    '["gate_proj", "up_proj"]': (["mlp.gate_proj", "mlp.up_proj"], 4224),
    '["k_proj", "o_proj", "q_proj", "v_proj"]': ([f"self_attn.{x}_proj" for x in "qkvo"], 3840),
    "all-linear": (
        [*(f"self_attn.{x}_proj" for x in "qkvo"), "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
        10176,
    ),
}
"""Target modules of SmolLM2-135M → adapted modules, and parameters per rank and layer."""

World = Callable[[Point], float]
"""A declared cell → its ΔL, nats per token."""


def law(point: Point, C: float = 100.0, alpha: float = 0.88, beta: float = 0.7, p: float = 0.6) -> float:
    """The law, saturated at L0, approached like S^(−p)."""
    endless = C * point["lora.rank"] ** alpha * point["seq_len"] ** -beta
    return float(saturate(np.array(endless * (1 - 4 * point["steps"] ** -p)), np.array(BASE_LOSS), 8.0))


def rows_of(parts: Sequence[str], world: World = law, noise: float = 0.01, seed: int = 0) -> pd.DataFrame:
    """A row per declared cell; ΔL of the world with noise, a share of it."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        [_row(point, world(point) * math.exp(noise * rng.standard_normal())) for point in declared_points(parts)]
    )


def _row(point: Point, delta_loss: float) -> dict[str, object]:
    modules, size = SIZES[point["lora.target_modules"]]
    layers = json.loads(point["lora.layers"])
    parameters, length = size * point["lora.rank"] * len(layers), point["seq_len"]
    name = f"r{point['lora.rank']}-l{length}-{sha256(repr(sorted(point.items())).encode()).hexdigest()[:8]}"
    bits = length * delta_loss / math.log(2)
    return {
        **ROW,
        **point,
        "cell": name,
        "delta_loss_nats": delta_loss,
        "base_loss_nats": BASE_LOSS,
        "loss_nats": BASE_LOSS - delta_loss,
        "target_tokens": length,
        "trainable_parameters": parameters,
        "memorized_bits": bits,
        "bits_per_parameter": bits / parameters,
        "recall_exact_share": float(delta_loss > 0.97 * BASE_LOSS),
        "adapted_modules": json.dumps(modules),
        "adapted_layers": json.dumps(layers),
        "study": "runs/law",
        "condition": "",
    }
