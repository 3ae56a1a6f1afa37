"""The interface of a tracking service and its runs, such as W&B and Trackio."""

from pathlib import Path
from typing import Any, Protocol

from memlaw.study.cell import Cell


class Run(Protocol):
    """A cell's run at a service."""

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Log values after `step` optimizer steps. Steps ascend; leave out those that the run has already."""
        ...

    def log_artifact(self, name: str, kind: str, files: list[Path]) -> None:
        """Store files and directories as an artifact."""
        ...

    def finish(self, summary: dict[str, Any]) -> None:
        """End the run as complete."""
        ...

    def fail(self) -> None:
        """End the run as failed."""
        ...

    def interrupt(self) -> None:
        """End the run for now; a later process continues it."""
        ...


class Service(Protocol):
    """A tracking service; constructed from `conf/logger/`.

    Attributes:
        mode: `disabled` stores no runs.
        timeout_s: seconds that the end of a pack waits for it.
        name: its name in messages.
    """

    mode: str
    timeout_s: float
    name: str

    def open(self, cell: Cell) -> Run:
        """Begin a cell's run, or go on with it."""
        ...

    def hint(self, study: Path) -> str | None:
        """Return a line for the user at the start of a sweep; None for no line."""
        ...

    def left_behind(self, study: Path) -> str | None:
        """Return a line for the user at the end of a sweep about runs that the service lacks; None for no line."""
        ...

    def close(self) -> None:
        """Release resources that all runs share, after the runs have ended; may take long."""
        ...

    def abandon(self) -> None:
        """Stop waiting for the server, so that this process can end; store runs opened later without a server."""
        ...
