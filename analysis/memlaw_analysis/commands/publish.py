"""`memlaw publish runs/STUDY`: a study's report as a W&B run of its own, linked to the cells' runs.

The run holds the law's parameters in its summary under `law`, tables `cells`, `laws` and `transition`, the figures,
the whole page, the fit card as its notes, and the report's files as an artifact made of the cells' records.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from memlaw.config.values import check_number
from memlaw.core.errors import ConfigError, one_line, refuse
from memlaw.tracking.contents import ANALYSIS, study_digest
from memlaw.tracking.mode import MODES, base_url, check_name, resolve_mode
from memlaw.tracking.names import shortened
from memlaw_analysis.figures.choice import MEANING
from memlaw_analysis.report.part import RECORD_FILES
from memlaw_analysis.tables.studies import NoCells

log = logging.getLogger(__name__)

CELL_COLUMNS = {
    "cell": "cell",
    "condition": "condition",
    "study": "study",
    "model.name": "model",
    "data.name": "data",
    "method.name": "method",
    "lora.rank": "rank",
    "seq_len": "seq_len",
    "seed": "seed",
    "base_loss_nats": "base_loss_nats",
    "loss_nats": "loss_nats",
    "delta_loss_nats": "delta_loss_nats",
    "law_nats": "law_nats",
    "saturated": "saturated",
    "recalled_share": "recalled_share",
    "recall_exact_share": "recall_exact_share",
    "min_p": "min_p",
    "bits_per_parameter": "bits_per_parameter",
    "steps_trained": "steps_trained",
}
"""The table `cells`: a column of the report's tables → its name in W&B; `run` with each cell's run comes last."""

TABLES = ("cells", "laws", "transition")

LAW_COLUMNS = ["cell", "condition", "law_nats", "saturated"]
"""What the fits say of each cell."""


def parts_of(report: Path) -> list[Path]:
    """The directories of a written report's parts.

    Raises:
        NoCells: there is no report.
    """
    if not (report / "report.html").exists():
        raise NoCells(f"no report in {report}; write it first: memlaw report {report.parent}")
    return sorted(
        {path.parent for name in set(RECORD_FILES.values()) for path in (*report.glob(name), *report.glob(f"*/{name}"))}
    )


def law_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A condition's `law.json` as one flat row; intervals are 95 % profile likelihood, an open side is None."""
    row = {name: record.get(name) for name in ("condition", "cells", "fitted", "identified", "r_squared", "cells_used")}
    for name, parameter in (record.get("parameters") or {}).items():
        low, high = parameter["profile_95"] or (None, None)
        row |= {name: parameter["value"], f"{name}_stderr": parameter["stderr"]}
        row |= {f"{name}_low": low, f"{name}_high": high}
    return row


def headline(laws: list[dict[str, Any]]) -> dict[str, Any]:
    """The law that stands for the study: of the identified ones, else of all fitted, that of most cells."""
    fitted = [row for row in laws if row["fitted"]]
    return max(fitted, key=lambda row: (bool(row["identified"]), row["cells_used"]), default={})


def cells_table(cells: pd.DataFrame, points: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All cells with the law of their condition; columns are those of `CELL_COLUMNS` that are known, and `run`.

    `condition`, `law_nats` and `saturated` are always there; the latter two are null where no law was fitted.

    Args:
        cells: the report's `cells.csv`.
        points: each condition's `points.csv`, by title.
    """
    fitted = [rows.assign(condition=title) for title, rows in points.items()]
    laws = pd.concat([pd.DataFrame(columns=LAW_COLUMNS), *fitted])[LAW_COLUMNS]
    cells = cells.merge(laws, on=["cell", "condition"], how="left")
    runs = [_run_id(*row) for row in zip(cells["study"], cells["cell"], strict=True)]
    cells = cells.assign(study=[Path(study).name for study in cells["study"]])
    return cells[[name for name in CELL_COLUMNS if name in cells]].rename(columns=CELL_COLUMNS).assign(run=runs)


def _run_id(study: str, cell: str) -> str:
    return f"{study_digest(Path(study))}-{cell.rpartition('-')[2]}"


def publish(study: Path, mode: str, project: str, entity: str | None, timeout_s: float) -> str:
    """Log a study's written report as a run; repeated, it goes on with the same run.

    Args:
        study: the study's directory, with its report in `report/`.
        mode: see `memlaw.tracking.mode.resolve_mode`.
        project, entity: where to; None is the account's default.
        timeout_s: how long to wait for the server.

    Returns:
        The run's address, or its directory when it is offline.

    Raises:
        NoCells: there is no report.
        ConfigError: the mode is unknown or disabled, or the server cannot be had.
    """
    import wandb

    from memlaw.tracking.artifacts import add_files, artifact_name
    from memlaw.tracking.wandb_service import finish_run, init_run

    report = study / "report"
    parts = parts_of(report)
    resolved = resolve_mode(mode)
    if resolved == "disabled":
        raise ConfigError("W&B is disabled, so there is nowhere to publish to; --mode=offline keeps the run on disk")
    records = {part: json.loads((part / "law.json").read_text(encoding="utf-8"))
               for part in parts if (part / "law.json").exists()}  # fmt: skip
    laws = [law_row(record) for record in records.values()]
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
    cells = cells_table(
        pd.read_csv(report / "cells.csv"),
        {record["condition"]: pd.read_csv(part / "points.csv")
         for part, record in records.items() if (part / "points.csv").exists()},
    )  # fmt: skip
    if not run.offline:
        cells["run"] = [run.url.rpartition("/")[0] + f"/{name}" for name in cells["run"]]
        _come_from(run, cells["run"])
    page = wandb.Html((report / "report.html").read_text(encoding="utf-8"))
    tables = {"cells": _table(cells), "laws": _table(pd.DataFrame(laws)), **_transition(study, records)}
    figures = _figures(parts, report)
    run.log({**tables, **figures, "report": page})
    for name in set(run.summary.keys()) - {*tables, *figures}:  # of an earlier report, and no longer in it
        if name in TABLES or name.startswith("figures/"):
            del run.summary[name]
    run.summary.update({"law": {name: value for name, value in headline(laws).items() if value is not None}})
    artifact = wandb.Artifact(shortened(artifact_name(f"report-{study.name}")), type="report")
    add_files(artifact, [report])
    run.log_artifact(artifact)
    address = run.url if not run.offline else run.dir
    finish_run(run)
    return str(address)


def _come_from(run: Any, cells: pd.Series) -> None:
    """Tell W&B's lineage which cells' records the analysis used; one that is not there costs a warning."""
    for name in cells.str.rpartition("/")[2]:
        try:
            run.use_artifact(f"records-{name}:latest")
        except Exception as error:  # W&B has no one class for a record that was never uploaded
            log.warning("W&B: no lineage to the records of %s: %s", name, one_line(error))


def _table(rows: pd.DataFrame) -> Any:
    import wandb

    plain = rows.astype(object).where(rows.notna(), None)
    return wandb.Table(columns=list(plain.columns), data=plain.to_numpy().tolist())


def _transition(study: Path, records: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    tables = [
        pd.read_csv(part / "transition.csv").assign(study=study.name, condition=record["condition"])
        for part, record in records.items()
        if (part / "transition.csv").exists()
    ]
    return {"transition": _table(pd.concat(tables))} if tables else {}


def _figures(parts: list[Path], report: Path) -> dict[str, Any]:
    """Every figure under `figures/`, those of several parts in folders of their own."""
    import wandb

    return {
        "/".join(("figures", *path.relative_to(report).with_suffix("").parts)): wandb.Image(
            str(path), caption=MEANING.get(path.stem)
        )
        for part in parts
        for path in sorted(part.glob("*.png"))
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="memlaw publish", description=__doc__)
    parser.add_argument("study", type=Path, help="directory of the study, runs/<study>, with its report/")
    parser.add_argument("--entity", help="W&B team or user; default: the account's")
    parser.add_argument("--project", default="memlaw", help="W&B project (memlaw)")
    parser.add_argument("--mode", default="auto", choices=MODES, help="as logger.mode (auto)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for the server (60)")
    given = parser.parse_args()
    try:
        check_name("--project", given.project)
        if given.entity is not None:
            check_name("--entity", given.entity)
        check_number("--timeout", given.timeout, "a number above 0", lambda value: value > 0)
        print(publish(given.study.resolve(), given.mode, given.project, given.entity, given.timeout))
    except (NoCells, ConfigError, OSError) as error:
        refuse(error)


if __name__ == "__main__":
    main()
