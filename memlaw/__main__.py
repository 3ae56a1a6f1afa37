"""Run a command: `memlaw COMMAND …`, or `python -m memlaw COMMAND …`.

Only the chosen command is imported, so that the list of commands shows at once.
"""

import sys
from importlib import import_module
from typing import NamedTuple

USAGE = "usage: memlaw COMMAND …; `memlaw COMMAND --help` lists what a command takes"


class Command(NamedTuple):
    """A command.

    Attributes:
        module: dotted name of the module whose `main` runs it.
        purpose: what it does, in one line.
    """

    module: str
    purpose: str


_ANALYSIS = "memlaw_analysis.commands"

COMMANDS = {
    "train": Command("memlaw.train", "train one cell, or with -m a sweep; a second call trains what is missing"),
    "plan": Command("memlaw.plan", "show what `train` would run, in how much memory and time"),
    "status": Command("memlaw.status", "show what the cells of a study are doing"),
    "logs": Command("memlaw.logs", "show what one cell logged, and its traceback"),
    "doctor": Command("memlaw.doctor.__main__", "check this machine or cluster before a sweep"),
    "verify": Command("memlaw.verify", "judge whether adapters recall your data, and why not"),
    "report": Command(f"{_ANALYSIS}.report", "fit the law and write tables, figures and a page"),
    "advise": Command(f"{_ANALYSIS}.advise", "answer which rank a text needs, or how long a text a rank holds"),
    "export": Command(f"{_ANALYSIS}.export", "write a table with a row per finished cell, or keep a study in one file"),
    "experiments": Command(f"{_ANALYSIS}.experiments", "write or check the pages of docs/experiments from kept rows"),
    "sync": Command("memlaw.sync", "upload the W&B runs that the server lacks"),
    "publish": Command(f"{_ANALYSIS}.publish", "send a written report to W&B"),
    "dashboard": Command("memlaw.dashboard.__main__", "make W&B's workspace and report of a project"),
}
"""Name of a command → where it stands."""


def overview() -> str:
    """List the commands, one a line."""
    width = max(map(len, COMMANDS))
    return "\n".join([USAGE, "", *(f"  {name:{width}}  {command.purpose}" for name, command in COMMANDS.items())])


def main() -> None:
    """Run the command that the first argument names; exit with code 2 when there is no such command."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
        return
    if name not in COMMANDS:
        print(f"memlaw: unknown command {name}; choose from {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    from memlaw.core.paths import add_checkout  # imports Hydra, which the list of commands can do without

    add_checkout()
    sys.argv = [f"memlaw {name}", *arguments]
    import_module(COMMANDS[name].module).main()


if __name__ == "__main__":
    main()
