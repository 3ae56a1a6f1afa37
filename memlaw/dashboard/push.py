"""Sends views to W&B, or writes them to files instead."""

import json
import logging
from pathlib import Path
from typing import Any

import wandb
from wandb_workspaces.workspaces import internal

from memlaw.core.errors import ConfigError
from memlaw.core.files import write_json, write_text
from memlaw.dashboard.charts import SPECIFICATIONS, register, registered_name
from memlaw.dashboard.panels import Charts
from memlaw.dashboard.views import MARK, report, workspace
from memlaw.tracking.server import check_server

log = logging.getLogger(__name__)


def push(entity: str, project: str, study: str | None) -> list[str]:
    """Create the workspace and the report, or bring them up to date.

    Args:
        entity, project, study: see `memlaw.dashboard.views.workspace`.

    Returns:
        Their addresses.

    Raises:
        ConfigError: the server cannot be used, or refuses.
    """
    check_server()
    api = wandb.Api()
    charts: Charts = {}
    try:
        charts = register(api, entity)
    except Exception as error:  # an older server, or no right to add charts
        log.warning("W&B refuses custom charts; built-in panels replace them: %s", _first_line(error))
    try:
        api.create_project(project, entity)  # an existing project stays as it is
        view, page = workspace(entity, project, study, charts), report(entity, project, study, charts)
        view._internal_id = _view_id(entity, project, view._internal_name)
        reports = api.reports(f"{entity}/{project}")
        page.id = next((report.id for report in reports if _is_ours(report, page.title)), "")
        return [view.save().url, page.save().url]
    except Exception as error:  # W&B's errors have no common class
        raise ConfigError(f"W&B refuses the dashboard of {entity}/{project}: {_first_line(error)}") from error


def _view_id(entity: str, project: str, name: str) -> str:
    """Look up the id of a saved view; empty for a new view."""
    try:
        return internal.View.from_name(entity, project, name).id
    except ValueError:
        return ""


def _is_ours(report: Any, title: str) -> bool:
    """Tell whether a push made a report; users may give their reports the same title."""
    return report.display_name == title and MARK in (report.description or "")


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def write(entity: str, project: str, study: str | None, target: Path) -> list[Path]:
    """Write the content that `push` sends: `workspace.json`, `report.json` and `charts/`.

    Returns:
        The files.
    """
    charts = {chart: f"{entity}/{registered_name(chart)}" for chart in SPECIFICATIONS}
    view, page = workspace(entity, project, study, charts)._to_model(), report(entity, project, study, charts)
    files = {
        target / "workspace.json": view.spec.model_dump_json(by_alias=True, exclude_none=True),
        target / "report.json": page._to_model().spec.model_dump_json(by_alias=True, exclude_none=True),
    }
    for path, text in files.items():
        write_json(path, json.loads(text))
    for chart, specification in SPECIFICATIONS.items():
        files[target / "charts" / f"{registered_name(chart)}.json"] = specification
        write_text(target / "charts" / f"{registered_name(chart)}.json", specification)
    return list(files)
