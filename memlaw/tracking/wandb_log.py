"""What W&B's log of a run says of itself: where the run belongs, and whether the log goes on to the run's end.

The log is LevelDB's: 7 bytes of W&B's own, then blocks of 32 KiB that hold records in one or more parts, each part
after 4 bytes of checksum, 2 of length and 1 of kind.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE_HEADER, PART_HEADER, BLOCK = 7, 7, 32 * 1024
"""Bytes."""

WHOLE, FIRST, LAST = 1, 2, 4
"""Kinds of parts; 3 is one in the middle."""


class Log(NamedTuple):
    """What a log says.

    Attributes:
        project, entity: of the run; empty where the log has none.
        ended: whether the run's end is in it.
    """

    project: str
    entity: str
    ended: bool


def read_log(path: Path) -> Log:
    """Read a log as far as it goes.

    Raises:
        OSError: it cannot be read.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made for the protobuf that is there

    log = Log("", "", False)
    for text in _records(path.read_bytes()):
        try:
            record = Record.FromString(text)
        except DecodeError:  # nothing after it can be trusted
            break
        if record.HasField("run"):
            log = log._replace(project=record.run.project, entity=record.run.entity)
        log = log._replace(ended=log.ended or record.HasField("exit"))
    return log


def _records(content: bytes) -> Iterator[bytes]:
    at, record = FILE_HEADER, b""
    while at + PART_HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < PART_HEADER:  # no part begins there
            at += left
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        start, at = at + PART_HEADER, at + PART_HEADER + size
        if at > len(content):
            return
        record = content[start:at] if kind in (WHOLE, FIRST) else record + content[start:at]
        if kind in (WHOLE, LAST):
            yield record
