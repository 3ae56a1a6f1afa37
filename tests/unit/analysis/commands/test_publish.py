import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from helpers.checkout import ROOT
from helpers.processes import PATIENCE_S
from helpers.wandb_server import KEY, WandbServer
from memlaw_analysis.commands import publish as command
from memlaw_analysis.commands import report
from memlaw_analysis.report.wandb_tables import CELL_COLUMNS

from memlaw.study.kept_cells import KEPT
from memlaw.tracking.contents import study_digest

STUDY = ROOT / "docs/study/smollm2"


@pytest.fixture(scope="module")
def study(tmp_path_factory, call) -> Path:
    """Real cells of one condition, with their report."""
    directory = tmp_path_factory.mktemp("publish") / "real"
    directory.mkdir()
    with zipfile.ZipFile(STUDY / KEPT) as kept:
        kept.extractall(directory)
    for result in directory.glob("*/result.json"):
        row = json.loads(result.read_text())
        if (row["steps"], row["seed"], row["data.random_ratio"]) != (200, 0, 1.0) or row["seq_len"] in (64, 1024):
            shutil.rmtree(result.parent)
    assert call(report, directory)[0] == 0
    return directory


def publish(study: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "memlaw_analysis.commands.publish", str(study), *arguments]
    return subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE_S)


def leet(run: Path) -> dict:
    wandb = str(Path(sys.executable).with_name("wandb"))
    command = [wandb, "leet", "inspect", "--summary", "--json", str(run)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_an_offline_run_holds_the_law_tables_figures_and_page(study):
    done = publish(study, "--mode=offline")
    assert done.returncode == 0, done.stderr
    (run,) = study.glob("wandb/offline-run-*-analysis")
    law = json.loads((study / "report/law.json").read_text())
    summary = leet(run)["summary"]
    assert summary["law"]["alpha"] == pytest.approx(law["parameters"]["alpha"]["value"])
    assert summary["law"]["alpha_stderr"] == pytest.approx(law["parameters"]["alpha"]["stderr"])
    (file,) = (run / "files/media/table").glob("cells*.json")
    table = json.loads(file.read_text())
    rows = pd.DataFrame(table["data"], columns=table["columns"])
    cells = pd.read_csv(study / "report/cells.csv")
    known = {*cells, "condition", "law_nats", "saturated"}
    assert set(rows) == {name for source, name in CELL_COLUMNS.items() if source in known} | {"run"}
    assert sorted(rows["cell"]) == sorted(cells["cell"])
    used = rows[~rows["saturated"].astype(bool)]
    C, alpha, beta, b = (law["parameters"][name]["value"] for name in ("C", "alpha", "beta", "b"))
    assert len(used) == law["cells_used"]
    assert used["law_nats"].tolist() == pytest.approx(
        (C * used["rank"] ** alpha * used["seq_len"] ** -beta + b).tolist(), rel=1e-6
    )
    drawn = {path.name.rpartition("_")[0].rpartition("_")[0] for path in (run / "files/media/images").rglob("*.png")}
    assert {path.stem for path in (study / "report").glob("*.png")} == drawn
    assert list((run / "files/media/html").glob("report*.html"))


def _figures(summary: dict) -> set[str]:
    """The names under `figures/`, which a server nests or not."""
    nested = summary.get("figures", {})
    return {*nested, *(name.partition("/")[2] for name in summary if name.startswith("figures/"))}


def test_online_it_is_one_run_however_often(study, server: WandbServer):
    url = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    cells = pd.read_csv(study / "report/cells.csv")["cell"]
    uploaded, never = (f"{study_digest(study)}-{cell.rpartition('-')[2]}" for cell in cells[:2])
    server.runs[uploaded].artifacts.append(f"records-{uploaded}")
    name = f"{study_digest(study)}-analysis"
    shutil.copy(study / "report/law.png", study / "report/gone.png")
    for _ in range(2):
        done = publish(study, "--mode=online", "--entity=me", "--timeout=30", **url)
        assert done.returncode == 0, done.stderr
        figures = {path.stem for path in (study / "report").glob("*.png")}
        assert _figures(server.runs[name].summary) == figures
        (study / "report/gone.png").unlink(missing_ok=True)
    assert set(server.runs) == {uploaded, name}
    assert set(server.runs[name].used) == {f"records-{uploaded}"}
    assert f"no lineage to the records of {never}" in done.stderr
    assert server.runs[name].config["kind"]["value"] == "analysis"
    assert server.runs[name].summary["law"]["alpha"] > 0
    assert server.runs[name].exit_code == 0


def test_what_cannot_be_published_is_one_line(study, tmp_path, server: WandbServer, call):
    for arguments, reason in (
        ((tmp_path, "--mode=offline"), "memlaw report"),
        ((study, "--mode=disabled"), "--mode=offline"),
        ((study, "--mode=offline", "--timeout=0"), "--timeout"),
        ((study, "--mode=offline", "--project=a/b"), "--project"),
    ):
        code, _, errors = call(command, *arguments)
        assert (code, len(errors.strip().splitlines()), reason in errors) == (2, 1, True), errors
    wrong = publish(study, "--mode=online", "--timeout=5", WANDB_BASE_URL=server.url, WANDB_API_KEY="b" * 40)
    assert (wrong.returncode, server.url in wrong.stderr) == (2, True)


def test_a_name_longer_than_wandb_takes_is_cut(study, tmp_path, call):
    long = shutil.copytree(study, tmp_path / ("n" * 135), ignore=shutil.ignore_patterns("wandb"))
    code, _, errors = call(command, long, "--mode=offline")
    assert code == 0, errors
    assert len(list(long.glob("wandb/offline-run-*-analysis"))) == 1
