"""Stacked LoRA adapters: N cells on one module; PEFT checkpoint out.

A cell's adapter adds scale · B A x to a module's output. The adapters of a pack's N cells stand in one
tensor per module, zero-padded to the largest rank; padding gets zero gradient, so it is exact.

Shapes: N cells, B rows of a batch per cell, T positions, R rank, I and O input and output size of a module.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from memlaw.errors import ConfigError
from memlaw.lora_spec import LoraSpec
from memlaw.seeding import stream_seed
from memlaw.targets import Target


class AdapterStack(nn.Module):
    """The adapters of N cells on one module.

    Attributes:
        A_NRI, B_NOR: fp32 parameters, zero beyond each cell's rank. B starts at zero.
        scale_N: each cell's scale.
    """

    scale_N: torch.Tensor

    def __init__(self, target: Target, specs: Sequence[LoraSpec]):
        super().__init__()
        self.target = target
        self.ranks = [spec.rank for spec in specs]
        R = max(self.ranks)
        A_NRI = torch.zeros(len(specs), R, target.in_features)
        for A_RI, spec in zip(A_NRI, specs, strict=True):
            A_RI[: spec.rank] = initial_A(target, spec)
        self.A_NRI = nn.Parameter(A_NRI)
        self.B_NOR = nn.Parameter(torch.zeros(len(specs), target.out_features, R))
        self.register_buffer("scale_N", torch.tensor([spec.scale for spec in specs]), persistent=False)
        self.paused = False

    def delta(self, x: torch.Tensor) -> torch.Tensor:
        """scale · B A x for rows in cell-major order: [N·B, T, I] or [N·B·T, I] → [N, B·T, O]."""
        x_NSI = x.reshape(len(self.ranks), -1, x.shape[-1]).to(self.A_NRI.dtype)
        low_NSR = torch.bmm(x_NSI, self.A_NRI.transpose(1, 2)) * self.scale_N[:, None, None]
        return torch.bmm(low_NSR, self.B_NOR.transpose(1, 2))

    def hook(self, _module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """Forward hook that adds `delta` to the module's output, in fp32, and rounds to the output's dtype once.

        Adds nothing while `paused`.

        Raises:
            ConfigError: the module is not called with one tensor to give one tensor.
        """
        if self.paused:
            return output
        if not args or not isinstance(output, torch.Tensor):
            raise ConfigError(f"lora: {self.target.name} takes or gives more than one tensor; choose other modules")
        return (output + self.delta(args[0]).view(output.shape)).to(output.dtype)

    def cropping(self, kept: torch.Tensor) -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
        """How to crop A- and B-shaped tensors to the kept cells and their largest rank."""
        R = max(self.ranks[index] for index in kept.tolist())
        return lambda A_NRI: A_NRI[kept, :R].clone(), lambda B_NOR: B_NOR[kept, :, :R].clone()


def initial_A(target: Target, spec: LoraSpec) -> torch.Tensor:
    """Initial A [R, I], uniform in ±1/√I as PEFT's default; drawn from the cell's seed and the module's name.

    Rows are drawn in order, so a smaller rank starts as the first rows of a larger one.
    """
    generator = torch.Generator().manual_seed(stream_seed(spec.seed, f"lora A {target.name}"))
    bound = 1 / math.sqrt(target.in_features)
    return (torch.rand(spec.rank, target.in_features, generator=generator) * 2 - 1) * bound


class LoraPack(nn.Module):
    """All adapters of a pack: one `AdapterStack` per adapted module."""

    def __init__(self, targets: Sequence[Target], specs: Sequence[LoraSpec]):
        super().__init__()
        self.specs = list(specs)
        self.stacks = nn.ModuleList(AdapterStack(target, specs) for target in targets)

    def attach(self, model: nn.Module) -> ExitStack:
        """Hook the adapters onto `model`'s modules; closing what is returned takes them off again."""
        attached = ExitStack()
        for stack in self._stacks():
            attached.enter_context(model.get_submodule(stack.target.name).register_forward_hook(stack.hook))
        return attached

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it the attached adapters add nothing."""
        for stack in self._stacks():
            stack.paused = True
        try:
            yield
        finally:
            for stack in self._stacks():
                stack.paused = False

    @torch.no_grad()
    def selected(self, cells: Sequence[int | None]) -> "LoraPack":
        """A copy of some of the cells, given by place; None is one that adds nothing."""
        blank = self.specs[0]
        chosen = LoraPack(
            [stack.target for stack in self._stacks()], [blank if n is None else self.specs[n] for n in cells]
        )
        for own, stack in zip(chosen._stacks(), self._stacks(), strict=True):
            own.to(stack.A_NRI.device)
            for place, n in enumerate(cells):
                if n is not None:  # B is zero at first, so that the others add nothing
                    rank = stack.ranks[n]
                    own.A_NRI[place, :rank] = stack.A_NRI[n, :rank]
                    own.B_NOR[place, :, :rank] = stack.B_NOR[n, :, :rank]
        return chosen

    def _stacks(self) -> list[AdapterStack]:
        return [stack for stack in self.stacks if isinstance(stack, AdapterStack)]

    def trainable_parameters(self, cell: int) -> int:
        """Adapter parameters of one cell, padding not counted."""
        rank = self.specs[cell].rank
        return sum(rank * (stack.target.in_features + stack.target.out_features) for stack in self._stacks())

    @torch.no_grad()
    def keep(self, kept: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Drop all other cells, from the parameters and from the optimizer's state."""
        for stack in self._stacks():
            crop_A, crop_B = stack.cropping(kept)
            for parameter, crop in ((stack.A_NRI, crop_A), (stack.B_NOR, crop_B)):
                state = optimizer.state[parameter]
                for name, value in state.items():
                    if value.shape == parameter.shape:
                        state[name] = crop(value)
                parameter.grad = None
                parameter.data = crop(parameter.data)
            stack.scale_N = stack.scale_N[kept]
            stack.ranks = [stack.ranks[index] for index in kept.tolist()]
        self.specs = [self.specs[index] for index in kept.tolist()]

    def state(self, cell: int, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
        """One cell's A [R, I], B [O, R] and their AdamW moments, without padding; before the first step no moments."""
        rank, tensors = self.specs[cell].rank, {}
        for stack in self._stacks():
            for name, parameter in (("A", stack.A_NRI), ("B", stack.B_NOR)):
                values = {"weight": parameter, **optimizer.state[parameter]}
                for kind, value in values.items():
                    if value.shape == parameter.shape:
                        own = value[cell].detach()
                        tensors[f"{stack.target.name}.{name}.{kind}"] = own[:rank] if name == "A" else own[:, :rank]
        return tensors

    @torch.no_grad()
    def restore(self, cell: int, tensors: dict[str, torch.Tensor], step: int, optimizer: torch.optim.Optimizer) -> None:
        """Put back one cell's `state` after `step` optimizer steps, which all cells of the pack must have taken."""
        rank = self.specs[cell].rank
        for stack in self._stacks():
            for name, parameter in (("A", stack.A_NRI), ("B", stack.B_NOR)):
                state = optimizer.state[parameter]
                if not state:
                    taken = torch.tensor(float(step), device=parameter.device)
                    zero = torch.zeros_like(parameter)
                    state.update(step=taken, exp_avg=zero, exp_avg_sq=zero.clone())
                for kind, value in {"weight": parameter, **state}.items():
                    if value.shape == parameter.shape:
                        own = value[cell, :rank] if name == "A" else value[cell, :, :rank]
                        own.copy_(tensors[f"{stack.target.name}.{name}.{kind}"])

    def weights(self, cell: int) -> dict[str, torch.Tensor]:
        """One cell's A [R, I] and B [O, R] by PEFT's names, on the CPU, without padding."""
        rank = self.specs[cell].rank
        tensors = {}
        for stack in self._stacks():
            name = f"base_model.model.{stack.target.name}"
            tensors[f"{name}.lora_A.weight"] = stack.A_NRI[cell, :rank].detach().cpu().contiguous()
            tensors[f"{name}.lora_B.weight"] = stack.B_NOR[cell, :, :rank].detach().cpu().contiguous()
        return tensors

    def export(self, cell: int, directory: Path) -> None:
        """Write one cell's adapter as a checkpoint in PEFT's format.

        With linear placement `PeftModel.from_pretrained` loads it. PEFT has no block placement: there the
        files have the same form, and the modules that the config names are blocks.
        """
        directory.mkdir(parents=True)
        save_file(self.weights(cell), directory / "adapter_model.safetensors", metadata={"format": "pt"})
        config = self.specs[cell].peft_config([stack.target.name for stack in self._stacks()], None)
        config.inference_mode = True
        config.save_pretrained(str(directory))
