"""`memlaw export runs/A runs/B --out cells.parquet`: write the table of studies, or keep a study in one file.

The table is CSV or parquet, a row per finished cell. `memlaw export runs/A --keep docs/A` writes all cells of a study
into one file, which is read like the study.
"""

import argparse
from pathlib import Path

from memlaw.core.errors import refuse
from memlaw.study.kept_cells import KEPT, keep
from memlaw_analysis.tables.studies import load_studies, write_table


def main() -> None:
    """Write the table of studies, or the kept file of one."""
    parser = argparse.ArgumentParser(prog="memlaw export", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+", help="directories of studies, e.g. runs/default")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="write the table: FILE.csv or FILE.parquet")
    target.add_argument("--keep", type=Path, metavar="DIRECTORY", help=f"write all cells of a study to {KEPT} there")
    given = parser.parse_args()
    try:
        table = load_studies(given.studies)
        if given.out:
            write_table(table, given.out)
            print(f"{len(table)} cells: {given.out}")
        elif len(given.studies) == 1:
            print(f"{keep(given.studies[0], given.keep)} cells: {given.keep / KEPT}")
        else:
            parser.error("--keep takes one study")
    except (ValueError, OSError) as error:  # NoCells, another ending, or nowhere to write
        refuse(error)


if __name__ == "__main__":
    main()
