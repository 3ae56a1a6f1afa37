import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.studies import write_study
from memlaw_analysis.tables.studies import NoCells, load_studies
from memlaw_analysis.tables.wandb_runs import load_wandb, table_of
from omegaconf import OmegaConf

from memlaw.study.records import RESULT_COLUMNS, read_results
from memlaw.tracking.contents import run_summary
from memlaw.training.pack import train_pack


@dataclass
class Run:
    config: dict[str, Any]
    summary: dict[str, Any]
    state: str = "finished"


@dataclass
class Api:
    """What `load_wandb` asks of `wandb.Api`."""

    held: list[Run]
    asked: list[str] = field(default_factory=list)

    def runs(self, path: str) -> list[Run]:
        self.asked.append(path)
        return self.held


def mirrored(row: dict[str, Any]) -> Run:
    """A row of `result.json` as W&B has it: config and summary apart, W&B's own keys beside."""
    measured = {name for name in row if name in RESULT_COLUMNS or name.startswith("version.")}
    config = OmegaConf.create()
    for name in row:
        if name not in measured:
            OmegaConf.update(config, name, row[name])
    held = {"cell": row["cell"], "config": OmegaConf.to_container(config), "_wandb": {"cli_version": "0"}}
    return Run(held, {**run_summary(row), "_runtime": 3, "p": {"_type": "histogram"}})


def test_runs_give_the_table_of_the_study_on_disk(tmp_path: Path):
    study = write_study(tmp_path)
    rows = [json.loads(path.read_text()) for path in sorted(study.glob("*/result.json"))]
    api = Api([*map(mirrored, rows), Run({}, {}, "running"), Run({"lr": 1}, {"loss": 2}), mirrored(rows[0])])
    table, expected = load_wandb("me/memory", api), load_studies([study]).drop(columns="study")
    assert api.asked == ["me/memory"]
    pd.testing.assert_frame_equal(table[expected.columns], expected)
    assert set(table) == set(expected)


def test_numbers_that_json_has_not_are_numbers_again(tmp_path: Path):
    study = write_study(tmp_path)
    rows = [json.loads(path.read_text()) for path in sorted(study.glob("*/result.json"))]
    rows[0] |= {"loss_nats": "Infinity", "delta_loss_nats": "NaN"}
    table = table_of(map(mirrored, rows))
    assert table[["loss_nats", "delta_loss_nats"]].dtypes.eq(float).all()
    assert table["delta_loss_nats"].isna().sum() == 1


def test_a_project_without_cells_is_refused():
    with pytest.raises(NoCells, match="me/empty holds no finished cell"):
        load_wandb("me/empty", Api([Run({"lr": 1}, {"loss": 2})]))


def test_offline_runs_hold_what_the_study_holds(tiny):
    cells = []
    for rank in (1, 2):
        cell, cfg = tiny("steps=3", "seq_len=16", "stop.when_recalled=false", f"lora.rank={rank}", "study=mirrored")
        cfg.logger.mode = "offline"
        cell.plan()
        cells.append(cell)
    train_pack(cells, cfg)
    expected, runs = read_results(cells[0].study), []
    for run in (cells[0].study / "wandb").glob("offline-run-*"):
        command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--summary", "--json", str(run)]
        read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        runs.append(Run(read["config"], read["summary"]))
    told = expected.dropna(axis=1, how="all")
    table = table_of(runs).dropna(axis=1, how="all")  # W&B's offline reader leaves nulls out of a summary
    pd.testing.assert_frame_equal(table[told.columns], told, check_dtype=False)
    assert set(table) == set(told)
