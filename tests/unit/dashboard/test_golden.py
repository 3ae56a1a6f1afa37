"""Everything that `memlaw.dashboard push` sends, against what is kept here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import wandb_workspaces.reports.v2 as wr
from memlaw_analysis.report.wandb_tables import CELL_COLUMNS

from memlaw.dashboard import panels, views
from memlaw.dashboard.__main__ import main
from memlaw.dashboard.charts import SPECIFICATIONS, registered_name
from memlaw.study.records import RESULT_COLUMNS
from memlaw.tracking.contents import CURVES, run_config

GOLDEN = Path(__file__).with_name("golden")
COMMAND = ["-m", "memlaw.dashboard", "push", "--entity", "me", "--project", "memlaw", "--dry-run"]
CHARTS = {name: f"me/{registered_name(name)}" for name in SPECIFICATIONS}


def every_panel(charts) -> list:
    story = (panels.law, panels.transition, panels.stubborn)
    return [
        *panels.recall(),
        *(panel for part in story for panel in part(charts)),
        *panels.convergence(),
        *panels.training(),
        *panels.analysis(),
    ]


def test_a_dry_run_writes_what_is_kept_here(tmp_path):
    subprocess.run([sys.executable, *COMMAND, str(tmp_path)], check=True, capture_output=True)
    written = {path.relative_to(tmp_path): json.loads(path.read_text()) for path in tmp_path.rglob("*.json")}
    kept = {path.relative_to(GOLDEN): json.loads(path.read_text()) for path in GOLDEN.rglob("*.json")}
    assert written == kept, f"if it is meant: python {' '.join(COMMAND)} {GOLDEN}"


def test_where_nothing_can_be_written_it_is_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["push", *COMMAND[2:], str(tmp_path / "file/inside")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_same_views_have_the_same_ids():
    one, other = (views.workspace("e", "p", "s", CHARTS)._to_model() for _ in range(2))
    assert one == other
    pages = [views.report("e", "p", "s", CHARTS)._to_model().spec.model_dump_json() for _ in range(2)]
    assert pages[0] == pages[1]
    ids = re.findall(r'"__id__":"(\w+)"', one.spec.model_dump_json(by_alias=True))
    assert len(ids) == len(set(ids)) > 15


def is_of_the_analysis(panel) -> bool:
    tables = {"cells", "transition"}
    of_table = isinstance(panel, wr.CustomChart) and panel.query["summaryTable"]["tableKey"] in tables
    return of_table or isinstance(panel, wr.ScalarChart)


@pytest.mark.parametrize("charts", [{}, CHARTS], ids=["built-in", "custom"])
def test_tables_of_the_analysis_come_from_its_run_alone_and_curves_from_the_cells(charts):
    grids = [block for block in views.report("e", "p", "wide", charts).blocks if isinstance(block, wr.PanelGrid)]
    for grid in grids:
        kind = "analysis" if any(map(is_of_the_analysis, grid.panels)) else "cell"
        (runs,) = grid.runsets
        assert runs.filters == f"Config('kind') = '{kind}' and Config('study') = 'wide'"
    assert len(grids) == 7


def test_the_analysis_is_among_the_first_runs_of_the_workspace():
    assert views.workspace("e", "p", None, CHARTS).runset_settings.order[0].item.name == "kind"


def test_built_in_panels_show_the_law_and_the_recall_of_the_cells():
    law, recalled = panels.law({}), panels.transition({})
    assert [type(panel) for panel in law] == [wr.ScatterPlot, wr.ScatterPlot, wr.ParallelCoordinatesPlot]
    assert [(panel.x.name, panel.y.name, panel.z.name) for panel in law[:2]] == [
        ("rank", "delta_loss_nats", "seq_len"),
        ("seq_len", "delta_loss_nats", "rank"),
    ]
    assert all(panel.log_x and panel.log_y for panel in law[:2])
    metrics = [[column.metric.name for column in panel.columns] for panel in (law[2], *recalled)]
    assert metrics == [["rank", "seq_len", "delta_loss_nats"], ["rank", "seq_len", "recalled_share"]]
    assert not any(isinstance(panel, wr.CustomChart) for panel in every_panel({}))


def test_columns_of_the_config_are_called_as_wandb_calls_them():
    view = views.workspace("e", "p", None, CHARTS)
    assert "config:rank.value" in view.runset_settings.pinned_columns
    assert "summary:delta_loss_nats" in view.runset_settings.pinned_columns


def test_a_study_has_views_of_its_own():
    whole, own = (views.workspace("e", "p", study, CHARTS) for study in (None, "wide"))
    assert whole._internal_name != own._internal_name
    assert "wide" in own.name and "'wide'" in own.runset_settings.filters
    assert whole.runset_settings.filters == ""


@pytest.mark.parametrize("charts", [{}, CHARTS], ids=["built-in", "custom"])
def test_every_name_that_a_panel_shows_is_logged(tiny, charts):
    cell, _ = tiny()
    config = set(run_config(cell))
    summary = {*CURVES, *RESULT_COLUMNS, "law.alpha", "law.beta", "law.r_squared", "law.mape"}
    for panel in every_panel(charts):
        match panel:
            case wr.LinePlot():
                assert set(panel.y) <= set(CURVES), panel.title
                assert panel.x == "step"
            case wr.ScatterPlot():
                assert {panel.x.name, panel.z.name} <= config
                assert panel.y.name in summary
            case wr.ScalarChart():
                assert panel.metric.name in summary
            case wr.BarPlot():
                assert set(panel.metrics) <= summary
            case wr.ParallelCoordinatesPlot():
                assert {column.metric.name for column in panel.columns} <= config | summary
        if isinstance(panel, (wr.LinePlot, wr.BarPlot)) and panel.groupby:
            assert panel.groupby.name in config
    assert set(views.COLUMNS["config"]) <= config
    assert set(views.COLUMNS["summary"]) <= summary


def test_custom_charts_ask_for_what_the_tables_have_and_fill_every_placeholder():
    columns = {
        "cells": {*CELL_COLUMNS.values(), "run"},
        "transition": {"low", "high", "tokens", "right", "study", "condition"},
        "stubborn_tokens": {"pair", "position", "token", "p", "argmax", "argmax_p", "base_nll"},
    }
    charts = [panel for panel in every_panel(CHARTS) if isinstance(panel, wr.CustomChart)]
    assert {panel.chart_name for panel in charts} == set(CHARTS.values())
    for panel in charts:
        assert set(panel.chart_fields.values()) <= columns[panel.query["summaryTable"]["tableKey"]]
        (text,) = (SPECIFICATIONS[name] for name, known in CHARTS.items() if known == panel.chart_name)
        assert set(re.findall(r"\$\{field:(\w+)\}", text)) == set(panel.chart_fields)
        assert set(re.findall(r"\$\{string:(\w+)\}", text)) == set(panel.chart_strings)


def test_custom_charts_draw_their_data():
    vl_convert = pytest.importorskip("vl_convert")
    cells = [
        {"rank": rank, "seq_len": length, "delta_loss_nats": 95 * rank**0.6 * length**-0.5, "law_nats": 9.0,
         "saturated": None if study == "y" else rank == 4, "recalled_share": 0.5, "condition": "a", "study": study}
        for study in ("x", "y") for rank in (1, 2, 4) for length in (64, 128)
    ]  # fmt: skip
    transition = [
        {"low": i / 20, "high": (i + 1) / 20, "tokens": 9, "right": min(1, i / 10), "condition": "a", "study": study}
        for study in ("x", "y") for i in range(20)
    ]  # fmt: skip
    stubborn = [{"position": i, "p": 0.02 * i, "name": "run 1"} for i in range(20)]
    rows = {"cells": cells, "transition": transition, "stubborn_tokens": stubborn}
    for panel in every_panel({name: name for name in SPECIFICATIONS}):
        if isinstance(panel, wr.CustomChart):
            text = re.sub(
                r"\$\{field:(\w+)\}", lambda m, p=panel: p.chart_fields[m[1]], SPECIFICATIONS[panel.chart_name]
            )
            drawn = json.loads(re.sub(r"\$\{string:(\w+)\}", lambda m, p=panel: p.chart_strings[m[1]], text))
            size = {} if "facet" in drawn else {"width": 300, "height": 200}
            drawn |= {"data": {"values": rows[panel.query["summaryTable"]["tableKey"]]}, **size}
            svg = vl_convert.vegalite_to_svg(json.dumps(drawn))
            assert panel.chart_strings["title"] in svg
            if panel.chart_name == "heat_map":
                assert "x: a" in svg and "y: a" in svg  # studies are not averaged
            if panel.chart_name == "transition":
                assert svg.count('aria-roledescription="line mark"') == 2
                assert "x: a" in svg and "y: a" in svg
            if panel.chart_name == "law":
                assert svg.count('aria-roledescription="line mark"') == 2 * (
                    2 if panel.chart_fields["x"] == "rank" else 3
                )
                assert "not fitted" in svg
            marks = len(re.findall(r"<path aria-label|aria-roledescription=\"(?:point|rect mark|text mark)", svg))
            assert marks >= (12 if panel.chart_name in ("law", "heat_map") else 20), panel.chart_name
