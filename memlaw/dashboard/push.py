"""Views → W&B, or files that show what would be sent."""

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
    except Exception as error:  # an older server, or no right to add charts: built-in panels stand in
        log.warning("W&B takes no custom charts, built-in panels stand in: %s", _first_line(error))
    try:
        api.create_project(project, entity)  # nothing happens to one that exists
        view, page = workspace(entity, project, study, charts), report(entity, project, study, charts)
        view._internal_id = _view_id(entity, project, view._internal_name)
        page.id = next((one.id for one in api.reports(f"{entity}/{project}") if _is_ours(one, page.title)), "")
        return [view.save().url, page.save().url]
    except Exception as error:  # whatever of W&B's classes it is, there is nothing to do but to say it
        raise ConfigError(f"W&B refuses the dashboard of {entity}/{project}: {_first_line(error)}") from error


def _view_id(entity: str, project: str, name: str) -> str:
    """The id of a saved view; empty for none, so that saving makes one."""
    try:
        return internal.View.from_name(entity, project, name).id
    except ValueError:
        return ""


def _is_ours(known: Any, title: str) -> bool:
    """Whether a report is one that a push made; users may give theirs the same title."""
    return known.display_name == title and MARK in (known.description or "")


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def write(entity: str, project: str, study: str | None, target: Path) -> list[Path]:
    """Write what `push` sends: `workspace.json`, `report.json` and `charts/`.

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
