"""`memlaw publish runs/STUDY`: send a study's written report to W&B as a run, linked to the cells' runs.

The run holds the law's parameters in its summary under `law`, tables `cells`, `laws` and `transition`, the figures,
the whole page, the fit card as its notes, and the report's files as an artifact made of the cells' records.
"""

import argparse
from pathlib import Path

from memlaw.config.values import check_number
from memlaw.core.errors import ConfigError, refuse
from memlaw.tracking.mode import MODES, check_name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="memlaw publish", description=__doc__)
    parser.add_argument("study", type=Path, help="a study's directory with its report/, e.g. runs/default")
    parser.add_argument("--entity", help="W&B team or user (default: the account's)")
    parser.add_argument("--project", default="memlaw", help="W&B project (default memlaw)")
    parser.add_argument("--mode", default="auto", choices=MODES, help="as logger.mode (default auto)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for the server (default 60)")
    return parser


def main() -> None:
    """Publish a report and print where the run is; exit code 2 for what the user can mend."""
    given = _parser().parse_args()
    from memlaw_analysis.report.wandb_run import publish

    try:
        check_name("--project", given.project)
        if given.entity is not None:
            check_name("--entity", given.entity)
        check_number("--timeout", given.timeout, "a number above 0", lambda value: value > 0)
        print(publish(given.study.resolve(), given.mode, given.project, given.entity, given.timeout))
    except (ConfigError, OSError) as error:
        refuse(error)


if __name__ == "__main__":
    main()
