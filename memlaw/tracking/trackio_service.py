"""Trackio, a dashboard on this machine without an account: `logger=trackio`."""

import contextvars
import importlib.util
from pathlib import Path
from typing import Any

from memlaw.config.values import check_choice, check_positive
from memlaw.core.errors import ConfigError
from memlaw.study.cell import Cell
from memlaw.tracking.contents import CURVES, rendered, run_config
from memlaw.tracking.mode import check_name
from memlaw.tracking.names import shortened
from memlaw.tracking.wandb_service import add_files, artifact_name

MODES = ("local", "disabled")


class TrackioService:
    """Runs in Trackio's own directory (`TRACKIO_DIR`), which `trackio show` serves.

    Args:
        mode: `local` or `disabled`.
        project: Trackio project.
        timeout_s: how long to wait for it at the end of a pack.

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
        """How to look at the runs."""
        return f"Trackio: trackio show --project {self.project}" if self.mode == "local" else None

    def left_behind(self, study: Path) -> str | None:
        """Trackio writes to this machine's disk; nothing is left behind."""
        return None

    def close(self) -> None:
        """Its runs have nothing in common."""

    def abandon(self) -> None:
        """Its threads end with this process."""

    def open(self, cell: Cell) -> "TrackioRun":
        """Begin a cell's run or go on with it."""
        import trackio

        # In a context of its own: Trackio ends the run that it finds in its context, and cells of a pack run together.
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
    """What Trackio knows a run by within its project: with the study, as studies share cells."""
    return shortened(f"{cell.study.name}-{cell.name}")


class TrackioRun:
    """One run; see `memlaw.tracking.tracker.Run`. Trackio knows no states and no summary."""

    def __init__(self, run: Any):
        self._run = run
        self._last = run._next_step - 1  # no public name for it
        self._grown = False

    def log(self, step: int, values: dict[str, Any]) -> None:
        """One row of history."""
        import trackio

        if step > self._last:  # a resumed run repeats no step
            self._run.log(
                rendered(trackio, {name: value for name, value in values.items() if name != "step"}), step=step
            )
            self._last, self._grown = step, True

    def keep(self, name: str, kind: str, files: list[Path]) -> None:
        """Log an artifact."""
        import trackio

        artifact = trackio.Artifact(artifact_name(f"{name}-{self._run.name}"), type=kind)
        add_files(artifact, files)
        self._run.log_artifact(artifact)

    def finish(self, summary: dict[str, Any]) -> None:
        """The summary's numbers that are no curve's get a row at the end; a run opened again has them already."""
        if self._grown:
            numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
            self._run.log({name: value for name, value in numbers.items() if name not in CURVES}, step=self._last)
        self._run.finish()

    def fail(self) -> None:
        """Trackio keeps what was logged."""
        self._run.finish()

    def interrupt(self) -> None:
        """Trackio keeps what was logged."""
        self._run.finish()
