"""The benchmark: memlaw against one process per cell, all on the same work. `make bench` runs it.

Arms, interleaved, `--rounds` times:
A: the paper's loop (`paper_loop.py`), against memlaw with the same block placement.
B: HF Trainer and PEFT with default arguments, one process per cell, fp32. B*: as an expert would tune it
(`hf_trainer.py`), in memlaw's precision.
D: `python -m memlaw.train -m` over the whole grid, and its parts one by one (`memlaw_arms.py`).

Raw numbers go to `--out`, one JSON line per cell and arm; `report.py` makes the tables of them and fails when the
arms did not do the same work.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from task import Task

from memlaw.models.devices import PRECISIONS, resolve_device, resolve_precision
from memlaw.planning.cost import CostModel
from memlaw.study.records import read_results, read_tokens

HERE = Path(__file__).resolve().parent
QWEN3_8B = (
    "model=random", "model.model_type=qwen3", "model.sizes.hidden_size=4096", "model.sizes.intermediate_size=12288",
    "model.sizes.num_hidden_layers=36", "model.sizes.num_attention_heads=32", "model.sizes.num_key_value_heads=8",
    "model.sizes.vocab_size=151936", "model.sizes.max_position_embeddings=40960", "+model.sizes.head_dim=128",
    "model.sizes.initializer_range=0.02",
)  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """What a kind of machine is measured on."""

    ranks: tuple[int, ...]
    lengths: tuple[int, ...]
    overrides: tuple[str, ...]
    rank: int  # where arms run at one rank
    losing_length: int  # with all layers adapted


GRIDS = {
    "tiny": Grid((1, 2), (16, 24), ("model=random", "lora.layers=[1]", "trainer.device=cpu"), rank=2, losing_length=16),
    "cpu": Grid((1, 8, 64), (32, 128, 512), ("lora.layers=[20]", "trainer.device=cpu"), rank=8, losing_length=128),
    "gpu": Grid((1, 8, 64, 512), (50, 200, 1000, 5000), (*QWEN3_8B, "lora.layers=[24]"), 8, losing_length=200),
}


@dataclass
class Bench:
    """One run of the benchmark."""

    grid: Grid
    steps: int
    short_steps: int
    out: Path
    precision: str
    round: int = 0

    def task(self, seq_len: int, *overrides: str, rank: int | None = None, steps: int | None = None) -> Task:
        """A task of the grid."""
        return Task(rank or self.grid.rank, seq_len, steps or self.steps, (*self.grid.overrides, *overrides))

    def arm(self, script: str, tasks: list[Task], label: str = "", **given: Any) -> None:
        """Run an arm's process and keep its records."""
        with tempfile.TemporaryDirectory() as directory:
            out = Path(directory) / "records.jsonl"
            given["tasks"] = [asdict(task) for task in tasks]
            usage = _run([sys.executable, str(HERE / script), str(out), json.dumps(given)], Path(directory))
            records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        for record in records:
            dtype = next(word for word in tasks[0].overrides if word.startswith("precision="))[-4:]
            self.keep({**record, **usage, "arm": label + record["arm"], "dtype": dtype})

    def command(self, label: str, ranks: tuple[int, ...], *overrides: str) -> None:
        """Run the real command over ranks and all lengths, and keep the records of its cells."""
        with tempfile.TemporaryDirectory() as directory:
            swept = [f"lora.rank={','.join(map(str, ranks))}", f"seq_len={','.join(map(str, self.grid.lengths))}"]
            fixed = [f"steps={self.steps}", "stop.when_recalled=false", "eval.per_decade=1", "logger.mode=offline"]
            command = [sys.executable, "-m", "memlaw.train", "-m", *swept, *fixed, *self.grid.overrides, *overrides]
            usage = _run(command, Path(directory))
            study = Path(directory) / "runs/default"
            for row in read_results(study).to_dict("records"):
                tokens = read_tokens(study / row["cell"] / "tokens.parquet")
                record = {
                    "arm": label,
                    "rank": row["lora.rank"],
                    "seq_len": row["seq_len"],
                    "steps": self.steps,
                    "step_seconds": row["worker_seconds"] / row["steps_trained"],
                    "first_loss": row["base_loss_nats"],
                    "p": tokens[tokens["step"] == self.steps]["p"].tolist(),
                    "step_flops": row["step_flops"],
                    "dtype": {"float32": "fp32", "bfloat16": "bf16"}[row["dtype"]],
                }
                self.keep({**record, **usage})

    def keep(self, record: dict[str, Any]) -> None:
        """Append a record."""
        with self.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"round": self.round, **record}) + "\n")

    def one_round(self) -> None:
        """Every arm once."""
        g, short = self.grid, self.short_steps
        same = f"precision={self.precision}"
        for seq_len in g.lengths:
            self.arm("paper_loop.py", [self.task(seq_len, same, "lora.placement=block", steps=short)])
        blocks = [self.task(seq_len, same, "lora.placement=block", steps=short) for seq_len in g.lengths]
        self.arm("memlaw_arms.py", blocks, "block ", arms=["lightning"])
        for seq_len in g.lengths:
            for rank in g.ranks if self.round == 0 else (g.rank,):
                self.arm("hf_trainer.py", [self.task(seq_len, "precision=fp32", rank=rank)], tuned=False)
        tuned = [self.task(seq_len, same) for seq_len in g.lengths]
        self.arm("hf_trainer.py", tuned, tuned=True)
        self.command("D", g.ranks, same)
        for precision in dict.fromkeys(("fp32", self.precision)):
            for seq_len in g.lengths:
                parts = ["raw", "prefix", "head", "lightning"]
                self.arm("memlaw_arms.py", [self.task(seq_len, f"precision={precision}", steps=short)], arms=parts)
        losing = [self.task(g.losing_length, same, "lora.layers=null", steps=short)]
        self.arm("hf_trainer.py", losing, "all layers ", tuned=True)
        self.arm("memlaw_arms.py", losing, "all layers ", arms=["lightning"])
        if self.precision != "fp32":  # for the comparison of numbers
            self.command("D", (g.rank,), "precision=fp32")
            self.arm("hf_trainer.py", [self.task(seq_len, "precision=fp32") for seq_len in g.lengths], tuned=True)


def _run(command: list[str], directory: Path) -> dict[str, float]:
    """Run a process; its wall time and the peak memory of it and its children."""
    environment = {**os.environ, "WANDB_MODE": "offline", "TQDM_DISABLE": "1"}
    log = directory / "log"
    started = time.perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return {"wall_seconds": time.perf_counter() - started, "peak_gb": usage.ru_maxrss * 1024 / 1e9}


def _cpu_name() -> str:
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What the numbers were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    packages = ("torch", "lightning", "transformers", "peft", "accelerate")
    return {
        "device": name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "dtype": str(dtype).removeprefix("torch."),
        "gflops_fp32": 1e-9 / CostModel.guess(device, torch.float32).flop_seconds,
        "gflops": 1e-9 / CostModel.guess(device, dtype).flop_seconds,
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", choices=GRIDS, default="cpu")
    parser.add_argument("--precision", choices=("auto", *PRECISIONS), default="auto", help="of all arms but B")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--short-steps", type=int, default=10, help="of the arms that only give times")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.jsonl"))
    options = parser.parse_args()
    device = resolve_device("cuda" if options.grid == "gpu" else "cpu")
    dtype = resolve_precision(options.precision, device)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"command": " ".join(sys.argv), **machine(device, dtype)}) + "\n")
    bench = Bench(
        GRIDS[options.grid],
        options.steps,
        options.short_steps,
        options.out,
        "bf16" if dtype == torch.bfloat16 else "fp32",
    )
    for bench.round in range(options.rounds):
        started = time.perf_counter()
        bench.one_round()
        print(
            f"round {bench.round + 1} of {options.rounds}: {(time.perf_counter() - started) / 60:.1f} min", flush=True
        )


if __name__ == "__main__":
    main()
