"""`memlaw dashboard push --entity E --project P`: make or renew W&B's workspace and report of a project.

Run it again after an update of memlaw. It replaces the workspace and the report, so edit a saved copy.
"""

import argparse
import importlib.util
from pathlib import Path

from memlaw.core.errors import ConfigError, refuse
from memlaw.tracking.mode import check_name


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="memlaw dashboard", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    push_parser = commands.add_parser("push", help="send the workspace, the report and the custom charts")
    push_parser.add_argument("--entity", required=True, help="W&B team or user")
    push_parser.add_argument("--project", default="memlaw", help="W&B project (memlaw)")
    push_parser.add_argument("--study", help="show one study of the project; default: all")
    push_parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write the files there and send nothing")
    options = parser.parse_args()
    try:
        if importlib.util.find_spec("wandb_workspaces") is None:
            raise ConfigError("memlaw dashboard needs wandb-workspaces: pip install 'memlaw[dashboard]'")
        check_name("--entity", options.entity)
        check_name("--project", options.project)
        from memlaw.dashboard.push import push, write

        names = options.entity, options.project, options.study
        results = write(*names, options.dry_run) if options.dry_run else push(*names)
    except ConfigError as error:
        refuse(error)
    except OSError as error:  # the directory of a dry run
        refuse(ConfigError(f"--dry-run={options.dry_run}: {error}"))
    for result in results:
        print(result)


if __name__ == "__main__":
    main()
