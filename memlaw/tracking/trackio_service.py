"""Trackio, a dashboard on this machine that needs no account: `logger=trackio`."""

import contextvars
import importlib.util
from pathlib import Path
from typing import Any

from memlaw.config.values import check_choice, check_positive
from memlaw.core.errors import ConfigError
from memlaw.study.cell import Cell
from memlaw.tracking.artifacts import add_files, artifact_name
from memlaw.tracking.contents import CURVES, rendered, run_config
from memlaw.tracking.mode import check_name
from memlaw.tracking.names import shortened

MODES = ("local", "disabled")


class TrackioService:
    """Runs in Trackio's own directory (`TRACKIO_DIR`), which `trackio show` serves.

    Args:
        mode: `local` or `disabled`.
        project: Trackio project.
        timeout_s: seconds to wait for it at the end of a pack.

    Raises:
        ConfigError: a value is impossible, or trackio is not installed.
    """

    name = "Trackio"

    def __init__(self, mode: str, project: str, timeout_s: float):
        check_choice("logger.mode", mode, MODES)
        check_name("logger.project", project)
        check_positive("logger.timeout_s", timeout_s)
        if mode == "local" and importlib.util.find_spec("trackio") is None:
            raise ConfigError("logger=trackio needs the package trackio: pip install 'memlaw[trackio]'")
        self.mode = mode
        self.project = project
        self.timeout_s = timeout_s

    def hint(self, study: Path) -> str | None:
        """Return the command that shows the runs."""
        return f"Trackio: trackio show --project {self.project}" if self.mode == "local" else None

    def left_behind(self, study: Path) -> str | None:
        """Return None: Trackio writes to this machine's disk."""
        return None

    def close(self) -> None:
        """Do nothing: the runs share no resources."""

    def abandon(self) -> None:
        """Do nothing: Trackio's threads end with this process."""

    def open(self, cell: Cell) -> "TrackioRun":
        """Begin a cell's run or go on with it."""
        import trackio

        # In a new context: Trackio ends the run that it finds in its context, and a pack has several runs at once.
        run = contextvars.Context().run(
            trackio.init,
            project=self.project,
            name=run_name(cell),
            group=shortened(cell.study.name),
            config=run_config(cell),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return TrackioRun(run)


def run_name(cell: Cell) -> str:
    """Name a run within its project. The study is in the name, since studies may share cells."""
    return shortened(f"{cell.study.name}-{cell.name}")


class TrackioRun:
    """One run; see `memlaw.tracking.service.Run`. Trackio has no states and no summaries."""

    def __init__(self, run: Any):
        self._run = run
        self._last = run._next_step - 1  # no public name for it
        self._extended = False

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Log a row of history."""
        import trackio

        if step > self._last:  # a resumed run repeats no step
            self._run.log(
                rendered(trackio, {name: value for name, value in values.items() if name != "step"}), step=step
            )
            self._last, self._extended = step, True

    def log_artifact(self, name: str, kind: str, files: list[Path]) -> None:
        """Log an artifact."""
        import trackio

        artifact = trackio.Artifact(artifact_name(f"{name}-{self._run.name}"), type=kind)
        add_files(artifact, files)
        self._run.log_artifact(artifact)

    def finish(self, summary: dict[str, Any]) -> None:
        """Log the numbers of the summary that are not curves in a last row, unless the run has them already."""
        if self._extended:
            numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
            self._run.log({name: value for name, value in numbers.items() if name not in CURVES}, step=self._last)
        self._run.finish()

    def fail(self) -> None:
        """End the run; its rows stay."""
        self._run.finish()

    def interrupt(self) -> None:
        """End the run; its rows stay."""
        self._run.finish()
