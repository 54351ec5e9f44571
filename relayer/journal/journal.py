"""The open journal: append-only, synced before anyone is told, checked on the way back in.

Owns:     the files of a journal's folder (see `segment`), with records of sequences 1, 2, 3 …
Promises: `append` returns only when the bytes are on disk, and what it wrote comes back whole or not at all. If writing
          fails, the file is cut back to the last synced record, so that what was refused does not come back at the
          next start. A sync that fails breaks the journal for good, because the kernel may have dropped the pages:
          only a restart, which reads the disk, knows what is there. A file is synced before the next one is begun.
Never:    decides what a command means, removes a file (see `retention`), reads a clock or runs in the event
          loop's thread by itself.

One append is one group of records, and the next is written when it is on disk. So the last group of the newest file may
have been torn by a loss of power, in any of its pages: nobody was told of it, and all of it is cut. A damaged record
anywhere else was acknowledged, and so was one that the caller knows to have been applied: the start is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cxdex.problem import Problem
from relayer.journal.record import HEADER_BYTES, LARGEST_RECORD_BYTES, Record, encode_group, read_record
from relayer.journal.scan import READ_BYTES, Stop, why_acknowledged
from relayer.journal.segment import (
    Segment,
    adopt_single_file,
    create_segment,
    damaged,
    remove_unfinished,
    segments,
)
from relayer.journal.snapshot import remove_unfinished_snapshots

SEGMENT_BYTES = 64 * 1024 * 1024


class Journal:
    """`sequence` and `end`: last synced record and the position behind it; while `recover` reads, of the groups read.

    The caller holds the folder's lock. Raises Problem: JOURNAL_DAMAGED, JOURNAL_UNWRITABLE, JOURNAL_TWICE.
    """

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.sequence = 0
        self.cut_bytes = 0
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._broken: str | None = None
        try:
            remove_unfinished(directory)
            remove_unfinished_snapshots(directory)
            adopt_single_file(directory)
            self._segments = segments(directory) or [self._first_segment()]
            self._descriptor = _open(self._segments[-1])
        except OSError as error:
            raise Problem(
                "JOURNAL_UNWRITABLE",
                f"the journal in {directory} cannot be written ({error.strerror}: {error.filename or directory})",
                allowed="a folder of this user on a disk with space",
            ) from None
        self.end = self._segments[0].position
        self._stop = Stop(0, 0, 0)

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self._segments[-1].path

    @property
    def last_position(self) -> int:
        """Where the newest file ended when it was opened."""
        return self._segments[-1].end

    def recover(self, sequence: int = 0, position: int | None = None, applied: int = 0) -> Iterator[Record]:
        """Reads every record after `sequence`, which ends at `position`; then cuts a last group that was torn.

        applied: a record that was certainly acknowledged; the cut would not spare it: refused. `cut_bytes` says how
        much was cut. Raises JOURNAL_DAMAGED with file and offset, or JOURNAL_INCOMPLETE when the first record wanted
        is in a file that retention has taken away.
        """
        number = self._segment_after(sequence)
        self.sequence = sequence
        self.end = self._segments[number].position if position is None else position
        start = self._segments[number]
        if not start.position <= self.end <= start.end:
            why = f"the file is shorter than the snapshot of record {sequence} says it was"
            raise damaged(start.path, start.size, why)
        for segment in self._segments[number:-1]:
            descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield from self._read(descriptor, segment)
            finally:
                os.close(descriptor)
            if self.end != segment.end:
                raise damaged(segment.path, self._stop.offset, f"record {self._stop.last + 1} is bad")
        yield from self._read(self._descriptor, self._segments[-1])
        self._cut_tail(applied)
        del self._segments[:-1]

    def append(self, payloads: Sequence[bytes]) -> None:
        """Writes and syncs these commands, all or none. Raises OSError after restoring the file, or Problem."""
        if self._broken is not None:
            raise Problem("JOURNAL_BROKEN", self._broken)
        newest = self._segments[-1]
        if newest.offset_of(self.end) >= self._segment_bytes or not newest.is_grouped:
            self._rotate()
        data = encode_group(self.sequence + 1, payloads)
        try:
            self._write(data)
        except OSError:
            self._restore()
            raise
        self._sync(os.fdatasync)
        self.sequence += len(payloads)
        self.end += len(data)

    @staticmethod
    def record_bytes(payload: bytes) -> int:
        """How much of the journal a command takes."""
        return HEADER_BYTES + len(payload)

    def close(self) -> None:
        os.close(self._descriptor)

    def _first_segment(self) -> Segment:
        stored = sorted(self._directory.glob("snapshot-*.bin"))
        if stored:
            why = f"{stored[-1].name} exists, but the folder has no records: what was acknowledged is missing"
            raise Problem("JOURNAL_DAMAGED", f"{self._directory}: {why}. Restore the journal's files from a copy")
        return create_segment(self._directory, 1, 0)

    def _segment_after(self, sequence: int) -> int:
        """Index of the file that has, or will have, the record after `sequence`."""
        first = self._segments[0].first
        if first > sequence + 1:
            raise Problem(
                "JOURNAL_INCOMPLETE",
                f"the journal in {self._directory} begins with record {first}, and no snapshot leads there: each is "
                "damaged, missing, or newer than the database",
                allowed="restore a snapshot or the database, or put the archived files back into the folder",
            )
        return max(number for number, segment in enumerate(self._segments) if segment.first <= sequence + 1)

    def _read(self, descriptor: int, segment: Segment) -> Iterator[Record]:
        """The records from `end` on, group by group, up to the first group that is not whole; `_stop` says where."""
        buffer, position, offset = b"", 0, segment.offset_of(self.end)  # offset: of the buffer in the file
        group: list[Record] = []
        while True:
            record = read_record(buffer, position)
            if record is None:
                buffer, position, offset = buffer[position:], 0, offset + position
                enough = len(buffer) >= LARGEST_RECORD_BYTES
                more = b"" if enough else os.pread(descriptor, READ_BYTES, offset + len(buffer))
                if not more:
                    behind = group[-1].behind if group else 0
                    self._stop = Stop(offset, self.sequence + len(group), offset + behind)
                    return
                buffer += more
                continue
            last = self.sequence + len(group)
            if record.sequence != last + 1:
                raise damaged(segment.path, offset + position, f"record {record.sequence} follows record {last}")
            position = record.end
            group.append(record)
            if not record.behind:
                self.sequence, self.end = record.sequence, segment.position_of(offset + position)
                yield from group
                group.clear()

    def _rotate(self) -> None:
        """Goes on in a new file. Raises OSError, and the old one stays in use; or Problem JOURNAL_BROKEN."""
        self._sync(os.fsync)  # its length too: after a refused write it was cut back without a sync
        segment = create_segment(self._directory, self.sequence + 1, self.end)
        descriptor = _open(segment)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._segments = [segment]

    def _sync(self, how: Callable[[int], None]) -> None:
        try:
            how(self._descriptor)
        except OSError as error:
            self._broken = f"{self.path} could not be synced ({error.strerror}); restart the engine"
            raise Problem("JOURNAL_BROKEN", self._broken) from error

    def _write(self, data: bytes) -> None:
        view, offset = memoryview(data), self._segments[-1].offset_of(self.end)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def _restore(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._segments[-1].offset_of(self.end))
            os.fsync(self._descriptor)  # a loss of power must not bring back what was refused
        except OSError as error:
            self._broken = f"{self.path} could not be cut back after a failed write ({error.strerror})"

    def _cut_tail(self, applied: int) -> None:
        segment = self._segments[-1]
        offset, size = segment.offset_of(self.end), os.fstat(self._descriptor).st_size
        if offset == size:
            return
        why = why_acknowledged(self._descriptor, size, self._stop)
        if why is None and applied > self.sequence:
            why = f"record {applied} has been applied already, says the database or a snapshot"
        if why is not None:
            raise damaged(segment.path, self._stop.offset, f"record {self._stop.last + 1} is bad, but {why}")
        os.ftruncate(self._descriptor, offset)
        os.fsync(self._descriptor)
        self.cut_bytes = size - offset


def _open(segment: Segment) -> int:
    return os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
