"""`memlaw sync runs/STUDY`: upload the W&B runs of a study that the server lacks; run again to go on."""

import argparse
import signal
import sys
from collections import Counter
from pathlib import Path

from memlaw.config.values import check_positive, check_whole
from memlaw.core.errors import ConfigError, leave_interrupted, refuse
from memlaw.study.survey import NoStudy
from memlaw.tracking.mode import check_name
from memlaw.tracking.sync import sync
from memlaw.tracking.upload import INCOMPLETE, Uploader


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="memlaw sync", description=__doc__)
    parser.add_argument("study", type=Path, help="directory of the study, runs/<study>")
    parser.add_argument("--entity", help="W&B team or user; default: that of the run's log")
    parser.add_argument("--project", help="W&B project; default: that of the run's log")
    parser.add_argument("--jobs", type=int, default=4, help="uploads at a time (4)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which an upload is given up (600)")
    parser.add_argument("--unfinished", action="store_true", help="upload runs of unfinished cells as far as they go")
    parser.add_argument("--again", action="store_true", help="upload all runs, to a project or server that lacks them")
    options = parser.parse_args()
    named = (("--entity", options.entity), ("--project", options.project))
    arguments = [word for flag, value in named if value for word in (flag, value)]
    counts: Counter[str] = Counter()
    try:
        check_whole("--jobs", options.jobs, at_least=1)
        check_positive("--timeout", options.timeout)
        for flag, value in named:
            if value is not None:
                check_name(flag, value)
        uploader = Uploader(options.study.resolve(), arguments, options.timeout)
        for name, outcome in sync(uploader, jobs=options.jobs, unfinished=options.unfinished, again=options.again):
            failed = outcome.failed and not (options.unfinished and outcome == INCOMPLETE)
            print(f"{name}: {'failed: ' if failed else ''}{outcome.text}", flush=True)
            counts["failed" if failed else outcome.text.partition(":")[0]] += 1
    except NoStudy as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ConfigError as error:
        refuse(error)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # let W&B's own process end
        leave_interrupted("Interrupted. The same command goes on with what is missing.")
    print(", ".join(f"{count} {text}" for text, count in counts.items()) or "no W&B runs in this study")
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
