"""Stacked LoRA adapters: N cells on one module; PEFT config in, PEFT checkpoint out.

A cell's adapter adds scale · B A x to a module's output. The adapters of a pack's N cells stand in one
tensor per module, zero-padded to the largest rank; padding gets zero gradient, so it is exact.

Shapes: N cells, B rows of a batch per cell, T positions, R rank, I and O input and output size of a module.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig

from memlaw.errors import ConfigError
from memlaw.prefix import layers_path
from memlaw.seeding import stream_seed

SCALINGS: dict[str, Callable[[float, int], float]] = {
    "constant": lambda lora_alpha, rank: lora_alpha,
    "rslora": lambda lora_alpha, rank: lora_alpha / math.sqrt(rank),
    "classic": lambda lora_alpha, rank: lora_alpha / rank,
}
"""Scale policies: `lora.scaling` → scale from `lora_alpha` and rank."""

PLACEMENTS = ("linear", "block")


@dataclass(frozen=True)
class LoraSpec:
    """One cell's `lora` config, checked.

    Attributes:
        rank: R, at least 1.
        target_modules: names or regex as PEFT takes them; the MLP blocks' names for block placement.
        layers: layer indices, negative from the end, or fractions of depth in (0, 1); None is every layer.
        placement: `linear` adapts linear maps as PEFT does; `block` adds scale · (x A) B to the output of
            whole blocks, hidden → hidden, as the paper does.
        scaling: a policy of `SCALINGS`.
        lora_alpha: numerator of the scale.
        seed: the cell's, for the initial weights.
    """

    rank: int
    target_modules: str | tuple[str, ...]
    layers: tuple[int | float, ...] | None
    placement: str
    scaling: str
    lora_alpha: float
    seed: int

    @classmethod
    def from_config(cls, lora: Any, seed: int) -> "LoraSpec":
        """Check `conf/lora` values. Raises ConfigError naming the key and what is allowed."""
        if not isinstance(lora.rank, int) or lora.rank < 1:
            raise ConfigError(f"lora.rank={lora.rank} is not an integer of at least 1")
        if lora.scaling not in SCALINGS:
            raise ConfigError(f"lora.scaling={lora.scaling} is not one of {', '.join(SCALINGS)}")
        if lora.placement not in PLACEMENTS:
            raise ConfigError(f"lora.placement={lora.placement} is not one of {', '.join(PLACEMENTS)}")
        names = lora.block_modules if lora.placement == "block" else lora.target_modules
        layers = lora.layers
        if layers is not None:
            layers = (layers,) if isinstance(layers, int | float) else tuple(layers)
        return cls(
            lora.rank,
            names if isinstance(names, str) else tuple(names),
            layers,
            lora.placement,
            lora.scaling,
            float(lora.lora_alpha),
            seed,
        )

    @property
    def scale(self) -> float:
        """The factor on B A x."""
        return SCALINGS[self.scaling](self.lora_alpha, self.rank)

    def peft_config(self, target_modules: str | Sequence[str], layers: list[int] | None) -> LoraConfig:
        """The PEFT config that gives the same adapter; raises PEFT's ValueError where PEFT refuses."""
        lora_alpha = self.lora_alpha * self.rank if self.scaling == "constant" else self.lora_alpha
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=cast(int, lora_alpha),  # PEFT takes any number
            use_rslora=self.scaling == "rslora",
            lora_dropout=0.0,
            bias="none",
            target_modules=target_modules if isinstance(target_modules, str) else list(target_modules),
            layers_to_transform=layers,
        )


@dataclass(frozen=True)
class Target:
    """A module to adapt: its dotted name, its sizes and the decoder layer that holds it."""

    name: str
    in_features: int
    out_features: int
    layer: int


def layer_indices(layers: Sequence[int | float] | None, depth: int) -> list[int] | None:
    """Layer indices from indices (negative from the end) and fractions of depth, ascending and distinct.

    Raises:
        ConfigError: an index outside the model, or a fraction outside (0, 1).
    """
    if layers is None:
        return None
    found = set()
    for layer in layers:
        if isinstance(layer, float) and 0 < layer < 1:
            found.add(int(layer * depth))
        elif isinstance(layer, int) and -depth <= layer < depth:
            found.add(layer % depth)
        else:
            raise ConfigError(
                f"lora.layers: {layer} is neither an index from {-depth} to {depth - 1} "
                "nor a fraction of depth between 0 and 1"
            )
    return sorted(found)


def resolve_targets(config: PreTrainedConfig, spec: LoraSpec) -> list[Target]:
    """The modules that `spec` adapts, by PEFT's own rules, found on a model without weights.

    Raises:
        ConfigError: nothing matches (lists what the model has), or a match lies outside the decoder layers.
    """
    layers = layer_indices(spec.layers, config.get_text_config().num_hidden_layers)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    stack = layers_path(model, config)
    find = _find_blocks if spec.placement == "block" else _find_linear
    found = find(model, spec, layers, config)
    targets = []
    for name, in_features, out_features in found:
        inside, _, rest = name.partition(f"{stack}.")
        if stack is None or inside or not rest:
            raise ConfigError(f"lora.target_modules matches {name}, which is not in the decoder's layers")
        targets.append(Target(name, in_features, out_features, int(rest.split(".")[0])))
    return targets


def _find_linear(
    model: nn.Module, spec: LoraSpec, layers: list[int] | None, _: PreTrainedConfig
) -> list[tuple[str, int, int]]:
    available = _module_names(model)
    try:
        inject_adapter_in_model(spec.peft_config(spec.target_modules, layers), model)
    except ValueError as error:
        raise ConfigError(
            f"lora.target_modules={_listed(spec.target_modules)} with lora.layers={layers}: {error}\n"
            f"The model has: {available}. A regex or all-linear needs lora.layers=null."
        ) from error
    return [
        (name, cast(int, module.in_features), cast(int, module.out_features))
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    ]


def _find_blocks(
    model: nn.Module, spec: LoraSpec, layers: list[int] | None, config: PreTrainedConfig
) -> list[tuple[str, int, int]]:
    try:
        rules = spec.peft_config(spec.target_modules, layers)
    except ValueError as error:
        raise ConfigError(f"lora.block_modules={_listed(spec.target_modules)}: {error}") from error
    hidden = config.get_text_config().hidden_size
    found = [(name, hidden, hidden) for name, _ in model.named_modules() if check_target_module_exists(rules, name)]
    if not found:
        raise ConfigError(
            f"lora.block_modules={_listed(spec.target_modules)} with lora.layers={layers} matches nothing. "
            f"The model has: {_module_names(model)}"
        )
    return found


def _listed(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else f"[{','.join(names)}]"


def _module_names(model: nn.Module) -> str:
    """The distinct names of modules, with layer numbers left out."""
    names = (".".join(part for part in name.split(".") if not part.isdigit()) for name, _ in model.named_modules())
    return ", ".join(dict.fromkeys(name for name in names if name))


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

    def delta(self, x: torch.Tensor) -> torch.Tensor:
        """scale · B A x for rows in cell-major order: [N·B, T, I] or [N·B·T, I] → [N, B·T, O]."""
        x_NSI = x.reshape(len(self.ranks), -1, x.shape[-1]).to(self.A_NRI.dtype)
        low_NSR = torch.bmm(x_NSI, self.A_NRI.transpose(1, 2)) * self.scale_N[:, None, None]
        return torch.bmm(low_NSR, self.B_NOR.transpose(1, 2))

    def hook(self, _module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """Forward hook that adds `delta` to the module's output, in the output's dtype."""
        return output + self.delta(args[0]).view(output.shape).to(output.dtype)

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
