"""W&B: `logger=wandb`."""

import json
import logging
import os
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from memlaw.config.values import check_not_negative, check_positive
from memlaw.study.cell import Cell
from memlaw.tracking.artifacts import add_files, artifact_name
from memlaw.tracking.contents import CELL, CURVES, HISTOGRAM, STRIP, TABLE, rendered, run_config, run_id, run_tags
from memlaw.tracking.local_runs import local_runs
from memlaw.tracking.mode import Mode, check_name, resolve_mode
from memlaw.tracking.names import shortened

log = logging.getLogger(__name__)

TERMINATE_S = 5.0
"""Seconds that W&B's own process may take to end after SIGTERM."""

SETTLING_S = 2.0
"""Seconds in which W&B's own process may still write to the log of a run after it has finished the run."""

INTERRUPTED = 143
"""Exit code of a run that a later process continues; the same as that of a process ended by SIGTERM."""


class WandbService:
    """Runs at W&B's server, or in the study's directory until `memlaw sync` uploads them.

    Args:
        mode: `auto`, `online`, `offline` or `disabled` (see `memlaw.tracking.mode.resolve_mode`).
        project: W&B project.
        entity: W&B team or user; None is the account's default.
        timeout_s: seconds to wait for the server, once at the start of a run and once at the end of a pack.
        stagger_s: a process's first run waits a random time up to this, so that a cluster's processes do not connect
            all at once; training does not wait for it.

    Raises:
        ConfigError: a value is impossible; it names the key.
    """

    name = "W&B"

    def __init__(self, mode: str, project: str, entity: str | None, *, timeout_s: float, stagger_s: float):
        check_positive("logger.timeout_s", timeout_s)
        check_not_negative("logger.stagger_s", stagger_s)
        check_name("logger.project", project)
        if entity is not None:
            check_name("logger.entity", entity)
        self.mode: Mode = resolve_mode(mode)
        self.project = project
        self.entity = entity
        self.timeout_s = timeout_s
        self._stagger_s = stagger_s
        self._reachable = self.mode == "online"
        self._opened = 0

    def hint(self, study: Path) -> str | None:
        """Return where offline runs are stored; None in another mode."""
        if self.mode != "offline":
            return None
        return f"W&B is offline: runs are stored in {study / 'wandb'}; memlaw sync {study} uploads them"

    def left_behind(self, study: Path) -> str | None:
        """Count the runs that the server lacks, in whole or in part; None without any."""
        if self.mode != "online" or not (left := sum(run.changed for run in local_runs(study))):
            return None
        return f"W&B: {left} of the study's runs not uploaded, or not whole: memlaw sync {study} uploads them"

    def close(self) -> None:
        """End W&B's own process and runs that broke off; W&B's exit hook would wait for them without limit."""
        import wandb

        wandb.teardown()

    def abandon(self) -> None:
        """End W&B's own process without its uploads; store later runs offline."""
        import psutil
        import wandb

        self._reachable = False
        cores = [process for process in psutil.Process().children() if process.name().startswith("wandb-core")]
        for process in cores:
            process.terminate()
        for process in psutil.wait_procs(cores, timeout=TERMINATE_S)[1]:
            process.kill()
        with suppress(Exception):  # its process is gone; a later pack starts another
            wandb.teardown()

    def open(self, cell: Cell) -> "WandbRun":
        """Begin a cell's run or go on with it; offline when the server does not answer or refuses the run."""
        import wandb

        if self._reachable:
            time.sleep(random.uniform(0, self._stagger_s))
            self._stagger_s = 0
            try:
                run = self.init(cell, "online")
            except Exception as error:  # W&B has retried already
                # After a lost connection, this process's other runs do not try the server again.
                self._reachable = not isinstance(error, wandb.errors.CommError | OSError)  # timeouts are OSErrors
                if not self._opened:  # else W&B's own process holds on to the failed run
                    wandb.teardown()
                log.warning(
                    "W&B: %s; %s stored offline; memlaw sync %s uploads them",
                    str(error).splitlines()[0] if str(error) else type(error).__name__,
                    f"the run of {cell.name} is" if self._reachable else "runs are",
                    cell.study,
                )
            else:
                self._opened += 1
                return WandbRun(run, cell)
        offline = WandbRun(self.init(cell, "offline"), cell)
        self._opened += 1
        return offline

    def init(self, cell: Cell, mode: Mode) -> Any:
        """Call `wandb.init` for a cell's run."""
        return init_run(
            cell.study,
            project=self.project,
            entity=self.entity,
            mode=mode,
            timeout_s=self.timeout_s,
            id=run_id(cell),
            name=shortened(cell.name),
            job_type=CELL,
            tags=run_tags(cell),
            config=run_config(cell),
        )


def init_run(study: Path, mode: Mode, timeout_s: float, **described: Any) -> Any:
    """Start a run of a study, with W&B's files inside the study's directory, so that they move with it.

    Args:
        study: the study's directory; its name, shortened if necessary, is the run's group.
        mode: `online` or `offline`.
        timeout_s: seconds to wait for the server.
        described: further arguments of `wandb.init`.
    """
    os.environ.setdefault("WANDB_DATA_DIR", str(study / "wandb" / "data"))  # where artifacts wait for upload
    import wandb

    return wandb.init(
        mode=mode,
        group=shortened(study.name),
        dir=str(study),
        resume="allow" if mode == "online" else None,
        reinit="create_new",
        settings=wandb.Settings(
            silent=True, console="off", init_timeout=timeout_s, x_disable_stats=True, x_disable_meta=True
        ),
        **described,
    )


def finish_run(run: Any) -> None:
    """End a run, and leave W&B's own mark of an upload, which `memlaw sync` reads, beside the log of an online one."""
    run.finish()
    if not run.offline:
        mark, stamp = Path(f"{run.settings.sync_file}.synced"), time.time() + SETTLING_S
        mark.touch()
        os.utime(mark, (stamp, stamp))


class WandbRun:
    """One run; see `memlaw.tracking.service.Run`."""

    def __init__(self, run: Any, cell: Cell):
        self._run = run
        run.define_metric("step", hidden=True)
        for name in CURVES:
            run.define_metric(name, step_metric="step", summary="none")  # W&B's own rules nest: {"last": value}
        for name in (HISTOGRAM, TABLE, STRIP):
            run.define_metric(name, step_metric="step")
        if not run.offline:  # an offline run cannot use artifacts
            try:
                run.use_artifact(_study_artifact(cell.study))
            except Exception as error:  # the run itself works
                log.warning(
                    "W&B: the run of %s is not linked to its study: %s", cell.name, str(error).partition("\n")[0]
                )

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Log a row of history. W&B counts rows by step here, so a resumed run repeats none."""
        import wandb

        if step >= self._run.step:
            self._run.log({"step": step, **rendered(wandb, values)}, step=step, commit=True)
            # Nulls too: once no token is stubborn, the value of the evaluation before must go.
            self._run.summary.update({name: values[name] for name in CURVES if name in values})

    def log_artifact(self, name: str, kind: str, files: list[Path]) -> None:
        """Log an artifact."""
        import wandb

        artifact = wandb.Artifact(f"{name}-{self._run.id}", type=kind)
        add_files(artifact, files)
        self._run.log_artifact(artifact)

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary and wait for the upload."""
        self._run.summary.update(summary)
        finish_run(self._run)

    def fail(self) -> None:
        """End the run in the state `failed`."""
        self._run.finish(exit_code=1)

    def interrupt(self) -> None:
        """End the run in the state `preempted`."""
        self._run.mark_preempting()
        self._run.finish(exit_code=INTERRUPTED)


def _study_artifact(study: Path) -> Any:
    """Make the artifact that all runs of a study use, so that W&B's lineage leads from the study to its cells."""
    import wandb

    artifact = wandb.Artifact(artifact_name(f"study-{study.name}"), type="study")
    with artifact.new_file("study.json") as file:
        json.dump({"study": study.name}, file)
    return artifact
