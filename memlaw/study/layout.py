"""The files of a cell's directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CellPaths:
    """The paths of a cell's files. No other module spells their names."""

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
    def texts(self) -> Path:
        """The texts of the tokens that the last evaluation names (`memlaw.study.records.write_texts`)."""
        return self.directory / "texts.json"

    @property
    def result(self) -> Path:
        """One flat row: every scalar of the cell (`memlaw.study.records.RESULT_COLUMNS`)."""
        return self.directory / "result.json"

    @property
    def recall(self) -> Path:
        """The answers that the cell generates from the query alone, and their targets (`memlaw.training.recall`)."""
        return self.directory / "recall.json"

    @property
    def adapter(self) -> Path:
        """The trained adapter, which is a PEFT checkpoint with `lora.placement=linear`."""
        return self.directory / "adapter"

    @property
    def checkpoint(self) -> Path:
        """The state from which an unfinished cell resumes (`memlaw.training.checkpoint`)."""
        return self.directory / "checkpoint.safetensors"

    @property
    def lock(self) -> Path:
        """The lock of the process that trains the cell. The operating system frees it when the process dies."""
        return self.directory / ".lock"

    @property
    def heartbeat(self) -> Path:
        """A file whose modification time is the last sign of life of that process (`memlaw.study.liveness`)."""
        return self.directory / "heartbeat"
