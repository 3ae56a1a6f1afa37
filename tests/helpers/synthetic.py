"""Tables of cells that the analysis tests share."""

import numpy as np
import pandas as pd
from memlaw_analysis.law.forms import Inputs, power

TRUTH = {"C": 60.0, "alpha": 0.7, "beta": 0.6, "b": 0.4}
RANKS, LENGTHS = (1, 2, 4, 8), (128, 256, 512, 1024, 2048)


def table(cells: list[tuple[int, int, float]], base_loss: float = 13.24) -> pd.DataFrame:
    """(rank, length, ΔL) as the analysis reads it."""
    frame = pd.DataFrame(cells, columns=["lora.rank", "seq_len", "delta_loss_nats"])
    return frame.assign(
        target_tokens=frame["seq_len"], base_loss_nats=base_loss, loss_nats=base_loss - frame["delta_loss_nats"], seed=0
    )


def synthetic(noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Cells of a known law, cut off below L0."""
    rng = np.random.default_rng(seed)
    r, l = (axis.ravel().astype(float) for axis in np.meshgrid(RANKS, LENGTHS))
    delta_loss = power(Inputs.grid(r, l, 13.24), **TRUTH) + noise * rng.standard_normal(len(r))
    return table(list(zip(r.astype(int), l.astype(int), np.minimum(delta_loss, 13.2), strict=True)))


def with_source(cells: pd.DataFrame, entropy: float = 10.8) -> pd.DataFrame:
    """Cells whose targets come from a source of a known entropy, nats per token."""
    return cells.assign(source_entropy_nats=entropy)


# SmolLM2-135M, one down_proj, 200 steps, L0 = 13.24
MEASURED = table(
    [
        (1, 64, 10.33), (1, 128, 6.712), (2, 128, 11.31), (1, 256, 4.951), (2, 256, 8.163), (4, 256, 12.536),
        (1, 512, 3.699), (2, 512, 5.557), (4, 512, 8.911), (8, 512, 11.578), (16, 512, 12.96), (2, 64, 13.224),
        (4, 64, 13.257), (4, 128, 13.27), (8, 256, 13.176), (16, 256, 13.205),
    ]
)  # fmt: skip
