"""What the live W&B runs of a pack cost its steps, on the default model: `python benchmarks/tracking_cost.py`.

One warm process trains the same pack again and again with `logger.mode` disabled, offline and online in turns; the
server of the online runs is a process on this machine. Prints each mode's time per step, evaluations included, its
ratio to disabled in the same round, and, since machines are noisier than W&B is slow, the share of W&B's own process
and of the thread that tells it in all processor time that the pack took.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import psutil
from memlaw_arms import watched
from omegaconf import OmegaConf
from report import spread, table
from task import Task, load

from memlaw.config.keys import TRAINING_SETTINGS
from memlaw.models.base import BaseModel
from memlaw.planning.cells import compose_cell
from memlaw.study.status import DONE
from memlaw.training import pack as pack_module
from memlaw.training.pack import train_pack

MODES = ("disabled", "offline", "online")


def serve(connection: Connection) -> None:
    """A W&B server, until the other side hangs up."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.wandb_server import KEY, WandbServer

    server = WandbServer()
    connection.send((server.url, KEY))
    connection.recv()
    connection.send(len(server.runs))


def cpu_seconds() -> tuple[float, float]:
    """Processor time so far: of this process's tracking threads and its children that ended, and of everything."""
    own = {thread.native_id for thread in threading.enumerate() if thread.name == "tracking"}
    times = [thread.user_time + thread.system_time for thread in psutil.Process().threads() if thread.id in own]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = children.ru_utime + children.ru_stime
    return sum(times) + ended, time.process_time() + ended


def train(task: Task, cells: int, mode: str, base: BaseModel) -> tuple[float, float]:
    """Mean seconds of a step of a pack after its first, and the share of W&B in the pack's processor time."""
    with tempfile.TemporaryDirectory() as directory, patch.object(pack_module.BASE_MODELS, "load", lambda *_: base):
        study = Path(directory).name  # one of its own, so that the server knows none of its runs
        own = (f"runs_dir={directory}", f"study={study}", f"logger.mode={mode}", "logger.entity=me")
        configs = [
            task.config(*own, f"seed={seed}", "eval.recall.greedy=false", "logger.stagger_s=0") for seed in range(cells)
        ]
        pack = [compose_cell(cfg) for cfg in configs]
        for cell in pack:
            cell.plan()
        before = cpu_seconds()
        with watched(base.device, task.steps) as watches:
            train_pack(pack, OmegaConf.masked_copy(configs[0], list(TRAINING_SETTINGS)))
        assert {cell.state for cell in pack} == {DONE}
        assert len(list(Path(directory).glob("*/wandb/*run-*"))) == (0 if mode == "disabled" else cells)
        tracking, whole = (now - then for now, then in zip(cpu_seconds(), before, strict=True))
    return watches[0].result()["step_seconds"], tracking / whole


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--seq-len", type=int, default=64)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    os.environ["WANDB_BASE_URL"], os.environ["WANDB_API_KEY"] = here.recv()
    task = Task(options.rank, options.seq_len, options.steps, tuple(options.overrides))
    base = load(task)
    for mode in MODES:  # what only the first pack of a process pays for
        train(Task(options.rank, options.seq_len, 2, task.overrides), options.cells, mode, base)
    taken: dict[str, list[float]] = {mode: [] for mode in MODES}
    shares: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(options.rounds):
        for mode in MODES[number % 3 :] + MODES[: number % 3]:
            seconds, share = train(task, options.cells, mode, base)
            taken[mode].append(seconds)
            shares[mode].append(share)
            print(f"round {number + 1}: {mode} {1e3 * seconds:.1f} ms, {share:.2%}", file=sys.stderr, flush=True)
    here.send("done")
    assert here.recv() > 0
    rows = []
    for mode in MODES:
        ratios = [one / other for one, other in zip(taken[mode], taken["disabled"], strict=True)]
        percents = spread((100 * one for one in shares[mode]), 2)
        rows.append([mode, spread((1e3 * one for one in taken[mode]), 0), spread(ratios, 3), percents])
    print(f"{options.cells} cells, r = {options.rank}, {options.seq_len} tokens, {options.steps} steps, "
          f"{base.model.dtype}, {options.rounds} rounds\n")  # fmt: skip
    print(table(["logger.mode", "ms per step", "times disabled", "% of processor time"], rows))


if __name__ == "__main__":
    main()
