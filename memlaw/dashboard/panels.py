"""The panels of a study; the workspace and the report show the same ones.

Curves, summaries and config come from the cells' runs (`memlaw.tracking.contents`). The tables `cells` and
`transition` and the figures come from the analysis run (`memlaw_analysis.commands.publish`).
"""

from collections.abc import Mapping
from typing import Any

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2.interface import PanelTypes

from memlaw.tracking.contents import HISTOGRAM, STRIP, TABLE

RANK, LENGTH, METHOD = wr.Config("rank"), wr.Config("seq_len"), wr.Config("method")
DELTA, RECALLED = "delta_loss_nats", "recalled_share"

SEPARATE = {"study": "study", "condition": "condition"}
"""Columns of the table `cells` that separate cells which must not be averaged in one chart."""

Charts = Mapping[str, str]
"""W&B's name of each custom chart; empty when W&B allows none, and built-in panels replace them."""


def law(charts: Charts) -> list[PanelTypes]:
    """Show ΔL against rank and length, and over both."""
    if not charts:
        return [
            _scatter("ΔL against rank, by length", RANK, DELTA, LENGTH),
            _scatter("ΔL against length, by rank", LENGTH, DELTA, RANK),
            _axes("ΔL over rank and length", DELTA),
        ]
    return [
        _law(charts, "ΔL against rank, with the fitted law", "rank", "seq_len", "rank", "length"),
        _law(charts, "ΔL against length, with the fitted law", "seq_len", "rank", "length (tokens)", "rank"),
        _heat_map(charts, "ΔL over rank and length", DELTA, "ΔL (nats)"),
    ]


def recall() -> list[PanelTypes]:
    """Show the recalled tokens during training."""
    return [_curve("Recalled tokens (p > 0.5) over training", RECALLED, range_y=(0, 1))]


def transition(charts: Charts) -> list[PanelTypes]:
    """Show the recalled tokens at the end, and the transition at p = 0.5."""
    title = "Recalled tokens over rank and length"
    if not charts:
        return [_axes(title, RECALLED)]
    fields = {name: name for name in ("low", "high", "tokens", "right", "study", "condition")}
    return [
        _heat_map(charts, title, RECALLED, "share with p > 0.5"),
        _chart(charts["transition"], "transition", fields, {"title": "P(argmax right | p)"}),
    ]


def convergence() -> list[PanelTypes]:
    """Compare the methods as they converge."""
    return [
        _curve("Loss by method", "loss_nats", groupby=METHOD, log_y=True, title_y="nats per token"),
        _curve("Recalled tokens by method", RECALLED, groupby=METHOD, range_y=(0, 1)),
        _curve("Tokens in training, by method", "active_share", groupby=METHOD, range_y=(0, 1)),
        wr.BarPlot(title="Recalled tokens at the end, by method", metrics=[RECALLED], groupby=METHOD),
        wr.BarPlot(title="Steps trained, by method", metrics=["steps_trained"], groupby=METHOD),
    ]


def stubborn(charts: Charts) -> list[PanelTypes]:
    """Show the tokens that are not recalled, and when each token was learned."""
    tables = [
        wr.MediaBrowser(title="Probability of every token over training", media_keys=[STRIP], num_columns=2),
        wr.WeavePanelSummaryTable(table_name=TABLE),
        _curve("The least probable token", "min_p", range_y=(0, 1)),
        _curve("First stubborn token", "first_stubborn"),
    ]
    if not charts:
        return tables
    columns = {"position": "position", "p": "p"}
    return [*tables, _chart(charts["stubborn"], TABLE, columns, {"title": "The least probable tokens"})]


def training() -> list[PanelTypes]:
    """Show each cell's loss, learning rate and speed."""
    return [
        _curve("Loss", "loss_nats", log_y=True, title_y="nats per token"),
        _curve("ΔL", DELTA, title_y="nats per token"),
        _curve("Learning rate", "learning_rate"),
        _curve("Scored tokens per second", "tokens_per_second"),
        wr.MediaBrowser(title="Distribution of p", media_keys=[HISTOGRAM]),
    ]


def analysis() -> list[PanelTypes]:
    """Show the results of the analysis run."""
    exponents = [
        wr.ScalarChart(title=title, metric=wr.SummaryMetric(f"law.{name}"))
        for name, title in (("alpha", "α"), ("beta", "β"), ("r_squared", "R²"), ("mape", "mean error"))
    ]
    return [*exponents, wr.WeavePanelSummaryTable(table_name="laws"), wr.MediaBrowser(media_keys=["report"])]


def _curve(title: str, metric: str, **options: Any) -> PanelTypes:
    return wr.LinePlot(title=title, x="step", y=[metric], title_x="optimizer steps", max_runs_to_show=100, **options)


def _scatter(title: str, x: wr.Config, y: str, z: wr.Config) -> PanelTypes:
    return wr.ScatterPlot(title=title, x=x, y=wr.SummaryMetric(y), z=z, log_x=True, log_y=True)


def _axes(title: str, metric: str) -> PanelTypes:
    columns = [
        wr.ParallelCoordinatesPlotColumn(RANK, log=True),
        wr.ParallelCoordinatesPlotColumn(LENGTH, log=True),
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(metric)),
    ]
    return wr.ParallelCoordinatesPlot(title=title, columns=columns)


def _chart(name: str, table: str, fields: dict[str, str], strings: dict[str, str]) -> PanelTypes:
    chart = wr.CustomChart.from_table(table, chart_fields=fields, chart_strings=strings)
    chart.chart_name = name
    return chart


def _law(charts: Charts, title: str, x: str, colour: str, x_title: str, colour_title: str) -> PanelTypes:
    fields = {"x": x, "y": DELTA, "law": "law_nats", "colour": colour, "saturated": "saturated"}
    strings = {"title": title, "x": x_title, "y": "ΔL (nats per token)", "colour": colour_title}
    return _chart(charts["law"], "cells", {**fields, **SEPARATE}, strings)


def _heat_map(charts: Charts, title: str, value: str, meaning: str) -> PanelTypes:
    fields = {"rank": "rank", "seq_len": "seq_len", "value": value, **SEPARATE}
    return _chart(charts["heat_map"], "cells", fields, {"title": title, "value": meaning})
