"""Measures the rank of the inputs of adapted modules, and from it the adapter's effective parameters.

Shapes: R distinct rows of tokens, B rows of a batch, T positions of a row, S inputs, I input size of a module.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import nn

from memlaw.adapters.degrees_of_freedom import degrees_of_freedom
from memlaw.adapters.targets import Target
from memlaw.models.anatomy import decoder_of
from memlaw.models.base import BaseModel
from memlaw.training.token_table import TokenTable

TOLERANCE = 1e-6
"""A direction counts if inputs, scaled to length 1, have a component along it whose root mean square is larger.

Along the others a gradient is within its rounding in single precision. The Gram matrix, in double precision, resolves
components down to 1e-7. Measured inputs of real models have none between 1e-7 and 3e-5.
"""

_CHUNK = 1024
"""Inputs that are converted to double precision at a time."""

_SAMPLE_TOKENS = 16
"""Tokens of the row that shows which inputs can change."""


class InputRank(NamedTuple):
    """The rank of a module's inputs.

    Attributes:
        rank: the rank, or an upper bound of it.
        measured: whether it is the rank of inputs that do not change while the adapter trains; otherwise the bound
            min(number of inputs, input size).
    """

    rank: int
    measured: bool


def effective_parameters(rank: int, targets: Sequence[Target], inputs: Sequence[InputRank]) -> dict[str, int | None]:
    """Return the columns `input_rank` and `effective_parameters` of `memlaw.study.records.RESULT_COLUMNS`.

    Args:
        rank: of the adapter.
        targets: the adapted modules.
        inputs: `input_ranks` of these modules.
    """
    counts = [
        degrees_of_freedom(rank, target.out_features, of_target.rank)
        for target, of_target in zip(targets, inputs, strict=True)
    ]
    alone = inputs[0].rank if len(inputs) == 1 and inputs[0].measured else None
    return {"input_rank": alone, "effective_parameters": sum(counts)}


@torch.no_grad()
def input_ranks(base: BaseModel, targets: Sequence[Target], table: TokenTable, batch_rows: int) -> list[InputRank]:
    """Measure the rank of the inputs of each adapted module over all rows of a table. This runs the decoder once.

    Counted are the inputs at all positions before a row's last scored token, its query included: in a causal model no
    other can act on a scored token. In the last layer some of these do not act either. Positions after equal tokens
    have equal inputs and count once. Inputs count with the values that they have in the base model's dtype; a value
    that is not finite counts as 0.

    Args:
        base: the base model, without adapters.
        targets: the adapted modules.
        table: the rows, on the device of the base model.
        batch_rows: rows in one forward.
    """
    rows_RT, counted_RT = _counted(table)
    total = int(counted_RT.sum())
    unchanging = _unchanging(base, targets, rows_RT[:1, :_SAMPLE_TOKENS])
    spans = {target.name: _Span(total, target.in_features) for target in targets if target.name in unchanging}
    with ExitStack() as hooks:
        counted_BT = counted_RT[:0]

        def add(span: _Span, args: tuple[torch.Tensor, ...]) -> None:
            x, counted = args[0], counted_BT
            span.add(x[counted] if x.shape[:2] == counted.shape else x.flatten(0, -2))  # experts see some tokens only

        for name, span in spans.items():
            module = base.model.get_submodule(name)
            hook = module.register_forward_pre_hook(lambda _module, args, span=span: add(span, args))
            hooks.callback(hook.remove)
        for start in range(0, len(rows_RT) if spans else 0, batch_rows):
            counted_BT = counted_RT[start : start + batch_rows]
            _decode(base, rows_RT[start : start + batch_rows])
    return [
        InputRank(spans[target.name].rank(), True)
        if target.name in spans
        else InputRank(min(total, target.in_features), False)
        for target in targets
    ]


def _counted(table: TokenTable) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distinct rows [R, T] of a table, and where their inputs count: before the last scored token, once."""
    last = table.position_NPL.where(table.valid_NPL, 0).amax(2).flatten()
    rows_RT, inverse = torch.unique(table.input_ids_NPT.flatten(0, 1), dim=0, return_inverse=True)
    last_R = last.new_zeros(len(rows_RT)).scatter_reduce(0, inverse, last, "amax")
    # Rows are in lexicographic order, so a row has no longer beginning in common with any row than with the one before.
    shared_R = (rows_RT[1:] == rows_RT[:-1]).long().cumprod(1).sum(1).minimum(last_R[:-1])
    first_R = torch.cat([shared_R.new_zeros(1), shared_R])
    position_T = torch.arange(rows_RT.shape[1], device=rows_RT.device)
    counted_RT = (position_T >= first_R[:, None]) & (position_T < last_R[:, None])
    return rows_RT[counted_RT.any(1)], counted_RT[counted_RT.any(1)]


def _unchanging(base: BaseModel, targets: Sequence[Target], input_ids_1T: torch.Tensor) -> set[str]:
    """Return the names of the adapted modules whose inputs do not depend on what any adapter adds; run one row."""
    reached: set[str] = set()
    changing: set[str] = set()

    def watch(name: str, args: tuple[Any, ...], output: Any) -> Any:
        if not args or not isinstance(args[0], torch.Tensor) or not isinstance(output, torch.Tensor):
            return output  # an adapter refuses such a module
        reached.add(name)
        if args[0].requires_grad:
            changing.add(name)
        return output + torch.zeros((), dtype=output.dtype, device=output.device, requires_grad=True)

    with ExitStack() as hooks, torch.enable_grad():
        for target in targets:
            module: nn.Module = base.model.get_submodule(target.name)
            hook = module.register_forward_hook(
                lambda _module, args, output, name=target.name: watch(name, args, output)
            )
            hooks.callback(hook.remove)
        _decode(base, input_ids_1T)
    return reached - changing


def _decode(base: BaseModel, input_ids_BT: torch.Tensor) -> None:
    decoder_of(base.model)(input_ids=input_ids_BT, use_cache=False)


class _Span:
    """The span of a module's inputs, from their Gram matrix in double precision.

    Args:
        inputs: S, as many as will be added.
        features: I.
    """

    def __init__(self, inputs: int, features: int):
        self._few = inputs <= features
        self._units: list[torch.Tensor] = []  # scaled inputs, while they are fewer than their size
        self._gram: torch.Tensor | None = None  # their [I, I] Gram matrix otherwise

    def add(self, x_SI: torch.Tensor) -> None:
        """Add inputs."""
        for chunk_SI in x_SI.split(_CHUNK):
            exact_SI = torch.nan_to_num(chunk_SI.double(), 0.0, 0.0, 0.0)
            unit_SI = nn.functional.normalize(exact_SI, dim=1, eps=torch.finfo(torch.float64).tiny)
            if self._few:
                self._units.append(unit_SI)
            elif self._gram is None:
                self._gram = unit_SI.T @ unit_SI
            else:
                self._gram.addmm_(unit_SI.T, unit_SI)

    def rank(self) -> int:
        """Count the directions above `TOLERANCE`."""
        if self._few:
            unit_SI = torch.cat(self._units)
            self._gram = unit_SI @ unit_SI.T
        assert self._gram is not None
        least = TOLERANCE**2 * self._gram.trace()
        shifted = self._gram - least * torch.eye(len(self._gram), dtype=torch.float64, device=self._gram.device)
        if torch.linalg.cholesky_ex(shifted).info == 0:  # every direction counts; far cheaper than eigenvalues
            return len(self._gram)
        return int((torch.linalg.eigvalsh(self._gram) > least).sum())
