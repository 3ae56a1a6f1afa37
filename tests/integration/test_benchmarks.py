"""The benchmark runs end to end on a tiny model, and its gates notice other work."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from helpers.checkout import ROOT
from helpers.packs import LONG, make_cells, train
from helpers.processes import python

HERE = ROOT / "benchmarks"


def test_adapters_are_scored_on_their_own_tokens_and_on_others(tiny, tmp_path: Path):
    cells, cfg = make_cells(tiny, [(*LONG, "lora.rank=2", "precision=fp32")])
    train(cells, cfg)
    out = tmp_path / "rows.parquet"
    done = python(HERE / "held_out_tokens.py", cells[0].study, "--out", out, "--others", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    own, other = pd.read_parquet(out).to_dict("records")
    recorded = json.loads(cells[0].paths.result.read_text(encoding="utf-8"))
    assert (own["seed"], own["other_seed"], other["other_seed"]) == (0, 0, 1)
    for name in ("base_loss_nats", "loss_nats", "source_entropy_nats"):
        assert own[name] == pytest.approx(recorded[name], abs=1e-3)
    assert other["base_loss_nats"] - other["loss_nats"] < recorded["delta_loss_nats"] / 2


def report(raw: Path) -> subprocess.CompletedProcess[str]:
    return python(HERE / "report.py", raw)


@pytest.mark.slow
def test_the_benchmark_runs_and_its_gates_notice_other_work(tmp_path: Path):
    raw = tmp_path / "bench.jsonl"
    short = ["--grid", "tiny", "--rounds", "1", "--steps", "6", "--short-steps", "4"]
    done = python(HERE / "run.py", *short, "--precision", "fp32", "--out", raw)
    assert done.returncode == 0, done.stderr
    good = report(raw)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("| yes |") == 7
    records = [json.loads(line) for line in raw.read_text().splitlines()]
    for record in records[1:]:
        if record["arm"] == "D":
            record["p"][0] += 0.01
    raw.write_text("\n".join(map(json.dumps, records)))
    bad = report(raw)
    assert bad.returncode == 1
    assert bad.stdout.count("| NO |") == 2
    assert "the arms did not do the same work" in bad.stderr
