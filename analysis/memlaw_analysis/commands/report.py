"""`memlaw report runs/STUDY`: report on studies, W&B runs or published points, on one page.

Prints a summary and writes `report.html`, `cells.csv`, and per condition `law.json`, `fit_card.md`, tables and figures.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from memlaw.core.errors import ConfigError, refuse
from memlaw.study.conditions import short_name
from memlaw_analysis.findings import find
from memlaw_analysis.report.check import moved_numbers
from memlaw_analysis.report.files import PAGE, check_target, write_report
from memlaw_analysis.report.part import Part, findings_part
from memlaw_analysis.report.study_parts import study_parts
from memlaw_analysis.report.terminal import print_summary
from memlaw_analysis.tables.points import load_points
from memlaw_analysis.tables.studies import NoCells, load_studies, unfinished


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="memlaw report", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="*", help="directories of studies, e.g. runs/default")
    parser.add_argument("--points", type=Path, help="in place of studies, a CSV: rank, seq_len, delta_loss_nats, seed")
    parser.add_argument("--base-loss", type=float, help="L0 of the points, nats per token")
    parser.add_argument("--wandb", metavar="ENTITY/PROJECT", help="in place of studies, runs of a W&B project")
    parser.add_argument("--out", type=Path, help="directory of the report (default: STUDY/report, or NAME-report)")
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
    except (NoCells, ConfigError, OSError) as error:  # no cells, or nowhere to write
        refuse(error)


def _report(given: argparse.Namespace, console: Console) -> None:
    target = given.out or _default_target(given)
    if not given.check:
        check_target(target)
    table, parts, not_done = _read(given)
    if given.check:
        sys.exit(0 if _check(parts, target, console) else 1)
    name = given.studies[0].resolve().name if given.studies else target.name
    write_report(parts, table, target=target, name=name, unfinished=not_done)
    source = given.wandb or ", ".join(map(str, given.studies or [given.points]))
    print_summary(parts, source, len(table), console)
    console.print(f"\nReport: {target / PAGE}, tables beside it", soft_wrap=True, highlight=False, markup=False)


def _read(given: argparse.Namespace) -> tuple[pd.DataFrame, list[Part], pd.DataFrame | None]:
    """The cells, the parts of their report, and the planned cells that are not done, where those are known."""
    if given.points:
        table = load_points(given.points, given.base_loss)
        return table, [findings_part(find(table, given.points.stem, "", None), None)], None
    if given.wandb:
        from memlaw_analysis.tables.wandb_runs import load_wandb

        table = load_wandb(given.wandb)
        return table, list(study_parts(table, None, with_tokens=False)), None
    table = load_studies(given.studies)
    not_done = pd.concat([unfinished(path) for path in given.studies], ignore_index=True)
    return table, list(study_parts(table, given.studies[0], with_tokens=True)), not_done


def _check(parts: Sequence[Part], target: Path, console: Console) -> bool:
    """Print which numbers of a written report moved; return whether none did."""
    moved, versions = moved_numbers(parts, target)
    verdict = "The report's numbers moved." if moved else f"Every number of {target} comes out again."
    for line in (*(f"Note: {line}" for line in versions), *moved, verdict):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return not moved


def _default_target(given: argparse.Namespace) -> Path:
    """Directory of the report without `--out`."""
    if given.points:
        return given.points.with_name(f"{given.points.stem}-report")
    if len(given.studies) > 1:
        raise ConfigError("a report of several studies needs --out DIRECTORY")
    return Path(f"{short_name(given.wandb)}-report") if given.wandb else given.studies[0] / "report"


if __name__ == "__main__":
    main()
