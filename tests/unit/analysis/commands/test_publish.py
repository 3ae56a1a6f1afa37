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
from memlaw_analysis.commands.publish import CELL_COLUMNS, cells_table, headline, law_row

from memlaw.study.kept_cells import KEPT
from memlaw.tracking.contents import study_digest
from memlaw.tracking.names import shortened

STUDY = ROOT / "docs/study/smollm2"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Real cells of one condition, with their report."""
    directory = tmp_path_factory.mktemp("publish") / "real"
    directory.mkdir()
    with zipfile.ZipFile(STUDY / KEPT) as kept:
        kept.extractall(directory)
    for result in directory.glob("*/result.json"):
        row = json.loads(result.read_text())
        if (row["steps"], row["seed"], row["data.random_ratio"]) != (200, 0, 1.0) or row["seq_len"] in (64, 1024):
            shutil.rmtree(result.parent)
    subprocess.run(
        [sys.executable, "-m", "memlaw_analysis.commands.report", str(directory)], check=True, capture_output=True
    )
    return directory


def publish(study: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memlaw_analysis.commands.publish", str(study), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE_S
    )


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


def test_what_cannot_be_published_is_one_line(study, tmp_path, server: WandbServer):
    nothing = publish(tmp_path, "--mode=offline")
    assert nothing.returncode == 2
    assert "memlaw report" in nothing.stderr
    disabled = publish(study, "--mode=disabled")
    assert disabled.returncode == 2
    assert len(disabled.stderr.strip().splitlines()) == 1
    wrong = publish(study, "--mode=online", "--timeout=5", WANDB_BASE_URL=server.url, WANDB_API_KEY="b" * 40)
    assert wrong.returncode == 2
    assert server.url in wrong.stderr


def test_a_name_longer_than_wandb_takes_is_cut_and_told_apart(study, tmp_path):
    long = shutil.copytree(study, tmp_path / ("n" * 135), ignore=shutil.ignore_patterns("wandb"))
    done = publish(long, "--mode=offline")
    assert done.returncode == 0, done.stderr
    assert len(list(long.glob("wandb/offline-run-*-analysis"))) == 1
    one, other = shortened("n" * 135), shortened("n" * 134 + "m")
    assert (len(one), one[:119], one[119]) == (128, "n" * 119, "-")
    assert one != other
    assert shortened("n" * 128) == "n" * 128


def test_the_headline_is_an_identified_law_before_one_of_more_cells():
    rows = [
        law_row({"condition": "a", "fitted": True, "identified": False, "cells_used": 9, "parameters": {}}),
        law_row({"condition": "b", "fitted": True, "identified": True, "cells_used": 5, "parameters": {}}),
        law_row({"condition": "c", "fitted": False}),
    ]
    assert headline(rows)["condition"] == "b"
    assert headline(rows[2:]) == {}


def test_cells_without_a_law_are_in_the_table_all_the_same():
    names = {"model.name": "m", "data.name": "d", "study": "/runs/s", "steps": [20, 20, 40], "lora.rank": [1, 2, 1]}
    titles = ["m d steps=20", "m d steps=20", "m d steps=40"]
    named = {"cell": ["m-r1-abc", "m-r2-def", "m-r1-ghi"], "condition": titles}
    cells = pd.DataFrame({**named, "delta_loss_nats": 2.0, **names})
    nothing = cells_table(cells, {})
    assert nothing["rank"].tolist() == [1, 2, 1]
    assert nothing["run"].str.fullmatch(r"[0-9a-f]{6}-(abc|def|ghi)").all()
    assert set(nothing["study"]) == {"s"}
    assert nothing["condition"].tolist() == titles
    assert nothing[["law_nats", "saturated"]].isna().all(axis=None)
    points = pd.DataFrame({"cell": ["m-r1-abc", "m-r2-def"], "law_nats": [1.5, 2.5], "saturated": [False, True]})
    some = cells_table(cells, {"m d steps=20": points})
    assert some["condition"].tolist() == nothing["condition"].tolist()
    assert some["law_nats"].tolist()[:2] == [1.5, 2.5] and pd.isna(some["law_nats"][2])
    assert some["saturated"].tolist()[:2] == [False, True] and pd.isna(some["saturated"][2])
