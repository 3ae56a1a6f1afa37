"""Make the objects that a cell's config names, and the base model that cells share. Load no weights.

A base model's configuration is read once per process, and its modules are built once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transformers import PreTrainedConfig, PreTrainedModel

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.targets import Target, resolve_targets
from memlaw.config.instantiation import instantiate_checked
from memlaw.data.memory import DataSource
from memlaw.methods.memft import Method
from memlaw.methods.schedule import schedule_of
from memlaw.models.anatomy import layers_path
from memlaw.models.base import without_weights
from memlaw.models.sources import ModelSource
from memlaw.planning.model_shape import ModelShape
from memlaw.planning.timetable import Timetable
from memlaw.study.cell import Cell


@dataclass(frozen=True, eq=False)
class ResolvedModel:
    """A base model before its weights are loaded.

    Attributes:
        source: loads it.
        config: its architecture and sizes.
        skeleton: its modules, whose weights take no RAM. They are shared and must not be changed.
    """

    source: ModelSource
    config: PreTrainedConfig
    skeleton: PreTrainedModel

    @cached_property
    def depth(self) -> int | None:
        """Return the number of decoder layers; None for a model without a list of layers."""
        path = layers_path(self.skeleton)
        return None if path is None else len(self.skeleton.get_submodule(path))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class AdaptedModel:
    """A base model and its adapted modules. Cells that differ in rank and seed alone share it.

    Attributes:
        model: the base model.
        spec: the adapter of these cells, with rank 1 and seed 0.
        targets: the adapted modules.
    """

    model: ResolvedModel
    spec: LoraSpec
    targets: Sequence[Target]

    @cached_property
    def shape(self) -> ModelShape:
        """Return the sizes on which RAM and work depend."""
        return ModelShape.of(self.model.skeleton, self.targets)


@dataclass(frozen=True)
class ResolvedCell:
    """A cell and the objects that its config names.

    Attributes:
        cell: the cell.
        spec: its adapter.
        method: its training method, before the number of pairs is known.
        data: the source of its memory.
    """

    cell: Cell
    spec: LoraSpec
    method: Method
    data: DataSource

    @cached_property
    def adapted(self) -> AdaptedModel:
        """Return the base model with the modules that the cell adapts. Cells that share both share the object.

        Raises:
            ConfigError: the model's configuration cannot be read, or no module matches.
        """
        return _adapt(resolve_model(self.cell.config.model), replace(self.spec, rank=1, seed=0))

    @cached_property
    def expected_shape(self) -> tuple[int, int]:
        """Estimate the number of pairs in the memory, and the tokens of each (query and target)."""
        return self.data.expected_shape(self.cell.config.seq_len)

    @cached_property
    def timetable(self) -> Timetable:
        """Make the timetable for the expected number of pairs, with its number of optimizer steps.

        Raises:
            ConfigError: training ends before the method's curriculum includes all pairs.
        """
        c, (pairs, _) = self.cell.config, self.expected_shape
        method = self.method.on(pairs)
        return Timetable.of(schedule_of(c, pairs, method.curriculum), c, pairs=pairs, methods=[method])


def resolve(cell: Cell) -> ResolvedCell:
    """Make the objects that the cell's config names. The base model is read when `adapted` is first used.

    Raises:
        ConfigError: naming the key of a value that is impossible.
    """
    c = cell.config
    method: Method = instantiate_checked(c.method)
    return ResolvedCell(cell, LoraSpec.from_config(c.lora, c.seed), method, instantiate_checked(c.data))


def resolve_model(model: DictConfig) -> ResolvedModel:
    """Find the base model that values of `conf/model` name, once per process and without loading weights.

    Raises:
        ConfigError: its configuration cannot be read, or makes no causal language model.
    """
    return _resolve_model(json.dumps(OmegaConf.to_container(model, resolve=True)))


@cache
def _resolve_model(model: str) -> ResolvedModel:
    section: Any = OmegaConf.create({"model": json.loads(model)})  # a node below `model`, so that errors name this key
    source: ModelSource = instantiate_checked(section.model)
    config = source.config()
    return ResolvedModel(source, config, without_weights(config))


@cache
def _adapt(model: ResolvedModel, spec: LoraSpec) -> AdaptedModel:
    return AdaptedModel(model, spec, resolve_targets(model.skeleton, spec))
