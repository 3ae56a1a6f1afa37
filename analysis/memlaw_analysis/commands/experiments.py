"""`memlaw experiments docs/experiments`: write the experiments' pages from their kept rows, or check them.

`memlaw export runs/STUDY --out docs/experiments/STUDY.parquet` keeps the rows of a study.
"""

import argparse
import sys
from pathlib import Path

from memlaw.core.errors import ConfigError, refuse
from memlaw.core.wording import count
from memlaw_analysis.experiments.files import check_pages, write_pages
from memlaw_analysis.tables.studies import NoCells


def main() -> None:
    """Write or check the pages; exit code 2 for what the user can mend, 1 where a check finds a difference."""
    parser = argparse.ArgumentParser(prog="memlaw experiments", description=__doc__)
    parser.add_argument("directory", type=Path, help="directory of rows and pages, docs/experiments in a checkout")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a number or a page differs")
    given = parser.parse_args()
    try:
        if not given.directory.is_dir():
            raise ConfigError(f"{given.directory} is not a directory")
        if given.check:
            sys.exit(0 if _check(given.directory) else 1)
        for experiment, outcome, coverage in write_pages(given.directory):
            run = f"{coverage.declared - len(coverage.missing)} of {coverage.declared} cells"
            print(f"{given.directory / experiment.name}.md: {run}, {count(len(outcome.claims), 'claim')}")
    except (NoCells, ConfigError, OSError) as error:  # no rows, or nowhere to write
        refuse(error)


def _check(directory: Path) -> bool:
    """Print what differs from the written pages; return whether nothing does."""
    moved, versions = check_pages(directory)
    verdict = "The pages differ from their rows." if moved else f"Every number of {directory} comes out again."
    for line in (*(f"Note: {line}" for line in versions), *moved, verdict):
        print(line)
    return not moved


if __name__ == "__main__":
    main()
