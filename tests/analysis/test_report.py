import json
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from analysis.forms import power
from analysis.load import conditions, load_study
from analysis.report import report
from memlaw.files import write_json
from memlaw.records import TokenLog, write_tokens


def study(tmp_path: Path, models: tuple[str, ...] = ("m",), lengths: tuple[int, ...] = (128, 512, 2048)) -> Path:
    """A study on disk whose cells follow a known law exactly."""
    for model in models:
        for rank in (1, 2, 4):
            for length in lengths:
                delta_loss = float(np.minimum(power(rank, length, 13.24, 60, 0.7, 0.6, 0.4), 13.2))
                row = {
                    "cell": f"{model}-{rank}-{length}", "model.name": model, "data.name": "long_context",
                    "method.name": "sft", "lora.rank": rank, "seq_len": length, "seed": 0,
                    "target_tokens": length, "dtype": "float32", "model_fingerprint": model,
                    "base_loss_nats": 13.24,
                    "loss_nats": 13.24 - delta_loss, "delta_loss_nats": delta_loss, "recalled_share": 0.5,
                    "first_stubborn": None, "bits_per_parameter": 1.0,
                }  # fmt: skip
                write_json(tmp_path / row["cell"] / "result.json", row)
                write_json(tmp_path / row["cell"] / "status.json", {"state": "done"})
                log = TokenLog(np.zeros(4, int), np.arange(4), np.arange(4))
                log.add(0, np.full(4, 13.24), np.full(4, 9))
                log.add(1, np.array([0.1, 0.2, 0.8, 3.0]), np.array([0, 1, 2, 9]))
                write_tokens(tmp_path / row["cell"] / "tokens.parquet", log.table())
    return tmp_path


def test_the_report_holds_the_law_the_table_and_the_figures(tmp_path: Path):
    console = Console(record=True, width=100)
    target = report(study(tmp_path), console)
    law = json.loads((target / "law.json").read_text())
    assert law["parameters"]["alpha"]["value"] == pytest.approx(0.7, rel=0.01)
    assert law["cells"] + law["excluded_saturated_cells"] == 9
    assert len((target / "cells.csv").read_text().splitlines()) == 10
    for name in ("law.png", "loss.png", "prediction.png", "residuals.png", "collapse.png", "transition.png"):
        assert matplotlib.image.imread(target / name).std() > 0.05
    text = console.export_text()
    assert "R²" in text
    assert "standard error" in text
    assert "Over the ways that identify them" in text
    assert "Unseen cells are predicted best by" in text
    assert "Every token with p > 0.5 is the argmax" in text
    assert "after the first p ≤ 0.5 in 9 of 9 pairs" in text
    assert "ΔL ≥ 0.85·L0" in text


def test_each_condition_is_reported_on_its_own(tmp_path: Path):
    root = study(tmp_path, models=("alpha", "beta"))
    assert [label for label, _ in conditions(load_study(root))] == ["model.name=alpha", "model.name=beta"]
    report(root, Console(record=True))
    assert (root / "report" / "model.name=alpha" / "law.json").exists()


def test_cells_of_another_precision_are_a_condition_of_their_own(tmp_path: Path):
    table = load_study(study(tmp_path, models=("alpha", "beta")))
    mixed = table.assign(dtype=["float32", "bfloat16"] * 9)
    assert len(list(conditions(mixed))) == 4
    other_weights = table.assign(model_fingerprint=["x", "y"] * 9)
    assert len(list(conditions(other_weights))) == 4


def test_too_few_cells_are_said_and_drawn_all_the_same(tmp_path: Path):
    console = Console(record=True, width=200)
    target = report(study(tmp_path, lengths=(128,)), console)
    assert not json.loads((target / "law.json").read_text())["fitted"]
    assert "No law fitted" in console.export_text()
    assert (target / "law.png").exists()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "analysis.report", *arguments], capture_output=True, text=True)


def test_the_command_line_reports_a_study_and_refuses_an_empty_one(tmp_path: Path):
    assert run(str(study(tmp_path / "full"))).returncode == 0
    refused = run(str(tmp_path / "empty"))
    assert refused.returncode == 1
    assert "holds no finished cell" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_points_of_a_figure_are_reported_without_a_study(tmp_path: Path):
    points = tmp_path / "points.csv"
    points.write_text(_points())
    refused = run("--points", str(points))
    assert refused.returncode == 2
    assert "--points needs --base-loss" in refused.stderr
    done = run("--points", str(points), "--base-loss", "13.24")
    assert done.returncode == 0, done.stderr
    law = json.loads((tmp_path / "points-report/law.json").read_text())
    assert law["identified"]
    assert law["parameters"]["alpha"]["value"] == pytest.approx(0.7, rel=0.01)
    points.write_text("rank,seq_len\n1,2\n")
    assert "no column delta_loss_nats" in run("--points", str(points), "--base-loss", "13.24").stderr


def _points() -> str:
    cells = [(r, l) for r in (1, 2, 4) for l in (256, 512, 1024, 2048)]
    rows = [f"{r},{l},{power(r, l, 13.24, 60, 0.7, 0.6, 0.4)}" for r, l in cells]
    return "\n".join(["# a comment", "rank,seq_len,delta_loss_nats", *rows])


def test_analysis_imports_no_torch():
    code = "import sys, analysis.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
