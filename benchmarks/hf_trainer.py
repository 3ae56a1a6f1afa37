"""Arms B and B*: HF Trainer and PEFT, with default arguments in one process per cell, or as an expert would.

The expert (`tuned`) keeps one warm process and one loaded model for all cells, logs nothing while it trains,
leaves the search for NaN out, and hands the Trainer one long epoch.
"""

import tempfile
import time
from typing import Any

import torch
import torch.nn.functional as F
from peft import get_peft_model
from task import Problem, Record, Stopwatch, Task, load, main, problem, process_seconds
from transformers import Trainer, TrainerCallback, TrainingArguments

from memlaw.adapters.stack import initial_weights


class Timed(TrainerCallback):
    """Times the steps."""

    watch: Stopwatch

    def on_train_begin(self, args: Any, *_: Any, **__: Any) -> None:
        self.watch = Stopwatch(args.device, args.max_steps)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.watch.step()


class FirstLoss(Trainer):
    """The Trainer, keeping the first loss."""

    first: torch.Tensor | None = None

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        self.first = loss if self.first is None else self.first
        return loss


def train(p: Problem, tuned: bool, setup: dict[str, float]) -> Record:
    """Train one cell; the base model is left as it was."""
    started = time.perf_counter()
    model: Any = get_peft_model(p.base.model, p.spec.peft_config([target.name for target in p.targets], None))
    with torch.no_grad():
        for target in p.targets:
            adapted = model.get_submodule(f"base_model.model.{target.name}")
            adapted.lora_A["default"].weight.copy_(initial_weights(target, p.spec)[0])
    c = p.config.optimizer
    row = {"input_ids": p.input_ids[0].cpu(), "labels": p.labels[0].cpu()}
    expert = {"logging_strategy": "no", "logging_nan_inf_filter": False, "save_strategy": "no", "disable_tqdm": True}
    timed = Timed()
    with tempfile.TemporaryDirectory() as directory:
        arguments = TrainingArguments(
            output_dir=directory,
            max_steps=p.task.steps,
            per_device_train_batch_size=1,
            learning_rate=c.lr,
            weight_decay=c.weight_decay,
            max_grad_norm=c.clip_norm,
            use_cpu=p.base.device.type == "cpu",
            **(expert if tuned else {}),
        )
        rows = [row] * (p.task.steps if tuned else 1)
        trainer = FirstLoss(model, arguments, train_dataset=rows, callbacks=[timed])
        setup["prepare"] = time.perf_counter() - started
        trainer.train()
        times = timed.watch.result()
    model.eval()
    start = len(p.pair.query_ids)
    with torch.no_grad():
        logits = model(input_ids=p.input_ids).logits[0].float()
        nll = F.cross_entropy(logits[start - 1 : -1], p.input_ids[0, start:], reduction="none")
    assert trainer.first is not None
    first = float(trainer.first)
    model.unload()
    p.base.model.requires_grad_(False)
    arm = "B*" if tuned else "B"
    final = torch.exp(-nll).tolist()
    cell = p.task.rank, p.task.seq_len, p.task.steps
    return Record(arm, *cell, **times, first_loss=first, p=final, setup_seconds=setup)


def run(tasks: list[Task], given: dict[str, Any]) -> list[Record]:
    """Train cells one after the other."""
    setup, started = {"imports": process_seconds()}, time.perf_counter()
    base = load(tasks[0])
    setup["load"] = time.perf_counter() - started
    return [train(problem(task, base), given["tuned"], dict(setup)) for task in tasks]


if __name__ == "__main__":
    main(run)
