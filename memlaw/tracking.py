"""W&B: one run per cell, also inside a pack.

Everything on disk is the truth and W&B mirrors it: calls go through one background thread, so a slow,
failing or hanging server costs a warning and the mirror, never a cell and never a step.
"""

import hashlib
import logging
import netrc
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, cast
from urllib.parse import urlparse

import numpy as np
import pandas as pd

from memlaw.cell import Cell
from memlaw.errors import ConfigError
from memlaw.records import stubborn_tokens

log = logging.getLogger(__name__)

MODES = ("auto", "online", "offline", "disabled")
Mode = Literal["online", "offline", "disabled"]
STUBBORN_ROWS = 200

Decode = Callable[[int], str]


class CellTracker(Protocol):
    """Mirror of one cell. No method raises or waits for a server."""

    def log(self, step: int, scalars: dict[str, Any]) -> None:
        """Scalars of the evaluation after `step` steps."""
        ...

    def finish(self, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode, files: list[Path]) -> None:
        """The cell is done: its result row, token table and record files."""
        ...

    def fail(self) -> None:
        """The cell failed."""
        ...


class _NoTracker:
    """Tracks nothing (`logger.mode=disabled`)."""

    def log(self, step: int, scalars: dict[str, Any]) -> None:
        pass

    def finish(self, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode, files: list[Path]) -> None:
        pass

    def fail(self) -> None:
        pass


def resolve_mode(mode: str) -> Mode:
    """`online`, `offline` or `disabled`; `auto` obeys WANDB_MODE, else is online when credentials exist.

    Raises:
        ConfigError: `mode` is none of `MODES`.
    """
    if mode not in MODES:
        raise ConfigError(f"logger.mode={mode} is not one of {', '.join(MODES)}")
    chosen = os.environ.get("WANDB_MODE", "auto") if mode == "auto" else mode
    if chosen in ("online", "offline", "disabled"):
        return cast(Mode, chosen)
    return "online" if has_credentials() else "offline"


def has_credentials() -> bool:
    """Whether W&B credentials are configured; asks no server, so it cannot hang."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(base_url()).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def base_url() -> str:
    """Where W&B's server is, as configured."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings.base_url


def run_id(cell: Cell) -> str:
    """W&B id of a cell: its hash after that of the study's name, so that studies can share a project."""
    return f"{hashlib.sha256(cell.study.name.encode()).hexdigest()[:6]}-{cell.hash}"


class _Worker:
    """Runs calls in order on one daemon thread."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="wandb", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._calls.get()()

    def submit(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def drain(self, timeout_s: float) -> bool:
        """Wait until all submitted calls have run; False when `timeout_s` passes first."""
        done = threading.Event()
        self.submit(done.set)
        return done.wait(timeout_s)


class Tracker:
    """Starts the trackers of a process's cells.

    Args:
        mode: `online`, `offline` or `disabled` (see `resolve_mode`).
        project: W&B project.
        entity: W&B team or user; None is the account's default.
        timeout_s: how long to wait for W&B, once at the start of a run and once at the end of a pack.
    """

    def __init__(self, mode: Mode, project: str, entity: str | None, timeout_s: float):
        self.mode = mode
        self.project = project
        self.entity = entity
        self.timeout_s = timeout_s
        self._worker = _Worker() if mode != "disabled" else None

    def start(self, cell: Cell) -> CellTracker:
        """Open the run of a cell."""
        return _WandbTracker(self, self._worker, cell) if self._worker else _NoTracker()

    def drain(self) -> None:
        """Give W&B `timeout_s` to catch up; what it has not taken by then stays behind, with a warning."""
        if self._worker and not self._worker.drain(self.timeout_s):
            log.warning("W&B did not catch up within %g s; the records on disk are complete", self.timeout_s)


class _WandbTracker:
    """One W&B run."""

    def __init__(self, tracker: Tracker, worker: _Worker, cell: Cell):
        self._worker = worker
        self._run: Any = None
        self._broken = False
        self._logged = -1
        self._submit(lambda: self._start(tracker, cell))

    def _submit(self, call: Callable[[], None]) -> None:
        def guarded() -> None:
            if self._broken:
                return
            try:
                call()
            except Exception as error:  # whatever W&B raises, the cell goes on
                self._broken = True
                log.warning("W&B: %s: %s; this run is not mirrored any further", type(error).__name__, error)

        self._worker.submit(guarded)

    def _start(self, tracker: Tracker, cell: Cell) -> None:
        self._run = _init(tracker, cell)
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, scalars: dict[str, Any]) -> None:
        if step > self._logged:  # a cell that had to start again gives the same numbers again
            self._logged = step
            self._submit(lambda: self._run.log({"step": step, **_known(scalars)}))

    def finish(self, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode, files: list[Path]) -> None:
        self._submit(lambda: self._finish(result, tokens, decode, files))

    def _finish(self, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode, files: list[Path]) -> None:
        import wandb

        last = tokens[tokens["step"] == tokens["step"].max()]
        histogram = np.histogram(np.exp(-last["nll"]), bins=50, range=(0, 1))
        rows = [
            [row.pair, row.position, decode(row.token_id), row.p, decode(row.argmax_id), row.base_nll]
            for row in stubborn_tokens(tokens, STUBBORN_ROWS).itertuples()
        ]
        columns: list[str | int] = ["pair", "position", "token", "p", "argmax", "base_nll"]
        self._run.log(
            {
                "step": result["steps_trained"],
                "p": wandb.Histogram(np_histogram=histogram),
                "stubborn_tokens": wandb.Table(columns=columns, data=rows),
            }
        )
        artifact = wandb.Artifact(f"records-{self._run.id}", type="records")
        for file in files:
            artifact.add_file(str(file))
        self._run.log_artifact(artifact)
        self._run.summary.update(_known(result))
        self._run.finish()

    def fail(self) -> None:
        self._submit(lambda: self._run.finish(exit_code=1))


def _init(tracker: Tracker, cell: Cell) -> Any:
    # Artifacts wait here for their upload: inside the study, so that it can be moved and synced from elsewhere.
    os.environ.setdefault("WANDB_DATA_DIR", str(cell.study / "wandb" / "data"))
    import wandb

    c = cell.config
    tags = (c.model.name, c.data.name, c.method.name, f"rank {c.lora.rank}", f"seq_len {c.seq_len}")
    return wandb.init(
        project=tracker.project,
        entity=tracker.entity,
        mode=tracker.mode,
        id=run_id(cell),
        name=cell.name,
        group=cell.study.name,
        job_type="cell",
        tags=[str(tag)[:64] for tag in tags],  # W&B takes no longer ones
        config={**cell.flat, "study": cell.study.name, "cell": cell.name},
        dir=str(cell.study),
        resume="allow" if tracker.mode == "online" else None,
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            init_timeout=tracker.timeout_s,
            x_disable_stats=True,
            x_disable_meta=True,
        ),
    )


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
