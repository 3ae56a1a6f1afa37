"""A written report as a W&B run. Importing this module imports W&B, which takes a second."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import wandb

from memlaw.core.errors import ConfigError, one_line
from memlaw.core.json_file import read_object
from memlaw.tracking.artifacts import add_files, artifact_name
from memlaw.tracking.contents import ANALYSIS, study_digest
from memlaw.tracking.mode import base_url, resolve_mode
from memlaw.tracking.names import shortened
from memlaw.tracking.wandb_service import finish_run, init_run
from memlaw_analysis.figures.choice import CAPTIONS
from memlaw_analysis.report.files import PAGE
from memlaw_analysis.report.part import RECORD_FILES
from memlaw_analysis.report.wandb_tables import cells_table, headline, law_row

log = logging.getLogger(__name__)

TABLES = ("cells", "laws", "transition")

Records = Mapping[Path, Mapping[str, Any]]
"""Directory of a part with a law → the content of its `law.json`."""


def publish(study: Path, mode: str, project: str, entity: str | None, timeout_s: float) -> str:
    """Log a study's written report as a run. A second call continues the same run.

    Args:
        study: the study's directory, with its report in `report/`.
        mode: see `memlaw.tracking.mode.resolve_mode`.
        project, entity: where the run goes; None is the account's default.
        timeout_s: how long to wait for the server.

    Returns:
        The run's address, or its directory when it is offline.

    Raises:
        ConfigError: there is no report, a file of it cannot be read, the mode is unknown or disabled, or the server
            does not take the run.
    """
    report = study / "report"
    parts = part_directories(report)
    resolved = resolve_mode(mode)
    if resolved == "disabled":
        raise ConfigError("W&B is disabled, so there is nowhere to publish to; --mode=offline keeps the run on disk")
    try:
        records = {part: read_object(part / "law.json") for part in parts if (part / "law.json").exists()}
        laws = [law_row(record) for record in records.values()]
        cells = _cells(report, records)
        transition = _transition(study, records)
    except (ValueError, KeyError, TypeError) as error:  # a file that someone changed; pandas' own are ValueErrors
        raise ConfigError(
            f"{report} cannot be read: {one_line(error)}; write it again: memlaw report {study}"
        ) from error
    try:
        run = init_run(
            study,
            mode=resolved,
            timeout_s=timeout_s,
            project=project,
            entity=entity,
            id=f"{study_digest(study)}-analysis",
            name=shortened(f"{study.name}: analysis"),
            job_type=ANALYSIS,
            config={"kind": ANALYSIS, "study": study.name, "conditions": [row["condition"] for row in laws]},
            notes="\n\n".join(path.read_text(encoding="utf-8") for part in parts for path in part.glob("fit_card.md")),
        )
    except Exception as error:  # no server, a wrong key: all end here, after W&B's retries
        raise ConfigError(f"W&B at {base_url()}: {one_line(error)}") from error
    if not run.offline:
        cells["run"] = [run.url.rpartition("/")[0] + f"/{name}" for name in cells["run"]]
        _use_records(run, cells["run"])
    tables = {"cells": cells, "laws": pd.DataFrame(laws), **({} if transition is None else {"transition": transition})}
    figures = _figures(parts, report)
    page = wandb.Html((report / PAGE).read_text(encoding="utf-8"))
    run.log({**{name: _table(rows) for name, rows in tables.items()}, **figures, "report": page})
    _remove_stale(run, {*tables, *figures})
    run.summary.update({"law": {name: value for name, value in headline(laws).items() if value is not None}})
    artifact = wandb.Artifact(shortened(artifact_name(f"report-{study.name}")), type="report")
    add_files(artifact, [report])
    run.log_artifact(artifact)
    address = run.dir if run.offline else run.url
    finish_run(run)
    return str(address)


def part_directories(report: Path) -> list[Path]:
    """Return the directories of a written report's parts.

    Raises:
        ConfigError: there is no report.
    """
    if not (report / PAGE).exists():
        raise ConfigError(f"no report in {report}; write it first: memlaw report {report.parent}")
    return sorted(
        {path.parent for name in set(RECORD_FILES.values()) for path in (*report.glob(name), *report.glob(f"*/{name}"))}
    )


def _cells(report: Path, records: Records) -> pd.DataFrame:
    """The table `cells`: all cells with the law of their condition."""
    points = {record["condition"]: part / "points.csv" for part, record in records.items()}
    fitted = {title: pd.read_csv(file) for title, file in points.items() if file.exists()}
    return cells_table(pd.read_csv(report / "cells.csv"), fitted)


def _transition(study: Path, records: Records) -> pd.DataFrame | None:
    """The table `transition` of all conditions; None where no token table was read."""
    tables = [
        pd.read_csv(part / "transition.csv").assign(study=study.name, condition=record["condition"])
        for part, record in records.items()
        if (part / "transition.csv").exists()
    ]
    return pd.concat(tables) if tables else None


def _use_records(run: Any, cells: pd.Series) -> None:
    """Link the run to the records of the cells that the analysis used. A missing record costs a warning."""
    for name in cells.str.rpartition("/")[2]:
        try:
            run.use_artifact(f"records-{name}:latest")
        except Exception as error:  # W&B has no one class for a record that was never uploaded
            log.warning("W&B: no lineage to the records of %s: %s", name, one_line(error))


def _remove_stale(run: Any, current: set[str]) -> None:
    """Remove tables and figures of an earlier report that this one no longer has."""
    for name in set(run.summary.keys()) - current:
        if name in TABLES or name.startswith("figures/"):
            del run.summary[name]


def _table(rows: pd.DataFrame) -> wandb.Table:
    plain = rows.astype(object).where(rows.notna(), None)
    return wandb.Table(columns=list(plain.columns), data=plain.to_numpy().tolist())


def _figures(parts: Sequence[Path], report: Path) -> dict[str, wandb.Image]:
    """Every figure under `figures/`; those of several parts are in folders of their own."""
    return {
        "/".join(("figures", *path.relative_to(report).with_suffix("").parts)): wandb.Image(
            str(path), caption=CAPTIONS.get(path.stem)
        )
        for part in parts
        for path in sorted(part.glob("*.png"))
    }
