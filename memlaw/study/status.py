"""A cell's `status.json`: its type, and a reader that no content can crash."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args, get_type_hints

from memlaw.core.files import AnyPath
from memlaw.core.json_file import Types, check_types, read_object
from memlaw.study.result import read_result

PENDING, RUNNING, DONE, FAILED = "pending", "running", "done", "failed"
"""The states that a cell's process writes."""

UNREADABLE = "unreadable"
"""The state of a file that is broken, or not memlaw's."""

FORECAST = ("total_steps", "step_flops")
"""Fields of `Status` that a plan knows: the cell's steps, and their cost (`memlaw.planning.cost`)."""


@dataclass(frozen=True)
class Status:
    """The content of a `status.json`. What is None is not in the file.

    Attributes:
        state: `pending`, `running`, `done`, `failed` or `unreadable`. A killed cell keeps saying `running`.
        attempt: number of times that training was started.
        total_steps: optimizer steps that the cell is to take.
        step_flops: floating-point operations of one of them (`memlaw.planning.cost`).
        host, pid: machine and process that train or trained the cell.
        started: time at which this attempt began, ISO 8601.
        updated: time at which the file was written, ISO 8601.
        step: optimizer steps taken when the cell was last evaluated.
        loss_nats: mean loss per target token then.
        recalled_share: share of target tokens with p > 0.5 then.
        stop_reason: why training ended, for a done cell.
        cause: why the cell failed or its status is unreadable, in one line.
        traceback: of a failure.
    """

    state: str = PENDING
    attempt: int = 0
    total_steps: int | None = None
    step_flops: int | float | None = None
    host: str | None = None
    pid: int | None = None
    started: str | None = None
    step: int | None = None
    loss_nats: int | float | None = None
    recalled_share: int | float | None = None
    stop_reason: str | None = None
    cause: str | None = None
    traceback: str | None = None
    updated: str | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Status":
        """Take the known fields of a parsed `status.json`; others are ignored.

        Raises:
            ValueError: it is not what a cell's process writes.
        """
        if content.get("state") not in (PENDING, RUNNING, DONE, FAILED):
            raise ValueError(f"status.json names no state of a cell: {content.get('state')!r}")
        check_types("status.json", content, _TYPES)
        if content["state"] == FAILED and content.get("cause") is None:
            raise ValueError("status.json says failed and gives no cause")
        return cls(**{name: content[name] for name in _TYPES if name in content})

    def to_json(self) -> dict[str, Any]:
        """The object to write: every field that is not None."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def ended(self) -> bool:
        """Whether the cell is done or failed."""
        return self.state in (DONE, FAILED)

    @property
    def forecast(self) -> dict[str, Any]:
        """Those of the fields `FORECAST` that are given."""
        return {name: value for name in FORECAST if (value := getattr(self, name)) is not None}

    @property
    def trained_share(self) -> float:
        """Share of its steps that the cell has taken, from 0 to 1; 1 when it has ended."""
        if self.ended:
            return 1.0
        return self.step / self.total_steps if self.step is not None and self.total_steps else 0.0

    @property
    def started_at(self) -> float | None:
        """`started` in seconds since the epoch; None where it is no time."""
        return _seconds(self.started)

    @property
    def updated_at(self) -> float | None:
        """`updated` in seconds since the epoch; None where it is no time."""
        return _seconds(self.updated)


_TYPES: Types = {name: get_args(hint) or hint for name, hint in get_type_hints(Status).items()}


def read_status(path: AnyPath) -> Status:
    """Read a `status.json`; pending when there is no such file.

    Where it cannot be read, or promises a result that is not there, the state is `unreadable`, with the cause. A
    missing adapter is no such case: studies that are kept for their numbers leave it out.
    """
    try:
        status = Status.from_json(read_object(path))
    except FileNotFoundError:
        return Status()
    except (OSError, ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError, too
        return _unreadable(error)
    if status.state == DONE:
        try:
            read_result(cast(AnyPath, path.parent))
        except (OSError, ValueError, RecursionError) as error:
            return _unreadable(error)
    return status


def _seconds(time: str | None) -> float | None:
    try:
        return datetime.fromisoformat(time or "").timestamp()
    except ValueError:
        return None


def _unreadable(error: Exception) -> Status:
    return Status(UNREADABLE, cause=" ".join(f"{type(error).__name__}: {error}".split()))
