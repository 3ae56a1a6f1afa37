"""Caches the prefix's output for the rows of a pack, within a budget of RAM.

Shapes: N cells, P pairs of a cell, R distinct rows, B rows of a batch, T positions.
"""

import logging
import os
from collections.abc import Sequence

import psutil
import torch

from memlaw.planning.machine import PREFIX_SHARE
from memlaw.training.prefix import Prefix
from memlaw.training.token_table import TokenTable

log = logging.getLogger(__name__)

_SAMPLE_TOKENS = 16
"""Tokens of the row that tries the prefix."""


class PrefixCache:
    """The prefix's output for every row of a pack; cells with the same rows share it.

    Attributes:
        values: as `Prefix.run` returns them, a row per distinct row of tokens.
        row_NP: indices into `values` of each cell's rows.
    """

    def __init__(self, prefix: Prefix, table: TokenTable, batch_rows: int):
        self.prefix = prefix
        distinct_RT, self.row_NP = _distinct(table)
        self.values = prefix.run(distinct_RT, batch_rows)

    @property
    def extent(self) -> str:
        """The cached part of the prefix: a key of `memlaw.planning.sizes.CACHED`."""
        return "inside" if len(self.values) > 1 else "input"

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with some of the cells, given by index."""
        self.row_NP = self.row_NP[list(kept)]

    def feed(self, cell_N1: torch.Tensor, row_NB: torch.Tensor) -> None:
        """Feed the rows of a batch to the next forward, in cell-major order."""
        row_B = self.row_NP[cell_N1, row_NB].flatten()
        self.prefix.feed([value[row_B] for value in self.values])


def _distinct(table: TokenTable) -> tuple[torch.Tensor, torch.Tensor]:
    N, P, T = table.input_ids_NPT.shape
    distinct_RT, inverse = torch.unique(table.input_ids_NPT.view(N * P, T), dim=0, return_inverse=True)
    return distinct_RT, inverse.view(N, P)


def cache_prefix(prefix: Prefix, table: TokenTable, batch_rows: int, budget_bytes: float) -> PrefixCache | None:
    """Cache the prefix for the rows of a pack; None, and a line in the log, when every step must run the whole model.

    Args:
        prefix: of the base model, adapters not attached.
        table: the pack's rows.
        batch_rows: rows in one forward.
        budget_bytes: most bytes of the cache. If all outputs do not fit, cache only the input of the first adapted
            layer.
    """
    distinct_RT, _ = _distinct(table)
    sample_1T = distinct_RT[:1, :_SAMPLE_TOKENS]
    reason = prefix.refusal()
    if reason is None and not prefix.is_by_rows(sample_1T):
        reason = "layers pass on more than one hidden state for a token"
    if reason is None:
        per_token = [value.nbytes / sample_1T.numel() for value in prefix.run(sample_1T, 1)]
        if sum(per_token) * distinct_RT.numel() > budget_bytes:
            prefix.forget_inside()
            per_token = per_token[:1]
        needed = sum(per_token) * distinct_RT.numel()
        if needed > budget_bytes:
            reason = (
                f"its output takes {needed / 1e9:.3g} GB, of {budget_bytes / 1e9:.3g} allowed (trainer.prefix_cache_gb)"
            )
        elif not prefix.is_exact_for(sample_1T):
            reason = "later layers read more from the first layers than the output of the last of them"
    if reason is not None:
        log.info("every step runs the frozen prefix: %s", reason)
        return None
    return PrefixCache(prefix, table, batch_rows)


def cache_budget_bytes(budget_gb: str | float, device: torch.device) -> float:
    """Return `trainer.prefix_cache_gb` in bytes; `auto` is `PREFIX_SHARE` of what this process may have on `device`."""
    if budget_gb != "auto":
        return float(budget_gb) * 1e9
    if device.type == "cuda":
        reserved_by_torch = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return PREFIX_SHARE * (torch.cuda.mem_get_info(device)[0] + reserved_by_torch)
    process_share = min(1.0, torch.get_num_threads() / (os.cpu_count() or 1))  # other workers have the other cores
    return PREFIX_SHARE * psutil.virtual_memory().available * process_share
