"""The journal's file: append-only, synced before anyone is told, checked on the way back in.

Owns:     the file `journal.log`: an 8-byte magic, then records (see `record`) with sequences 1, 2, 3 …
Promises: `append` returns only when the bytes are on disk. If writing fails, the file is cut back to the last
          synced record, so that what was refused does not come back at the next start. A sync that fails
          breaks the journal for good, because the kernel may have dropped the pages: only a restart, which
          reads the disk, knows what is there.
Never:    decides what a command means, reads a clock or runs in the event loop's thread by itself.

A damaged record with no valid one behind it is a write that never finished: nobody was told, it is cut.
With a valid one behind it, it is damage to something acknowledged: the start is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxdex.problem import Problem
from relayer.journal.record import HEADER_BYTES, MARKER, Record, encode_record, read_record

FILE_NAME = "journal.log"
MAGIC = b"CXJOURN1"
READ_BYTES = 4 * 1024 * 1024


class Segment:
    """The open journal. `sequence` and `end`: last synced record and the offset behind it, after `recover`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self.sequence = 0
        self.end = len(MAGIC)
        self.cut_bytes = 0
        self._broken: str | None = None
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._check_magic(directory)

    def recover(self, sequence: int = 0, offset: int = len(MAGIC)) -> Iterator[Record]:
        """Reads every record after `sequence`, which ends at `offset`; then cuts a torn tail.

        `cut_bytes` says how much was cut. Raises JOURNAL_DAMAGED with file and offset.
        """
        if os.fstat(self._descriptor).st_size < offset:
            raise self._damaged(offset, "the file is shorter than the snapshot says it was")
        self.sequence, self.end = sequence, offset
        buffer, position = b"", 0
        while True:
            record = read_record(buffer, position)
            if record is None:
                buffer, position = buffer[position:], 0
                more = os.pread(self._descriptor, READ_BYTES, self.end + len(buffer))
                if not more:
                    break
                buffer += more
                continue
            if record.sequence != self.sequence + 1:
                raise self._damaged(self.end, f"record {record.sequence} follows record {self.sequence}")
            self.sequence += 1
            self.end += record.end - position
            position = record.end
            yield record
        self._cut_tail(buffer)

    def append(self, payloads: Sequence[bytes]) -> None:
        """Writes and syncs these commands, all or none. Raises OSError after restoring the file, or Problem."""
        if self._broken is not None:
            raise Problem("JOURNAL_BROKEN", self._broken)
        data = b"".join(encode_record(self.sequence + 1 + i, payload) for i, payload in enumerate(payloads))
        try:
            self._write(data)
        except OSError:
            self._restore()
            raise
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._broken = f"{self.path} could not be synced ({error.strerror}); restart the engine"
            raise Problem("JOURNAL_BROKEN", self._broken) from error
        self.sequence += len(payloads)
        self.end += len(data)

    @staticmethod
    def record_bytes(payload: bytes) -> int:
        """How much of the file a command takes."""
        return HEADER_BYTES + len(payload)

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        view, offset = memoryview(data), self.end
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def _restore(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.end)
        except OSError as error:
            self._broken = f"{self.path} could not be cut back after a failed write ({error.strerror})"

    def _check_magic(self, directory: Path) -> None:
        magic = os.pread(self._descriptor, len(MAGIC), 0)
        if magic == MAGIC:
            return
        if not MAGIC.startswith(magic):
            raise self._damaged(0, "this is not a journal of this version")
        os.pwrite(self._descriptor, MAGIC, 0)
        os.fsync(self._descriptor)
        sync_directory(directory)

    def _cut_tail(self, tail: bytes) -> None:
        if not tail:
            return
        position = tail.find(MARKER, 1)
        while position >= 0:
            record = read_record(tail, position)
            if record is not None and record.sequence > self.sequence:
                raise self._damaged(
                    self.end, f"record {self.sequence + 1} is bad, but record {record.sequence} is whole"
                )
            position = tail.find(MARKER, position + 1)
        os.ftruncate(self._descriptor, self.end)
        os.fsync(self._descriptor)
        self.cut_bytes = len(tail)

    def _damaged(self, offset: int, why: str) -> Problem:
        return Problem(
            "JOURNAL_DAMAGED",
            f"{self.path} is damaged at byte {offset}: {why}. Nothing was changed; restore the file from a copy",
        )


def sync_directory(directory: Path) -> None:
    """Makes a new or renamed name in `directory` survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
