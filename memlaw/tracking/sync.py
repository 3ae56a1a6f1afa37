"""Brings W&B's server up to date with the runs in a study's directory."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from memlaw.study.liveness import DEAD
from memlaw.study.status import DONE, PENDING, RUNNING
from memlaw.study.survey import Observation, survey_study
from memlaw.tracking.contents import run_id
from memlaw.tracking.local_runs import LocalRun, local_runs
from memlaw.tracking.server import check_server
from memlaw.tracking.upload import IN_TRAINING, UNCHANGED, UNFINISHED, Outcome, Uploader


@dataclass(frozen=True)
class _Mirrored:
    """A run and the cell that it mirrors; None where the study lacks the cell."""

    run: LocalRun
    observation: Observation | None

    @property
    def name(self) -> str:
        """The cell's name, or the run's id."""
        return self.observation.name if self.observation else self.run.id

    @property
    def state(self) -> str | None:
        """The cell's state."""
        return self.observation.state if self.observation else None

    def outcome_without_upload(self, unfinished: bool, again: bool) -> Outcome | None:
        """Return why the run is not to be uploaded; None when it is."""
        if self.state == RUNNING:
            return IN_TRAINING
        if self.state in (PENDING, DEAD) and not unfinished:  # `wandb sync` appends: the rest would repeat steps
            return UNFINISHED if self.run.changed else UNCHANGED
        return None if again or self.run.changed else UNCHANGED

    def upload(self, uploader: Uploader) -> Outcome:
        """Upload the run; that of a finished cell with its end."""
        if self.observation and self.observation.cell and self.state == DONE:
            return uploader.upload_finished(self.run, self.observation.cell)
        return uploader.upload(self.run)


def _mirrored(uploader: Uploader) -> list[_Mirrored]:
    """Pair runs with their cells, in the order of the runs' ids. A done cell without a run gets an empty one."""
    cells = {_hash(observation.name): observation for observation in survey_study(uploader.study)}
    runs = local_runs(uploader.study)
    logged = {_hash(run.id) for run in runs}
    runs += [
        LocalRun(run_id(observation.cell), ())
        for cell_hash, observation in cells.items()
        if observation.cell and observation.state == DONE and cell_hash not in logged
    ]
    return [_Mirrored(run, cells.get(_hash(run.id))) for run in sorted(runs, key=lambda run: run.id)]


def _hash(name: str) -> str:
    """Return the cell's hash, which ends the name of its directory and the id of its run."""
    return name.rpartition("-")[2]


def sync(uploader: Uploader, *, jobs: int, unfinished: bool, again: bool) -> Iterator[tuple[str, Outcome]]:
    """Upload the runs that the server lacks or that have changed.

    Args:
        uploader: of the study.
        jobs: uploads at a time.
        unfinished: whether to upload runs of cells that are to be trained on.
        again: whether to upload runs that were uploaded before, for a server or a project that lacks them.

    Yields:
        Each cell's name and the outcome, in the order of the runs' ids.

    Raises:
        ConfigError: the server cannot be used.
        NoStudy: the directory is no study.
    """
    mirrored = _mirrored(uploader)
    skipped = [mirror.outcome_without_upload(unfinished, again) for mirror in mirrored]
    if None in skipped:
        check_server()
    with ThreadPoolExecutor(jobs) as threads:
        outcomes: list[Outcome | Future[Outcome]] = [
            outcome or threads.submit(mirror.upload, uploader)
            for mirror, outcome in zip(mirrored, skipped, strict=True)
        ]
        try:
            for mirror, outcome in zip(mirrored, outcomes, strict=True):
                yield mirror.name, outcome.result() if isinstance(outcome, Future) else outcome
        finally:
            threads.shutdown(cancel_futures=True)
