"""Makes the saved workspace and the report from panels, without I/O. Equal arguments give equal views and ids."""

import hashlib
from functools import partial

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import BlockTypes, Panel, PanelTypes

from memlaw.dashboard import panels
from memlaw.dashboard.panels import Charts
from memlaw.tracking.contents import ANALYSIS, CELL

COLUMNS = {
    "run": ("displayName", "state"),
    "config": ("model", "data", "method", "rank", "seq_len", "seed"),
    "summary": (
        "delta_loss_nats",
        "loss_nats",
        "base_loss_nats",
        "recalled_share",
        "recall_exact_share",
        "min_p",
        "first_stubborn",
        "bits_per_parameter",
        "bits_per_effective_parameter",
        "steps_trained",
        "stop_reason",
    ),
}
"""The run table, from left to right."""

MARK = "Made by `memlaw dashboard push`, which replaces it when it is run again."
"""The end of a report's description. A later push finds the report by it and the title."""

ORDER = ("seq_len", "rank", "seed")
"""Config keys to sort runs by."""

LAW = r"\Delta L(r, \ell) = C \cdot r^{\alpha} \cdot \ell^{-\beta} + b"
WIDTH, HEIGHT, ACROSS = 8, 7, 3
"""A panel's size in the report, in W&B's units of 1/24 of the report's width, and the panels in a row."""


def workspace(entity: str, project: str, study: str | None, charts: Charts) -> ws.Workspace:
    """Make the saved view of a project's runs.

    Args:
        entity, project: of the runs.
        study: show only its runs; None for all.
        charts: see `memlaw.dashboard.panels.Charts`.
    """
    sections = [
        ("The law", panels.law(charts)),
        ("Recall", [*panels.recall(), *panels.transition(charts)]),
        ("Convergence by method", panels.convergence()),
        ("Stubborn tokens", panels.stubborn(charts)),
        ("Training", panels.training()),
        ("Analysis", panels.analysis()),
    ]
    view = ws.Workspace(
        entity=entity,
        project=project,
        name=_title(study),
        sections=[
            ws.Section(name=name, panels=_with_ids(f"view/{name}", section), is_open=True) for name, section in sections
        ],
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=_filter(study=study),
            order=[expr.Ordering(expr.Config(name)) for name in ("kind", *ORDER)],  # the analysis is among the first
            pinned_columns=_columns(),
        ),
    )
    view._internal_name = f"nw-memlaw{_id(study or '')[:6]}-v"  # by this name a later push finds it
    view._internal_runset_id = _id("view/runs")
    return view


def _columns() -> list[str]:
    """List the columns of the run table by W&B's names."""
    return [f"{kind}:{name}{'.value' * (kind == 'config')}" for kind, names in COLUMNS.items() for name in names]


def report(entity: str, project: str, study: str | None, charts: Charts) -> wr.Report:
    """Make the report of the same runs.

    Args:
        entity, project, study, charts: see `workspace`.
    """
    cells, analysis = partial(_runset, "Cells", study, CELL), partial(_runset, "Analysis", study, ANALYSIS)
    of_tables = analysis if charts else cells  # a run set has at most 500 runs, so the analysis has one of its own
    table = cells()
    table.pinned_columns = _columns()
    by_method = _runset("By method", study, CELL)
    by_method.groupby = ["config.method"]
    blocks: list[BlockTypes] = [
        wr.TableOfContents(),
        wr.H1("The law"),
        wr.LatexBlock(LAW),
        wr.P(
            "ΔL is how far an adapter lowers the mean loss (nats per token) of a text that it must store, r its rank, "
            "ℓ the text's length in tokens. Crosses are saturated cells, which say nothing about the law; triangles "
            "are cells without a fitted law; the dashed lines are the fit of the latest `memlaw publish`."
        ),
        _grid("law", panels.law(charts), of_tables()),
        wr.H1("Recall"),
        wr.P("A token with p > 0.5 comes back under greedy decoding for certain; the converse does not hold."),
        _grid("recall", panels.recall(), cells()),
        _grid("transition", panels.transition(charts), of_tables()),
        wr.H1("Methods"),
        wr.P("Loss, recalled tokens and what is still trained, averaged over the cells of each training method."),
        _grid("convergence", panels.convergence(), by_method),
        wr.H1("Stubborn tokens"),
        wr.P("Tokens with p ≤ 0.5 at the end, and each token's probability at each evaluation (first on top)."),
        _grid("stubborn", panels.stubborn(charts), cells()),
        wr.H1("Cells"),
        wr.P("Every cell with its measures. Group by rank, length, model, method or seed at the table's head."),
        _grid("training", panels.training(), table),
        wr.H1("Analysis"),
        wr.P("The fitted parameters with their errors, and the whole report with its figures, from the analysis run."),
        _grid("analysis", panels.analysis(), analysis()),
    ]
    return wr.Report(
        entity=entity,
        project=project,
        title=_title(study),
        description=f"How much the adapters of this project memorize verbatim. {MARK}",
        blocks=blocks,
        width="fluid",
    )


def _title(study: str | None) -> str:
    return f"memlaw: {study}" if study else "memlaw"


def _filter(**wanted: str | None) -> str:
    """Return W&B's expression for runs whose config has these values; None allows any value."""
    return " and ".join(f"Config({name!r}) = {value!r}" for name, value in wanted.items() if value is not None)


def _runset(name: str, study: str | None, kind: str) -> wr.Runset:
    """Select runs of the report's project."""
    order = [wr.OrderBy(wr.Config(key), ascending=True) for key in ORDER]
    return wr.Runset(name=name, filters=_filter(kind=kind, study=study), order=order)


def _grid(name: str, grid_panels: list[PanelTypes], runs: wr.Runset) -> wr.PanelGrid:
    runs._id = _id(f"report/{name}/runs")
    for number, panel in enumerate(grid_panels):
        assert isinstance(panel, Panel)
        row, column = divmod(number, ACROSS)
        panel.layout = wr.Layout(x=column * WIDTH, y=row * HEIGHT, w=WIDTH, h=HEIGHT)
    return wr.PanelGrid(runsets=[runs], panels=_with_ids(f"report/{name}", grid_panels))


def _with_ids(name: str, named_panels: list[PanelTypes]) -> list[PanelTypes]:
    """Give panels ids that follow from `name`, in place of W&B's random ones."""
    for number, panel in enumerate(named_panels):
        assert isinstance(panel, Panel)
        panel._id = _id(f"{name}/{number}")
    return named_panels


def _id(name: str) -> str:
    return hashlib.sha256(f"memlaw/{name}".encode()).hexdigest()[:12]
