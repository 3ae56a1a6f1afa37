"""Arm A: a reconstruction of the paper's loop. One process per cell, adapter on the whole MLP block.

Every step runs the model twice, with the adapter and without, on all positions up to the logits, reads loss
and probabilities back to the host, and opens a CSV file to append them.
"""

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from task import Problem, Record, Stopwatch, Task, load, main, problem, process_seconds
from torch import nn

from memlaw.adapters.stack import initial_weights


class BlockAdapter(nn.Module):
    """block(x) + scale · (x A) B."""

    def __init__(self, block: nn.Module, A_RI: torch.Tensor, out_features: int, scale: float):
        super().__init__()
        self.block, self.scale, self.on = block, scale, True
        self.A = nn.Parameter(A_RI)
        self.B = nn.Parameter(torch.zeros(out_features, len(A_RI), device=A_RI.device))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(x)
        return (y + self.scale * (x.float() @ self.A.T) @ self.B.T).to(y.dtype) if self.on else y


def losses(p: Problem) -> torch.Tensor:
    """Loss of each target token, from the logits of all positions."""
    start = len(p.pair.query_ids)
    logits = p.base.model(input_ids=p.input_ids).logits[0].float()
    return F.cross_entropy(logits[start - 1 : -1], p.input_ids[0, start:], reduction="none")


def train(p: Problem, setup: dict[str, float]) -> Record:
    """The loop."""
    (target,) = p.targets
    parent, _, leaf = target.name.rpartition(".")
    layer = p.base.model.get_submodule(parent)
    A = initial_weights(target, p.spec)[0].to(p.base.device)
    adapter = BlockAdapter(getattr(layer, leaf), A, target.out_features, p.spec.scale)
    setattr(layer, leaf, adapter)
    c = p.config.optimizer
    optimizer = torch.optim.AdamW([adapter.A, adapter.B], lr=c.lr, weight_decay=c.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / p.task.steps)
    first_loss = None
    with tempfile.TemporaryDirectory() as directory:
        watch = Stopwatch(p.base.device, p.task.steps)
        for step in range(p.task.steps):
            loss_S = losses(p)
            loss = loss_S.mean()
            first_loss = loss.item() if first_loss is None else first_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([adapter.A, adapter.B], c.clip_norm)
            optimizer.step()
            schedule.step()
            adapter.on = False
            with torch.no_grad():
                base_loss_S = losses(p)
            adapter.on = True
            with (Path(directory) / "probabilities.csv").open("a", newline="") as file:
                row = torch.stack([torch.exp(-loss_S.detach()), torch.exp(-base_loss_S)]).flatten().tolist()
                csv.writer(file).writerow([step, loss.item(), base_loss_S.mean().item(), *row])
            watch.step()
        times = watch.result()
    with torch.no_grad():
        final = torch.exp(-losses(p)).tolist()
    assert first_loss is not None
    cell = p.task.rank, p.task.seq_len, p.task.steps
    return Record("A", *cell, **times, first_loss=first_loss, p=final, setup_seconds=setup)


def run(tasks: list[Task], _: dict[str, Any]) -> list[Record]:
    """Train the one cell of this process."""
    setup, started = {"imports": process_seconds()}, time.perf_counter()
    (task,) = tasks
    p = problem(task, load(task))
    setup["load"] = time.perf_counter() - started
    return [train(p, setup)]


if __name__ == "__main__":
    main(run)
