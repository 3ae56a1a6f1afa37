"""The estimate of a pack's RAM against its measured peak, in a separate process."""

import sys
from collections.abc import Iterable

import pytest
from helpers.checkout import ROOT
from helpers.processes import python

SIZES = (
    "{hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 6, vocab_size: 8192, max_position_embeddings: 2048}"
)
SCRIPT = f"""
import re, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from dataclasses import replace
from pathlib import Path
from helpers.configs import composed
from hydra.utils import instantiate
from memlaw.planning.cells import compose_cell
from memlaw.models.random_weights import byte_tokenizer

from memlaw.training.pack import train_pack
from memlaw.planning.packing import pack_bytes
from memlaw.planning.machine import Machine
from memlaw.planning.make_plan import make_plan
from memlaw.models.head import CHUNK_BYTES

def peak_and_now():
    status = Path("/proc/self/status").read_text()
    return [1024 * int(re.search(rf"Vm{{name}}:\\s+(\\d+)", status)[1]) for name in ("HWM", "RSS")]

def cells(steps, *overrides):
    grid = sys.argv[1].split(";")
    configs = [
        composed("model=random", "model.sizes={SIZES}", "logger.mode=disabled", "trainer.device=cpu", "lora.layers=[2]",
                 "precision=fp32", f"steps={{steps}}", "stop.when_recalled=false", *point.split(),
                 *sys.argv[2:], *overrides)
        for point in grid
    ]
    return [compose_cell(cfg) for cfg in configs], configs[0]

def train(cells, cfg):
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    assert all(cell.state == "done" for cell in cells), [cell.status for cell in cells]

warm, cfg = cells(1, "seq_len=20", "study=warm")
train(warm, cfg)
pack, cfg = cells(2)
(plan,) = make_plan(pack, cfg, Machine.here("cpu", workers=1)).packs
Path("/proc/self/clear_refs").write_text("5")
_, before = peak_and_now()
train(pack, cfg)
peak, _ = peak_and_now()
pairs = instantiate(cfg.data).build(byte_tokenizer(8192), cfg.seq_len, cfg.seed).pairs
positions = max(len(pair.query_ids) + len(pair.target_ids) for pair in pairs)  # a plan allows for a longer query
sizes = [replace(size, positions=positions) for size in (member.sizes for member in plan.members)]
print(peak - before, pack_bytes(sizes, CHUNK_BYTES["cpu"]))
"""


def _each(key: str, values: Iterable[int]) -> str:
    return ";".join(f"{key}={value}" for value in values)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak RAM is read from /proc")
@pytest.mark.parametrize(
    ("grid", "overrides"),
    [
        pytest.param(_each("seed", range(8)), ["seq_len=600"], id="seeds"),
        pytest.param(_each("lora.rank", (1, 4000, 2)), ["seq_len=600"], id="padded"),
        pytest.param(_each("lora.rank", (1, 4, 16, 64)), ["seq_len=1200"], id="ranks"),
        pytest.param(_each("seed", range(8)), ["seq_len=600", "lora.placement=block"], id="block"),
        pytest.param(_each("seed", range(4)), ["seq_len=600", "lora.layers=null"], id="all layers"),
        pytest.param(_each("seed", range(2)), ["data=phonebook", "seq_len=2000", "batch_size=10"], id="table"),
    ],
)
def test_the_estimate_is_within_a_quarter_of_the_measured_peak(tmp_path, grid: str, overrides: list[str]):
    command = ["-c", SCRIPT, grid, *overrides, f"runs_dir={tmp_path}"]
    shown = python(*command)
    assert shown.returncode == 0, shown.stderr
    measured, estimated = map(int, shown.stdout.split()[-2:])
    assert estimated == pytest.approx(measured, rel=0.25)
