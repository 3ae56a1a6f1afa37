"""`python -m analysis.report runs/STUDY`: what a study, several, W&B runs or published points say, as one page.

Writes `report.html`, `cells.csv`, and per condition `law.json`, `fit_card.md`, tables and figures.
"""

import argparse
import hashlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from analysis.card import markdown
from analysis.check import differences
from analysis.findings import Findings, find
from analysis.load import (
    NoCells,
    all_tokens,
    condition_title,
    conditions,
    load_points,
    load_studies,
    unfinished,
    without_tokens,
    write_table,
)
from analysis.methods import Comparison, compare_methods, variants
from analysis.page import Condition, page, svg
from analysis.part import RECORDS, Part, condition_part, methods_part
from analysis.terminal import print_sections
from memlaw.conditions import PROTOCOL
from memlaw.errors import refuse
from memlaw.files import atomic_path, write_json, write_text

TOGETHER, METHODS = "models together", "methods"


def findings_of(table: pd.DataFrame, with_tokens: bool) -> Iterator[Findings]:
    """The findings of each condition of a table, and of models together where only the model differs.

    Args:
        table: of studies or W&B runs.
        with_tokens: whether the cells' token tables are on disk.
    """
    for label, cells in conditions(table):
        complete = with_tokens and not without_tokens(cells)
        yield find(cells, condition_title(cells, label), label, all_tokens(cells) if complete else None)
    for label, cells in conditions(table, ignoring=("model.",)):
        if cells["model.name"].nunique() > 1:
            together = f"{TOGETHER} {label}".strip()
            yield find(cells, f"{cells['data.name'].iloc[0]} {together}", together, None)


def comparisons_of(table: pd.DataFrame, found: list[Findings]) -> Iterator[Comparison]:
    """Methods side by side, wherever only the method differs, and what a method's protocol takes with it.

    Args:
        table: the cells of `found`.
        found: `findings_of` it; cells appear there with what their tokens say.
    """
    known = [one for one in found if TOGETHER not in one.label]
    cells = pd.concat([one.cells for one in known], ignore_index=True)
    history = pd.concat([one.tokens.history for one in known if one.tokens] or [pd.DataFrame()], ignore_index=True)
    for label, rows in conditions(table, ignoring=("method.",), following=PROTOCOL):
        if variants(rows).nunique() > 1:
            own = cells[cells["cell"].isin(rows["cell"])].reset_index(drop=True)
            models = ", ".join(map(str, own["model.name"].unique()))
            title = " ".join([models, str(own["data.name"].iloc[0]), METHODS, label]).strip()
            evaluated = history[history["cell"].isin(own["cell"])] if len(history) else history
            yield compare_methods(own, evaluated, f"{METHODS} {label}".strip(), title)


def write_part(part: Part, directory: Path, console: Console) -> Condition:
    """Write the files of a part, print it, and return what the page shows of it."""
    print_sections(part.sections, part.title, console)
    write_json(directory / part.record_file, part.record)
    if part.card:
        write_text(directory / "fit_card.md", markdown(part.card))
    for name, rows in part.tables.items():
        write_table(rows, directory / f"{name}.csv")
    anchor, drawn = slug(part.label) or "all", part.draw()
    with ProcessPoolExecutor() as pool:  # drawing is most of a report's time
        elements = pool.map(write_figure, drawn.values(), (directory / name for name in drawn), repeat(anchor))
    return Condition(anchor, part.title, part.sections, dict(zip(drawn, elements, strict=True)), part.card)


def write_figure(figure: Figure, path: Path, anchor: str) -> str:
    """Write a figure as `path`.svg and `path`.png; returns the SVG element, whose ids begin with `anchor`."""
    element = svg(figure, f"{anchor}-{path.name}")
    write_text(path.with_name(f"{path.name}.svg"), element)
    figure.set_layout_engine("none")  # laid out once already
    with atomic_path(path.with_name(f"{path.name}.png")) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return element


def slug(label: str) -> str:
    """A label as the name of a directory; one that loses characters gets a hash, so that no two become one."""
    plain = re.sub(r"[^\w.=]+", "_", label)
    return plain if plain == label.replace(" ", "_") else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"


def write_report(
    parts: list[Part],
    table: pd.DataFrame,
    target: Path,
    study: Path | None,
    left: pd.DataFrame | None,
    console: Console,
) -> None:
    """Write a report's directory anew, whole or not at all.

    Args:
        parts: conditions, and methods side by side.
        table: all cells.
        target: the directory; an earlier report there is replaced.
        study: the study that gives the report its name; None is the target's.
        left: `analysis.load.unfinished`, if known.
        console: where the summary goes.
    """
    with atomic_path(target) as directory:
        write_table(table, directory / "cells.csv")
        shown = [write_part(part, directory / slug(part.label), console) for part in parts]
        command = shlex.join(["python", "-m", "analysis.report", *sys.argv[1:]])
        conditions_shown = sum(part.record_file == RECORDS[0] for part in parts)
        subtitle = f"{len(table)} cells in {conditions_shown} condition{'s' if conditions_shown > 1 else ''}"
        name = study.resolve().name if study else target.name
        text = page(f"memlaw report: {name}", subtitle, shown, left, [command, f"{command} --check"])
        write_text(directory / "report.html", text)
    console.print(f"Report: {target / 'report.html'}", soft_wrap=True, highlight=False)


def check_target(target: Path) -> None:
    """Refuse a directory that holds something else than a report, for a report replaces all of it.

    Raises:
        NoCells: it does.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / "report.html").exists()):
        raise NoCells(f"{target} holds something else than a report; name another directory with --out")


def check_report(parts: list[Part], target: Path, console: Console) -> bool:
    """Whether every number of a written report comes out again; prints what moved."""
    moved, known = [], set()
    for part in parts:
        file = target / slug(part.label) / part.record_file
        known.add(str(file.relative_to(target)))
        if not file.exists():
            moved.append(f"{file} is missing")
            continue
        before, now = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(part.record))
        for line in differences(before.pop("versions", {}), now.pop("versions", {}), "versions"):
            console.print(f"Note: {line}", soft_wrap=True, highlight=False, markup=False)
        moved += [f"{file.relative_to(target)}: {line}" for line in differences(before, now)]
    stale = {str(path.relative_to(target)) for name in RECORDS for path in target.glob(f"*/{name}")} - known
    moved += [f"{name} is of a condition that the cells no longer have" for name in sorted(stale)]
    for line in moved:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print("The report's numbers moved." if moved else f"Every number of {target} comes out again.",
                  soft_wrap=True, highlight=False)  # fmt: skip
    return not moved


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="*", help="directories of studies, e.g. runs/default")
    parser.add_argument("--points", type=Path, help="a CSV of rank, seq_len, delta_loss_nats (and seed), instead")
    parser.add_argument("--base-loss", type=float, help="L0 of the points, nats per token")
    parser.add_argument("--wandb", metavar="ENTITY/PROJECT", help="the finished cells among a W&B project's runs")
    parser.add_argument("--out", type=Path, help="where the report goes (default: STUDY/report, or NAME-report)")
    parser.add_argument("--check", action="store_true", help="refit, write nothing, and fail if any number moved")
    return parser


def main() -> None:
    """Command line entry; exit code 2 for what the user can mend, 1 where a check finds that a number moved."""
    parser = _parser()
    given = parser.parse_args()
    if sum(bool(source) for source in (given.studies, given.points, given.wandb)) != 1:
        parser.error("give studies, --points or --wandb, one of the three")
    if given.points and given.base_loss is None:
        parser.error("--points needs --base-loss")
    left: pd.DataFrame | None = None
    study: Path | None = None
    try:
        if given.points:
            table = load_points(given.points, given.base_loss)
            target = given.out or given.points.with_name(f"{given.points.stem}-report")
            found = [find(table, given.points.stem, "", None)]
        elif given.wandb:
            from analysis.wandb_runs import load_wandb

            table = load_wandb(given.wandb)
            target = given.out or Path(f"{slug(given.wandb)}-report")
            found = list(findings_of(table, with_tokens=False))
        else:
            table = load_studies(given.studies)
            target = given.out or given.studies[0] / "report"
            left = pd.concat([unfinished(path) for path in given.studies], ignore_index=True)
            study = given.studies[0]
            found = list(findings_of(table, with_tokens=True))
        if not given.check:
            check_target(target)
        console = Console()
        parts = [condition_part(one, study) for one in found]
        if not given.points:
            parts += [methods_part(one) for one in comparisons_of(table, found)]
        if given.check:
            sys.exit(0 if check_report(parts, target, console) else 1)
        write_report(parts, table, target, study, left, console)
    except (NoCells, OSError) as error:  # no cells, or nowhere to write
        refuse(error)


if __name__ == "__main__":
    main()
