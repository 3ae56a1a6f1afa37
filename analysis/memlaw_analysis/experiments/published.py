"""Published numbers that the experiments are compared with, each with its source."""

from typing import NamedTuple


class Published(NamedTuple):
    """A published number.

    Attributes:
        value: the number.
        source: who measured it, on what.
    """

    value: float
    source: str


PAPER_KAPPA = Published(1.17, "α/β of the paper's own points on Qwen3-8B (arXiv 2605.30260), fitted again")
KEPT_KAPPA = Published(1.26, "α/β of the study in docs/study, SmolLM2-135M, 200 steps")

VECTOR_NATS = Published(500.8, "one trained input vector of Pythia-160M, random words (arXiv 2502.13063)")
VECTOR_NATS_ERROR = 38.9
VECTOR_PARAMETERS = 768
"""Numbers in that vector, the width of Pythia-160M."""

FACT_BITS = Published(2.0, "facts in full training (arXiv 2404.05405)")
TOKEN_BITS = (
    Published(3.51, "GPT-style models on random tokens, trained in bf16 (arXiv 2505.24832)"),
    Published(3.83, "GPT-style models on random tokens, trained in fp32 (arXiv 2505.24832)"),
)
"""Bits per parameter of whole models."""
