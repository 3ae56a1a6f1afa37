"""memlaw's own parts added one by one, in one warm process, for the cells given.

`raw`: a hand-written loop with memlaw's adapter on the whole model and logits of all positions. `prefix`: the
frozen prefix cached. `head`: logits of target positions only, in chunks.
`lightning`: as `head`, through `train_pack`, as the real command runs it.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from task import Problem, Record, Stopwatch, Task, load, main, now, problem, process_seconds

from memlaw.adapters.stack import LoraPack
from memlaw.config.keys import TRAINING_SETTINGS
from memlaw.data.memory import Memory
from memlaw.methods.memft import Plain
from memlaw.methods.weighting import Weighting
from memlaw.planning.cells import compose_cell
from memlaw.study.records import read_tokens
from memlaw.training import pack as pack_module
from memlaw.training.live_pack import LivePack
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack
from memlaw.training.pack_loop import PackLoop
from memlaw.training.prefix import Prefix
from memlaw.training.prefix_cache import PrefixCache, cache_prefix
from memlaw.training.row_order import RowOrder
from memlaw.training.token_table import TokenTable


def losses(p: Problem, prefix: PrefixCache | None) -> torch.Tensor:
    """Loss of each target token, from the logits of all positions."""
    if prefix:
        zero = torch.zeros(1, 1, dtype=torch.int64, device=p.base.device)
        prefix.feed(zero, zero)
    start = len(p.pair.query_ids)
    logits = p.base.model(input_ids=p.input_ids).logits[0].float()
    return F.cross_entropy(logits[start - 1 : -1], p.input_ids[0, start:], reduction="none")


def loop(p: Problem, arm: str) -> Record:
    """The loop by hand, with the parts that `arm` names."""
    steps, device = p.task.steps, p.base.device
    adapters = LoraPack(p.targets, [p.spec])
    table = TokenTable.from_memories([Memory((p.pair,))]).to(device)
    with ExitStack() as stack:
        prefix = None
        started = now(device)
        if arm != "raw" and p.targets[0].layer > 0:
            frozen = Prefix(p.base.model, p.targets[0].layer, [target.name for target in p.targets])
            prefix = cache_prefix(frozen, table, 1, 1e10)
            assert prefix
            stack.enter_context(frozen.replaced())
        prefix_seconds = now(device) - started
        stack.enter_context(adapters.attach(p.base.model))
        weighting = Weighting([Plain("sft")], 1, device)
        pack = LivePack(
            cells=[], steps=range(steps), adapters=adapters, table=table, weighting=weighting,
            order=RowOrder([], range(steps)), prefix=prefix,
        )  # fmt: skip
        module = PackModule(p.base, pack, optimizer=p.config.optimizer).to(device)
        made = module.configure_optimizers()
        optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
        row = torch.zeros(1, 1, dtype=torch.int64, device=device)
        first_loss = None
        watch = Stopwatch(device, steps)
        for step in range(steps):
            whole = arm in ("raw", "prefix")
            loss = losses(p, prefix).mean() if whole else module.training_step(row, step)
            first_loss = loss.detach() if first_loss is None else first_loss
            optimizer.zero_grad()
            loss.backward()
            module.configure_gradient_clipping(optimizer)
            optimizer.step()
            schedule.step()
            watch.step()
        times = watch.result()
        with torch.no_grad():
            final = torch.exp(-losses(p, prefix)).tolist()
    assert first_loss is not None
    return Record(
        arm, p.task.rank, p.task.seq_len, steps, **times, first_loss=float(first_loss), p=final,
        setup_seconds={"prefix": prefix_seconds},
    )  # fmt: skip


@contextmanager
def watched(device: torch.device, steps: int) -> Iterator[list[Stopwatch]]:
    """Times the steps of `train_pack`, what Lightning does between them included."""
    watches: list[Stopwatch] = []
    step, end = PackModule.training_step, PackLoop.on_train_batch_end

    def timed_step(self: PackModule, *arguments: Any) -> Any:
        if not watches:
            watches.append(Stopwatch(device, steps))
        return step(self, *arguments)

    def timed_end(self: PackLoop, *arguments: Any, **keywords: Any) -> None:
        watches[0].step()
        end(self, *arguments, **keywords)

    with (
        patch.object(PackModule, "training_step", timed_step),
        patch.object(PackLoop, "on_train_batch_end", timed_end),
    ):
        yield watches


def through_lightning(task: Task, device: torch.device) -> Record:
    """A cell through `train_pack`, W&B kept offline as on a machine without an account."""
    with tempfile.TemporaryDirectory() as directory:
        more = (f"runs_dir={directory}", "logger.mode=offline", "eval.per_decade=1")
        cfg = task.config(*more)
        cell = compose_cell(cfg)
        cell.plan()
        with watched(device, task.steps) as watches:
            started = now(device)
            train_pack([cell], OmegaConf.masked_copy(cfg, list(TRAINING_SETTINGS)))
            whole = now(device) - started
        times = watches[0].result()
        table = read_tokens(cell.paths.tokens)
    in_loop = times["first_step_seconds"] + times["step_seconds"] * (task.steps - 1)
    return Record(
        "lightning", task.rank, task.seq_len, task.steps, **times,
        first_loss=float(table["base_nll"].mean()), p=table[table["step"] == task.steps]["p"].tolist(),
        setup_seconds={"beside the loop": whole - in_loop},
    )  # fmt: skip


def run(tasks: list[Task], given: dict[str, Any]) -> list[Record]:
    """The given arms on every task."""
    setup, started = {"imports": process_seconds()}, time.perf_counter()
    base = load(tasks[0])
    setup["load"] = time.perf_counter() - started
    records: list[Record] = []
    with patch.object(pack_module.BASE_MODELS, "load", lambda *_: base):
        if "lightning" in given["arms"]:
            through_lightning(replace(tasks[0], steps=1), base.device)  # what only a worker's first cell pays for
        for task in tasks:
            records += [loop(problem(task, base), arm) for arm in ("raw", "prefix", "head") if arm in given["arms"]]
            if "lightning" in given["arms"]:
                records.append(through_lightning(task, base.device))
    records[0].setup_seconds.update(setup)
    return records


if __name__ == "__main__":
    main(run)
