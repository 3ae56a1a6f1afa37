"""A cell's `status.json`: its type, and a reader that takes any content."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args, get_type_hints

from memlaw.core.files import AnyPath
from memlaw.core.json_file import Types, check_types, read_object
from memlaw.study.result import read_result

PENDING, RUNNING, DONE, FAILED = "pending", "running", "done", "failed"
"""The states that files hold."""

UNREADABLE = "unreadable"
"""The state of a cell whose file is broken, or was not written by memlaw."""

FORECAST = ("total_steps", "step_flops")
"""Fields of `Status` that a plan gives: the cell's steps, and their cost (`memlaw.planning.cost`)."""


@dataclass(frozen=True)
class Status:
    """The content of a `status.json`. The file leaves out fields that are None.

    Attributes:
        state: `pending`, `running`, `done`, `failed` or `unreadable`. The file of a killed cell still says `running`.
        attempt: number of times that training was started.
        total_steps: optimizer steps that the cell is to take.
        step_flops: floating-point operations of a step (`memlaw.planning.cost`).
        host, pid: machine and process that train or trained the cell.
        started: time at which this attempt began, ISO 8601.
        updated: time at which the file was written, ISO 8601.
        step: optimizer steps before the last evaluation.
        loss_nats: mean loss per target token at that evaluation.
        recalled_share: share of target tokens with p > 0.5 at that evaluation.
        stop_reason: why training ended, for a done cell.
        cause: why the cell failed or its status is unreadable, in one line.
        traceback: traceback of a failure.
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
        """Make a status of a parsed `status.json`. Ignore unknown fields.

        Raises:
            ValueError: a value is missing, or not one that memlaw writes.
        """
        if content.get("state") not in (PENDING, RUNNING, DONE, FAILED):
            raise ValueError(f"status.json names no state of a cell: {content.get('state')!r}")
        check_types("status.json", content, _TYPES)
        if content["state"] == FAILED and content.get("cause") is None:
            raise ValueError("status.json says failed and gives no cause")
        return cls(**{name: content[name] for name in _TYPES if name in content})

    def to_json(self) -> dict[str, Any]:
        """Return the object to write: every field that is not None."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def ended(self) -> bool:
        """Tell whether the cell is done or failed."""
        return self.state in (DONE, FAILED)

    @property
    def forecast(self) -> dict[str, Any]:
        """Return the fields `FORECAST` that are not None."""
        return {name: value for name in FORECAST if (value := getattr(self, name)) is not None}

    @property
    def trained_share(self) -> float:
        """Return the share of its steps that the cell has taken, from 0 to 1; 1 when it has ended."""
        if self.ended:
            return 1.0
        return self.step / self.total_steps if self.step is not None and self.total_steps else 0.0

    @property
    def started_at(self) -> float | None:
        """Return `started` in seconds since the epoch; None where it is no time."""
        return _seconds(self.started)

    @property
    def updated_at(self) -> float | None:
        """Return `updated` in seconds since the epoch; None where it is no time."""
        return _seconds(self.updated)


_TYPES: Types = {name: get_args(hint) or hint for name, hint in get_type_hints(Status).items()}


def read_status(path: AnyPath) -> Status:
    """Read a `status.json`. The state is pending when there is no such file.

    The state is `unreadable`, with the cause, when the file cannot be read or says done without a sound result beside
    it. The adapter may be missing: archived studies (`memlaw.study.kept_cells`) leave it out.
    """
    try:
        status = Status.from_json(read_object(path))
    except FileNotFoundError:
        return Status()
    except (OSError, ValueError, RecursionError) as error:  # bytes that are not UTF-8 raise a ValueError, too
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
