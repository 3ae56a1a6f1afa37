"""`memlaw doctor`: check this machine or cluster before a sweep, and say what to do about each problem."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memlaw.config.command_line import as_typed
from memlaw.config.compose import compose_config, first_values
from memlaw.config.explain import explained
from memlaw.core.errors import ConfigError, refuse
from memlaw.core.paths import add_checkout
from memlaw.doctor import installation
from memlaw.doctor.verdict import Verdict

add_checkout()

WORDS = {"green": "ok", "yellow": "look", "red": "bad"}


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Make a table with a row per check, and its remedy below it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for verdict in verdicts:
        table.add_row(f"[{verdict.level}]{WORDS[verdict.level]}[/]", verdict.check, escape(verdict.finding))
        if verdict.remedy:
            table.add_row("", "", f"[dim]→ {escape(verdict.remedy)}[/]")
    return table


def _red(verdicts: Sequence[Verdict]) -> bool:
    return any(verdict.level == "red" for verdict in verdicts)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="memlaw doctor", description=__doc__)
    parser.add_argument("--runs", type=Path, help="directory of studies; default: runs_dir")
    parser.add_argument(
        "--job", action="store_true", help="start a tiny Slurm job to check that it sees that directory"
    )
    parser.add_argument("-m", "--multirun", action="store_true", help="accepted as in the sweep's command")
    parser.add_argument("--config-dir", type=Path, help="options and experiments of your own, as for the sweep")
    parser.add_argument("overrides", nargs="*", help="of the sweep to come, such as model=qwen3_8b logger.mode=online")
    options = parser.parse_intermixed_args()
    verdicts = installation.examine()
    try:
        cfg = compose_config(first_values(as_typed(options.overrides)), options.config_dir, with_hydra=True)
        if not _red(verdicts):
            from memlaw.doctor.examination import examine  # imports packages that may have been missing

            with explained():  # a missing value, such as the id of model=hub
                verdicts += examine(cfg, options.runs or Path(str(cfg.runs_dir)).expanduser(), options.job)
    except ConfigError as error:
        refuse(error)
    Console(highlight=False).print(verdict_table(verdicts))
    sys.exit(int(_red(verdicts)))


if __name__ == "__main__":
    main()
