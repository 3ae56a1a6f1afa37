"""The cells that train together, and all data with a dimension of cells."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from memlaw.adapters.stack import LoraPack
from memlaw.adapters.targets import Target
from memlaw.methods.weighting import Weighting
from memlaw.models.base import BaseModel
from memlaw.training.live_cell import LiveCell
from memlaw.training.prefix import Prefix
from memlaw.training.prefix_cache import PrefixCache, cache_budget_bytes, cache_prefix
from memlaw.training.row_order import RowOrder, row_stream
from memlaw.training.token_table import TokenTable


@dataclass
class LivePack:
    """The cells of one training loop. All its parts have the cells in the same order; only `keep` drops cells.

    Attributes:
        cells: the live cells.
        steps: the optimizer steps of the loop, from the checkpoints' step on.
        adapters: their adapters; on the device of the base model, like all other tensors here.
        table: their rows.
        weighting: their methods.
        order: the order of their rows.
        prefix: the cached prefix of their rows; None: every step runs the whole model.
    """

    cells: list[LiveCell]
    steps: range
    adapters: LoraPack
    table: TokenTable
    weighting: Weighting
    order: RowOrder
    prefix: PrefixCache | None

    @classmethod
    def build(
        cls, cells: Sequence[LiveCell], base: BaseModel, targets: Sequence[Target], prefix_cache_gb: str | float
    ) -> "LivePack":
        """Lay out cells of equal schedules, all with a checkpoint of the same step, or all without one.

        Args:
            cells: the cells.
            base: their base model, without adapters.
            targets: the adapted modules.
            prefix_cache_gb: see `trainer.prefix_cache_gb`.
        """
        device, schedule = base.device, cells[0].schedule
        table = TokenTable.from_memories([live.memory for live in cells]).to(device)
        prefix = _cached_prefix(base, targets, table, schedule.batch_rows, prefix_cache_gb)
        steps = range(cells[0].saved_step(), schedule.total_steps)
        streams = [
            row_stream(len(live.memory.pairs), live.cell.config.seed, live.method.curriculum, schedule.batch_rows)
            for live in cells
        ]
        return cls(
            cells=list(cells),
            steps=steps,
            adapters=LoraPack(targets, [live.spec for live in cells]).to(device),
            table=table,
            weighting=Weighting([live.method for live in cells], max(table.pairs), device),
            order=RowOrder(streams, steps),
            prefix=prefix,
        )

    @property
    def frozen(self) -> Prefix | None:
        """The prefix that is replaced while the pack trains; None without a cache."""
        return self.prefix.prefix if self.prefix else None

    @property
    def row_tokens(self) -> list[int]:
        """Return the length of each cell's longest row."""
        return [live.memory.row_tokens for live in self.cells]

    @contextmanager
    def attached(self, base: BaseModel) -> Iterator[None]:
        """Attach the adapters, and replace the cached prefix of the model, inside the context."""
        with self.frozen.replaced() if self.frozen else nullcontext(), self.adapters.attach(base.model):
            yield

    def keep(self, kept: Sequence[int], optimizer: torch.optim.Optimizer) -> None:
        """Go on with some of the cells, given by index; their numbers do not change."""
        self.cells = [self.cells[n] for n in kept]
        self.adapters.keep(kept, optimizer)
        self.table = self.table.select(kept)
        self.weighting.keep(kept)
        self.order.keep(kept)
        if self.prefix:
            self.prefix.keep(kept)

    def state(self, n: int, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
        """Return the tensors of a checkpoint of cell `n`: its adapter with AdamW's moments, and its method's state."""
        adapter = self.adapters.state(n, optimizer)
        method = self.weighting.state(n, self.table.pairs[n])
        return {
            **{f"adapter.{name}": value for name, value in adapter.items()},
            **{f"method.{name}": value for name, value in method.items()},
        }

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Restore every cell from its checkpoint."""
        for n, live in enumerate(self.cells):
            if live.checkpoint:
                self.adapters.restore(n, live.checkpoint.part("adapter"), live.checkpoint.step, optimizer)
                self.weighting.restore(n, live.checkpoint.part("method"))


def _cached_prefix(
    base: BaseModel, targets: Sequence[Target], table: TokenTable, batch_rows: int, budget_gb: str | float
) -> PrefixCache | None:
    lowest = min(target.layer for target in targets)
    if lowest == 0:
        return None
    prefix = Prefix(base.model, lowest, [target.name for target in targets])
    return cache_prefix(prefix, table, batch_rows, cache_budget_bytes(budget_gb, base.device))
