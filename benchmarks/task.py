"""What every arm of the benchmark is given, and what it must hand back.

An arm is a process: `python <arm>.py OUT JSON`, where the JSON says which cells it trains (`Task`s), and OUT is
the file that it appends one line per cell to (`Record`). Token ids, initial adapters, optimizer, clipping,
schedule and steps are memlaw's own, so that all arms do the same work.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.targets import Target, resolve_targets
from memlaw.config.compose import compose_config
from memlaw.data.memory import Pair
from memlaw.models.base import BaseModel
from memlaw.models.devices import resolve_device, resolve_precision
from memlaw.planning.cells import compose_cell
from memlaw.study.cell import Cell


def process_seconds() -> float:
    """Seconds since this process was started, its imports included."""
    return time.time() - psutil.Process().create_time()


@dataclass(frozen=True)
class Task:
    """One cell: overrides of the config, and how many steps to train it."""

    rank: int
    seq_len: int
    steps: int
    overrides: tuple[str, ...] = ()

    def config(self, *more: str) -> DictConfig:
        """The composed config, without early stop."""
        own = [f"lora.rank={self.rank}", f"seq_len={self.seq_len}", f"steps={self.steps}", "stop.when_recalled=false"]
        return compose_config([*own, *self.overrides, *more])


@dataclass
class Record:
    """What an arm hands back of one cell.

    Attributes:
        step_seconds: mean time of a step after the first.
        first_step_seconds: time of the first step.
        first_loss: mean loss of the first step, nats.
        p: probability of each target token after the last step.
        setup_seconds: named parts of the time before the first step.
    """

    arm: str
    rank: int
    seq_len: int
    steps: int
    step_seconds: float
    first_step_seconds: float
    first_loss: float
    p: list[float]
    setup_seconds: dict[str, float] = field(default_factory=dict)
    dtype: str = ""


@dataclass
class Problem:
    """A task made concrete."""

    task: Task
    config: DictConfig
    cell: Cell
    base: BaseModel
    pair: Pair
    spec: LoraSpec
    targets: list[Target]

    @property
    def input_ids(self) -> torch.Tensor:
        """Query and target [1, T]."""
        return torch.tensor([self.pair.query_ids + self.pair.target_ids], device=self.base.device)

    @property
    def labels(self) -> torch.Tensor:
        """`input_ids` with -100 on the query."""
        labels = self.input_ids.clone()
        labels[:, : len(self.pair.query_ids)] = -100
        return labels


def load(task: Task) -> BaseModel:
    """The task's base model, on the device and in the precision that its config asks for."""
    cfg = task.config()
    device = resolve_device(cfg.trainer.device)
    return instantiate(cfg.model, _convert_="all").load(resolve_precision(cfg.precision, device), device)


def problem(task: Task, base: BaseModel) -> Problem:
    """Token ids and adapter of a task."""
    cfg = task.config()
    cell = compose_cell(cfg)
    memory = instantiate(cfg.data, _convert_="all").build(base.tokenizer, cfg.seq_len, cfg.seed)
    spec = LoraSpec.from_config(cfg.lora, cfg.seed)
    (pair,) = memory.pairs
    return Problem(task, cfg, cell, base, pair, spec, resolve_targets(base.model, spec))


def now(device: torch.device) -> float:
    """Seconds, once the device has caught up."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """Times the steps of a loop: the first by itself, the rest together; what follows the last does not count."""

    def __init__(self, device: torch.device, steps: int):
        self.device = device
        self.steps = steps
        self.start = now(device)
        self.count = 0
        self.first = self.last = 0.0

    def step(self) -> None:
        """A step has ended. Waits for the device after the first and the last alone."""
        self.count += 1
        if self.count == 1:
            self.first = now(self.device) - self.start
        if self.count == self.steps:
            self.last = now(self.device) - self.start

    def result(self) -> dict[str, float]:
        """Times as a `Record` takes them."""
        assert self.count == self.steps
        step = (self.last - self.first) / max(1, self.steps - 1)
        return {"step_seconds": step, "first_step_seconds": self.first}


def main(run: Callable[[list[Task], dict[str, Any]], list[Record]]) -> None:
    """Entry of an arm."""
    out, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    tasks = [Task(**{**task, "overrides": tuple(task["overrides"])}) for task in given.pop("tasks")]
    records = run(tasks, given)
    with out.open("a", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(asdict(record)) + "\n")
