"""Stacked LoRA adapters: N cells on one module; PEFT checkpoint out.

A cell's adapter adds scale · B A x to a module's output. The adapters of a pack's N cells are stacked in one tensor
per module, zero-padded to the largest rank. Padding gets zero gradient, so it is exact up to rounding. The cells of a
pack share `lora.dropout` and `lora.dtype`.

Shapes: N cells, B rows of a batch per cell, T positions, R rank, I and O input and output size of a module.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from memlaw.adapters.dropout import Dropout
from memlaw.adapters.initial import INITS
from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.targets import Target
from memlaw.core.errors import ConfigError
from memlaw.core.seeding import stream_seed


class AdapterStack(nn.Module):
    """The adapters of N cells on one module.

    Attributes:
        A_NRI, B_NOR: parameters, zero beyond each cell's rank.
        scale_N: each cell's scale, fp32.
        paused: whether it adds nothing.
        dropout: of the training step whose forward runs; None: no value is dropped.
    """

    scale_N: torch.Tensor

    def __init__(self, target: Target, specs: Sequence[LoraSpec]):
        super().__init__()
        self.target = target
        self.ranks = [spec.rank for spec in specs]
        R, dtype = max(self.ranks), specs[0].dtype
        A_NRI = torch.zeros(len(specs), R, target.in_features, dtype=dtype)
        B_NOR = torch.zeros(len(specs), target.out_features, R, dtype=dtype)
        for A_RI, B_OR, spec in zip(A_NRI, B_NOR, specs, strict=True):
            A_RI[: spec.rank], B_OR[:, : spec.rank] = initial_weights(target, spec)
        self.A_NRI = nn.Parameter(A_NRI)
        self.B_NOR = nn.Parameter(B_NOR)
        self.register_buffer("scale_N", torch.tensor([spec.scale for spec in specs]), persistent=False)
        self.paused = False
        self.dropout: Dropout | None = None

    def delta(self, x: torch.Tensor) -> torch.Tensor:
        """Return scale · B A x for rows in cell-major order: [N·B, T, I] or [N·B·T, I] → [N, B·T, O].

        It computes in the parameters' dtype.
        """
        x_NSI = x.reshape(len(self.ranks), -1, x.shape[-1]).to(self.A_NRI.dtype)
        low_NSR = torch.bmm(x_NSI, self.A_NRI.transpose(1, 2)) * self.scale_N[:, None, None]
        return torch.bmm(low_NSR.to(self.B_NOR.dtype), self.B_NOR.transpose(1, 2))

    def hook(self, _module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """Add `delta`, after dropout, to the module's output; a forward hook.

        It adds in the wider dtype of the two, and rounds to the output's dtype once. It adds nothing while `paused`.

        Raises:
            ConfigError: the module does not map one tensor to one tensor.
        """
        if self.paused:
            return output
        if not args or not isinstance(output, torch.Tensor):
            raise ConfigError(f"lora: {self.target.name} takes or gives more than one tensor; choose other modules")
        delta_NSO = self.delta(args[0])
        if self.dropout:
            delta_NSO = self.dropout(delta_NSO, self.target.name)
        return (output + delta_NSO.view(output.shape)).to(output.dtype)

    @torch.no_grad()
    def keep(self, kept: Sequence[int], optimizer: torch.optim.Optimizer) -> None:
        """Go on with some of the cells, given by index, and the largest rank among them."""
        index = list(kept)
        self.ranks = [self.ranks[n] for n in index]
        R = max(self.ranks, default=0)
        _crop(self.A_NRI, lambda A_NRI: A_NRI[index, :R].clone(), optimizer)
        _crop(self.B_NOR, lambda B_NOR: B_NOR[index, :, :R].clone(), optimizer)
        self.scale_N = self.scale_N[index]


def _crop(
    parameter: nn.Parameter, crop: Callable[[torch.Tensor], torch.Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Crop a parameter and the optimizer state of its shape; drop its gradient."""
    state = optimizer.state[parameter]
    for name, value in state.items():
        if value.shape == parameter.shape:
            state[name] = crop(value)
    parameter.grad = None
    parameter.data = crop(parameter.data)


def initial_weights(target: Target, spec: LoraSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw A [R, I] and B [O, R] by `lora.init`, in fp32, from the cell's seed and the module's name."""
    generator = torch.Generator().manual_seed(stream_seed(spec.seed, f"lora A {target.name}"))
    return INITS[spec.init](spec.rank, target.in_features, target.out_features, generator)


class LoraPack(nn.Module):
    """All adapters of a pack: one `AdapterStack` per adapted module."""

    def __init__(self, targets: Sequence[Target], specs: Sequence[LoraSpec]):
        super().__init__()
        self.specs = list(specs)
        self.stacks = nn.ModuleList(AdapterStack(target, specs) for target in targets)

    def attach(self, model: nn.Module) -> ExitStack:
        """Hook the adapters onto the modules of `model`; closing the returned stack removes them."""
        attached = ExitStack()
        for stack in self._stacks():
            attached.enter_context(model.get_submodule(stack.target.name).register_forward_hook(stack.hook))
        return attached

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the attached adapters add nothing inside the context."""
        for stack in self._stacks():
            stack.paused = True
        try:
            yield
        finally:
            for stack in self._stacks():
                stack.paused = False

    @contextmanager
    def dropping(self, step: int, rows: int, row_tokens: Sequence[int]) -> Iterator[None]:
        """Drop a share of the adapters' outputs inside the context, as a training step with `lora.dropout` does.

        Args:
            step: optimizer steps before this one.
            rows: rows of a cell in the forward.
            row_tokens: positions of each cell's longest row.
        """
        share = self.specs[0].dropout
        dropout = Dropout(share, [spec.seed for spec in self.specs], row_tokens, rows, step) if share else None
        for stack in self._stacks():
            stack.dropout = dropout
        try:
            yield
        finally:
            for stack in self._stacks():
                stack.dropout = None

    @torch.no_grad()
    def selected(self, cells: Sequence[int | None]) -> "LoraPack":
        """Copy some of the cells, given by index; None is a cell that adds nothing."""
        blank = self.specs[0]
        chosen = LoraPack(
            [stack.target for stack in self._stacks()], [blank if n is None else self.specs[n] for n in cells]
        )
        for copy, stack in zip(chosen._stacks(), self._stacks(), strict=True):
            copy.to(stack.A_NRI.device)
            copy.B_NOR.zero_()
            for new, n in enumerate(cells):
                if n is not None:  # the others keep a B of zero, and add nothing
                    rank = stack.ranks[n]
                    copy.A_NRI[new, :rank] = stack.A_NRI[n, :rank]
                    copy.B_NOR[new, :, :rank] = stack.B_NOR[n, :, :rank]
        return chosen

    def _stacks(self) -> list[AdapterStack]:
        return [stack for stack in self.stacks if isinstance(stack, AdapterStack)]

    def trainable_parameters(self, n: int) -> int:
        """Count the adapter parameters of cell `n`, without padding."""
        rank = self.specs[n].rank
        return sum(rank * (stack.target.in_features + stack.target.out_features) for stack in self._stacks())

    def keep(self, kept: Sequence[int], optimizer: torch.optim.Optimizer) -> None:
        """Go on with some of the cells, given by index, in the parameters and in the optimizer's state."""
        for stack in self._stacks():
            stack.keep(kept, optimizer)
        self.specs = [self.specs[n] for n in kept]

    def state(self, n: int, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
        """Return A [R, I] and B [O, R] of cell `n`, and their AdamW moments after the first step; without padding."""
        rank, tensors = self.specs[n].rank, {}
        for stack in self._stacks():
            for name, parameter in (("A", stack.A_NRI), ("B", stack.B_NOR)):
                values = {"weight": parameter, **optimizer.state[parameter]}
                for kind, value in values.items():
                    if value.shape == parameter.shape:
                        padded = value[n].detach()
                        unpadded = padded[:rank] if name == "A" else padded[:, :rank]
                        tensors[f"{stack.target.name}.{name}.{kind}"] = unpadded
        return tensors

    @torch.no_grad()
    def restore(self, n: int, tensors: dict[str, torch.Tensor], step: int, optimizer: torch.optim.Optimizer) -> None:
        """Put back the `state` of cell `n` after `step` optimizer steps; all cells must have taken as many."""
        rank = self.specs[n].rank
        for stack in self._stacks():
            for name, parameter in (("A", stack.A_NRI), ("B", stack.B_NOR)):
                state = optimizer.state[parameter]
                if not state:
                    taken = torch.tensor(float(step), device=parameter.device)
                    zero = torch.zeros_like(parameter)
                    state.update(step=taken, exp_avg=zero, exp_avg_sq=zero.clone())
                for kind, value in {"weight": parameter, **state}.items():
                    if value.shape == parameter.shape:
                        unpadded = value[n, :rank] if name == "A" else value[n, :, :rank]
                        unpadded.copy_(tensors[f"{stack.target.name}.{name}.{kind}"])

    def peft_tensors(self, n: int) -> dict[str, torch.Tensor]:
        """Return A [R, I] and B [O, R] of cell `n` by PEFT's names, on the CPU, without padding."""
        rank = self.specs[n].rank
        tensors = {}
        for stack in self._stacks():
            name = f"base_model.model.{stack.target.name}"
            tensors[f"{name}.lora_A.weight"] = stack.A_NRI[n, :rank].detach().cpu().contiguous()
            tensors[f"{name}.lora_B.weight"] = stack.B_NOR[n, :, :rank].detach().cpu().contiguous()
        return tensors

    def export(self, n: int, directory: Path) -> None:
        """Write the adapter of cell `n` as a checkpoint in PEFT's format.

        With linear placement `PeftModel.from_pretrained` loads it. PEFT has no block placement: the files then have
        the same form, and the config names blocks. Tensors keep their dtype.
        """
        directory.mkdir(parents=True)
        save_file(self.peft_tensors(n), directory / "adapter_model.safetensors", metadata={"format": "pt"})
        config = self.specs[n].peft_config([stack.target.name for stack in self._stacks()], None)
        config.inference_mode = True
        config.save_pretrained(str(directory))
