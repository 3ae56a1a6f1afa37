"""Print what a sweep would train: `memlaw plan` takes the arguments of `memlaw train`. Train nothing."""

import sys

from memlaw.config.command_line import as_typed, with_last
from memlaw.sweep.application import run_application


def main() -> None:
    """Run the command. Its exit codes are those of `memlaw train`."""
    run_application(with_last(as_typed(sys.argv[1:]), "dry_run=true"))


if __name__ == "__main__":
    main()
