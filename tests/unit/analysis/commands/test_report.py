import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import memlaw_analysis
import pandas as pd
import pytest
from helpers.studies import page_text, write_cell, write_study
from memlaw_analysis.commands import report
from memlaw_analysis.figures.choice import CAPTIONS, figures
from memlaw_analysis.law.forms import Inputs, power
from memlaw_analysis.report.record import law_record
from memlaw_analysis.report.study_parts import condition_findings, together_findings
from memlaw_analysis.tables.studies import load_studies

from memlaw.core.files import write_json

SEVERAL = {"models", "methods", "convergence"}
"""Figures of several models or methods."""
COST = {"base_held_out_loss_nats": 3.0, "held_out_loss_nats": 3.25, "forgetting_nats": 0.25}


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> tuple[Path, str]:
    """A study that was reported, one of its cells having failed, and what was printed."""
    study = write_study(tmp_path_factory.mktemp("study"))
    write_json(study / "broken/status.json", {"state": "failed", "cause": "loss is <not> finite"})
    command = [sys.executable, "-m", "memlaw_analysis.commands.report", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"})
    return study, done.stdout


@pytest.fixture
def run(call):
    """Run the command in this process: its exit code and what it printed."""

    def call_report(*arguments: object) -> tuple[int, str]:
        ended = call(report, *arguments)
        return ended.returncode, ended.output

    return call_report


def test_a_study_gives_the_law_a_card_and_every_figure(reported):
    study, text = reported
    target = study / "report"
    law = json.loads((target / "law.json").read_text())
    assert law["parameters"]["alpha"]["value"] == pytest.approx(0.7, rel=0.01)
    assert law["cells_used"] + law["cells_excluded"] == 9
    assert len((target / "cells.csv").read_text().splitlines()) == 10
    for name in set(CAPTIONS) - SEVERAL:
        assert matplotlib.image.imread(target / f"{name}.png").std() > 0.05, name
        assert (target / f"{name}.svg").read_text().startswith("<svg"), name
    assert "python -m memlaw.train -m study=" in text
    words = page_text(target)
    for said in ("standard error", "Over the fits that identify them", "Unseen cells are predicted best by",
                 "Every token with p > 0.5 is the argmax", "bits per trainable parameter", "ΔL ≥ 0.85·L0",
                 "after the first p ≤ 0.5 in 9 of 9 pairs", "python -m memlaw.train -m study="):  # fmt: skip
        assert said in words, said
    card = (target / "fit_card.md").read_text()
    for field in ("Data", "Protocol", "Cells used", "Form", "Objective", "Optimizer", "Uncertainty", "Versions",
                  "Error on unseen cells", "Inputs"):  # fmt: skip
        assert f"- **{field}**: " in card, field


def test_the_page_needs_nothing_else_and_lists_what_is_not_done(reported):
    page = (reported[0] / "report/report.html").read_text()
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert not re.search(r"@import|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert page.count("<svg") == len(set(CAPTIONS) - SEVERAL)
    assert "1 planned cells are not done" in page
    assert "loss is &lt;not&gt; finite" in page


def test_checking_finds_the_same_numbers_and_any_that_moved(reported, tmp_path: Path, run):
    study = shutil.copytree(reported[0], tmp_path / "study")
    code, text = run(study, "--check")
    assert (code, "comes out again" in text) == (0, True)
    written = study / "report/law.json"
    law = json.loads(written.read_text())
    law["parameters"]["beta"]["value"] *= 1 + 1e-4
    write_json(written, law)
    write_cell(study, 8, 4096)
    code, text = run(study, "--check")
    assert code == 1
    assert "parameters.beta.value: " in text
    assert "inputs: " in text
    write_json(written, {**law, "versions": {"numpy": "0"}})
    assert "Note: versions.numpy: '0' in the report" in run(study, "--check")[1]


def test_checking_sees_a_token_that_moved(reported, tmp_path: Path, run):
    study = shutil.copytree(reported[0], tmp_path / "study")
    table = study / "m-1-128-0/tokens.parquet"
    tokens = pd.read_parquet(table)
    tokens.loc[tokens["step"] == 10, "nll"] = 0.1
    tokens.to_parquet(table)
    code, text = run(study, "--check")
    assert code == 1
    assert "tokens.violations: 0 in the report, 1 now" in text


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path, run):
    study = write_study(tmp_path / "study", lengths=(512,))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    code, text = run(study, "--out", tmp_path / "mine")
    assert (code, "holds something else than a report" in text) == (2, True)
    assert (tmp_path / "mine/thesis.tex").exists()
    (study / "report").mkdir()
    (study / "report/report.html").touch()
    (study / "report/old.png").touch()
    assert run(study)[0] == 0
    assert not (study / "report/old.png").exists()


@pytest.mark.slow
def test_models_are_reported_one_by_one_and_together(tmp_path: Path):
    write_study(tmp_path, models=("alpha",), base_parameters=1e8)
    write_study(tmp_path, models=("beta",), base_parameters=4e8)
    table = load_studies([tmp_path])
    alpha, beta = condition_findings(table, with_tokens=False)
    (together,) = together_findings(table)
    assert [found.label for found in (alpha, beta)] == ["model.name=alpha", "model.name=beta"]
    assert len(together.cells) == 18
    assert "power_model" in law_record(together)["unseen_error"]
    assert together.law.fit.form.name == "power_model"
    assert law_record(together)["parameters"]["gamma"]["value"] == pytest.approx(0, abs=1e-3)
    assert "power_model" not in law_record(beta)["unseen_error"]
    assert "models" in figures(together)
    assert "models" not in figures(alpha)


@pytest.mark.slow
def test_methods_are_reported_one_by_one_and_side_by_side(tmp_path: Path, run):
    study = write_study(tmp_path / "study", lengths=(512,))
    for seed in (1, 2):
        write_study(study, lengths=(512,), seed=seed)
    for seed in (0, 1, 2):
        write_study(study, lengths=(512,), seed=seed, method="memft_ot", shift=0.5, **COST)
    assert run(study)[0] == 0
    words = page_text(study / "report")
    assert "Final loss L: memft_ot beats sft by 0.5 nats in each of 3 seeds" in words
    assert "held-out ordinary text the loss goes from 3.000 nats to 3.250 on average over 9 cells" in words
    assert "Exact match: no difference between memft_ot and sft: they are equal" in words
    side = study / "report/methods"
    found = json.loads((side / "methods.json").read_text())
    (loss,) = [entry for entry in found["differences"] if entry["metric"] == "loss_nats"]
    assert loss["mean"] == pytest.approx(-0.5)
    assert (loss["pairs"], loss["seeds"]) == (9, 3)
    for name in ("methods", "convergence", "exact"):
        assert matplotlib.image.imread(side / f"{name}.png").std() > 0.05, name
    assert (study / "report/method.name=sft/law.json").exists()
    page = (study / "report/report.html").read_text()
    assert 'id="methods-sides"' in page
    assert 'href="#methods-card"' not in page
    assert "18 cells in 2 conditions" in page
    assert run(study, "--check")[0] == 0
    write_json(side / "methods.json", {**found, "cells": 17})
    assert "methods/methods.json: cells: 17 in the report, 18 now" in run(study, "--check")[1]


@pytest.mark.slow
def test_several_studies_make_one_report_and_too_few_cells_say_what_is_missing(tmp_path: Path, run):
    studies = [write_study(tmp_path / name, lengths=(512,), models=(name,)) for name in ("a", "b")]
    assert run(*studies, "--out", tmp_path / "out")[0] == 0
    law = json.loads((tmp_path / "out/model.name=b/law.json").read_text())
    assert (law["cells"], law["fitted"]) == (3, False)
    words = page_text(tmp_path / "out")
    assert "missing: 3 unsaturated cells over 3 ranks and 1 lengths" in words
    assert "lora.rank=1,2,4 seq_len=1024,2048" in words
    assert (tmp_path / "out/model.name=a/law.png").exists()


def test_an_empty_study_is_refused(tmp_path: Path):
    command = [sys.executable, "-m", "memlaw_analysis.commands.report", str(tmp_path / "empty")]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "holds no finished cell" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_points_of_a_figure_are_reported_without_a_study(tmp_path: Path, run):
    points = tmp_path / "points.csv"
    points.write_text(_points())
    assert "--points needs --base-loss" in run("--points", points)[1]
    assert run("--points", points, "--base-loss", "13.24")[0] == 0
    law = json.loads((tmp_path / "points-report/law.json").read_text())
    assert law["identified"]
    assert law["parameters"]["alpha"]["value"] == pytest.approx(0.7, rel=0.01)
    points.write_text("rank,seq_len\n1,2\n")
    assert "no column delta_loss_nats" in run("--points", points, "--base-loss", "13.24")[1]


def _points() -> str:
    cells = [(r, l) for r in (1, 2, 4) for l in (256, 512, 1024, 2048)]
    rows = [f"{r},{l},{power(Inputs.grid(r, l, 13.24), 60, 0.7, 0.6, 0.4)}" for r, l in cells]
    return "\n".join(["# a comment", "rank,seq_len,delta_loss_nats", *rows])


def test_analysis_imports_no_torch():
    root = Path(memlaw_analysis.__file__).parent
    modules = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("[a-z]*.py")]
    assert len(modules) > 50
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


@pytest.mark.slow
def test_two_hundred_cells_take_seconds(tmp_path: Path, run):
    for seed in range(4):
        for rank in (1, 2, 4, 8, 16):
            for length in (64, 96, 128, 192, 256, 512, 1024, 2048, 3000, 4096):
                write_cell(tmp_path, rank, length, seed, base_loss_nats=13.24 + 0.01 * seed)
    began = time.process_time()
    assert run(tmp_path)[0] == 0
    assert time.process_time() - began < 300  # 15 s on an idle machine of today; a fit too many would take hours


def test_several_studies_need_a_place_for_their_report(tmp_path: Path, run):
    studies = [write_study(tmp_path / name) for name in ("a", "b")]
    code, text = run(*studies)
    assert (code, "needs --out" in text) == (2, True)
    assert not (tmp_path / "a/report").exists()
