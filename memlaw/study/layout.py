"""The files of a cell's directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CellPaths:
    """Every file name of a cell directory, spelled once."""

    directory: Path

    @property
    def config(self) -> Path:
        """The resolved scientific config, frozen when the cell is planned."""
        return self.directory / "config.yaml"

    @property
    def status(self) -> Path:
        """State, attempt, host, times, progress and, after a failure, the cause and the traceback."""
        return self.directory / "status.json"

    @property
    def tokens(self) -> Path:
        """The per-token table (`memlaw.study.records.TOKEN_COLUMNS`)."""
        return self.directory / "tokens.parquet"

    @property
    def result(self) -> Path:
        """One flat row: every scalar of the cell (`memlaw.study.records.RESULT_COLUMNS`)."""
        return self.directory / "result.json"

    @property
    def recall(self) -> Path:
        """What the cell writes from the query alone, against its target (`memlaw.training.recall`)."""
        return self.directory / "recall.json"

    @property
    def adapter(self) -> Path:
        """The trained adapter; a PEFT checkpoint when `lora.placement=linear`."""
        return self.directory / "adapter"

    @property
    def checkpoint(self) -> Path:
        """What the unfinished cell goes on from (`memlaw.training.checkpoint`)."""
        return self.directory / "checkpoint.safetensors"

    @property
    def lock(self) -> Path:
        """Held by the process that trains the cell; the operating system frees it when that dies."""
        return self.directory / ".lock"

    @property
    def heartbeat(self) -> Path:
        """Its modification time says when that process was last seen alive (`memlaw.study.liveness`)."""
        return self.directory / "heartbeat"
