"""`memlaw report runs/STUDY`: report on studies, W&B runs or published points, on one page.

Prints a summary and writes `report.html`, `cells.csv`, and per condition `law.json`, `fit_card.md`, tables and figures.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console

from analysis.findings import find
from analysis.load import NoCells, load_points, load_studies, unfinished
from analysis.part import Part, findings_part, study_parts
from analysis.report_files import PAGE, check_target, moved_numbers, write_report
from analysis.terminal import print_summary
from memlaw.conditions import short_name
from memlaw.errors import refuse


def check_report(parts: list[Part], target: Path, console: Console) -> bool:
    """Print which numbers of a written report moved; return whether none did."""
    moved, versions = moved_numbers(parts, target)
    verdict = "The report's numbers moved." if moved else f"Every number of {target} comes out again."
    for line in (*(f"Note: {line}" for line in versions), *moved, verdict):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return not moved


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="memlaw report", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="*", help="directories of studies, e.g. runs/default")
    parser.add_argument("--points", type=Path, help="a CSV of rank, seq_len, delta_loss_nats (and seed), instead")
    parser.add_argument("--base-loss", type=float, help="L0 of the points, nats per token")
    parser.add_argument("--wandb", metavar="ENTITY/PROJECT", help="the finished cells among a W&B project's runs")
    parser.add_argument("--out", type=Path, help="where the report goes (default: STUDY/report, or NAME-report)")
    parser.add_argument("--check", action="store_true", help="refit, write nothing, and fail if any number moved")
    return parser


def main() -> None:
    """Write or check a report; exit code 2 for what the user can mend, 1 where a check finds that a number moved."""
    parser = _parser()
    given = parser.parse_args()
    if sum(bool(source) for source in (given.studies, given.points, given.wandb)) != 1:
        parser.error("give studies, --points or --wandb, one of the three")
    if given.points and given.base_loss is None:
        parser.error("--points needs --base-loss")
    try:
        _report(given, Console())
    except (NoCells, OSError) as error:  # no cells, or nowhere to write
        refuse(error)


def _report(given: argparse.Namespace, console: Console) -> None:
    target = given.out or _target(given)
    if not given.check:
        check_target(target)
    left: pd.DataFrame | None = None
    if given.points:
        table = load_points(given.points, given.base_loss)
        parts = [findings_part(find(table, given.points.stem, "", None), None)]
    elif given.wandb:
        from analysis.wandb_runs import load_wandb

        table = load_wandb(given.wandb)
        parts = list(study_parts(table, None, with_tokens=False))
    else:
        table = load_studies(given.studies)
        left = pd.concat([unfinished(path) for path in given.studies], ignore_index=True)
        parts = list(study_parts(table, given.studies[0], with_tokens=True))
    if given.check:
        sys.exit(0 if check_report(parts, target, console) else 1)
    name = given.studies[0].resolve().name if given.studies else target.name
    write_report(parts, table, target, name, left)
    source = given.wandb or ", ".join(map(str, given.studies or [given.points]))
    print_summary(parts, source, len(table), console)
    console.print(f"\nReport: {target / PAGE}, tables beside it", soft_wrap=True, highlight=False)


def _target(given: argparse.Namespace) -> Path:
    """Where a report goes unless `--out` says so."""
    if given.points:
        return given.points.with_name(f"{given.points.stem}-report")
    return Path(f"{short_name(given.wandb)}-report") if given.wandb else given.studies[0] / "report"


if __name__ == "__main__":
    main()
