"""What would run: `memlaw plan` takes the arguments of `memlaw.train`, prints the plan and trains nothing."""

import sys

from memlaw.config.command_line import as_typed, with_last
from memlaw.sweep.application import run_application


def main() -> None:
    """Command line entry: exit codes as those of `memlaw.train`."""
    run_application(with_last(as_typed(sys.argv[1:]), "dry_run=true"))


if __name__ == "__main__":
    main()
