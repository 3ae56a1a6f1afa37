"""The memories of a pack as rectangular tensors of token ids.

Shapes: N cells, P pairs of a cell, T token positions of a row, L target tokens of a row, B rows of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from memlaw.data.memory import Memory


@dataclass(frozen=True)
class TokenTable:
    """All rows of all cells of a pack, padded on the right.

    Right padding needs no attention mask: in a causal model no scored position attends to it.

    Attributes:
        pairs: number of rows of each cell; the others of the P rows are padding.
        input_ids_NPT: query, target, padding.
        position_NPL: position in the row of each target token.
        valid_NPL: False for padding.
    """

    pairs: tuple[int, ...]
    input_ids_NPT: torch.Tensor
    position_NPL: torch.Tensor
    valid_NPL: torch.Tensor

    @classmethod
    def from_memories(cls, memories: Sequence[Memory]) -> "TokenTable":
        """Lay out the memories of a pack's cells, on the CPU."""
        N, P = len(memories), max(len(memory.pairs) for memory in memories)
        L = max(len(pair.target_ids) for memory in memories for pair in memory.pairs)
        T = max(memory.row_tokens for memory in memories)
        input_ids = np.zeros((N, P, T), dtype=np.int64)
        position = np.ones((N, P, L), dtype=np.int64)
        valid = np.zeros((N, P, L), dtype=bool)
        for n, memory in enumerate(memories):
            for p, pair in enumerate(memory.pairs):
                start, length = len(pair.query_ids), len(pair.target_ids)
                input_ids[n, p, : start + length] = pair.query_ids + pair.target_ids
                position[n, p, :length] = np.arange(start, start + length)
                valid[n, p, :length] = True
        tensors = (torch.from_numpy(array) for array in (input_ids, position, valid))
        return cls(tuple(len(memory.pairs) for memory in memories), *tensors)

    @property
    def row_tokens(self) -> int:
        """T, the length of the rows."""
        return self.input_ids_NPT.shape[2]

    def to(self, device: torch.device) -> "TokenTable":
        """Copy the table to `device`."""
        tensors = (self.input_ids_NPT, self.position_NPL, self.valid_NPL)
        return TokenTable(self.pairs, *(tensor.to(device) for tensor in tensors))

    def all_rows(self) -> torch.Tensor:
        """Number the rows of every cell, [N, P], on the table's device."""
        N, P, _ = self.input_ids_NPT.shape
        return torch.arange(P, device=self.input_ids_NPT.device).expand(N, P)

    def targets(self, rows_NB: torch.Tensor) -> torch.Tensor:
        """Look up the target tokens [N, B, L] of the given rows; arbitrary for padding and for a row of -1."""
        cell_N1, row_NB = torch.arange(len(rows_NB), device=rows_NB.device)[:, None], rows_NB.clamp(min=0)
        return self.input_ids_NPT[cell_N1, row_NB].gather(2, self.position_NPL[cell_N1, row_NB])

    def select(self, cells: Sequence[int]) -> "TokenTable":
        """Copy the rows of some of the cells, given by index."""
        index = list(cells)
        tensors = (self.input_ids_NPT, self.position_NPL, self.valid_NPL)
        return TokenTable(tuple(self.pairs[n] for n in index), *(tensor[index] for tensor in tensors))
