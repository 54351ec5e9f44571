"""Reads a journal's file from end to end without changing it, past damage as well.

Promises: every whole record is found, and every byte that belongs to none is named. Tells a write that never finished
          from damage to what was acknowledged (see `why_acknowledged`). Memory stays bounded by the largest record and
          the largest group, whatever the file's size or damage.
Never:    writes, takes the lock, or decides what to do about damage.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relayer.journal.record import ANY_MARKER, HEADER_BYTES, LARGEST_RECORD_BYTES, Record, read_record
from relayer.journal.segment import Segment

READ_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record. `offset`: of its first byte in the file, `end`: of the byte behind it."""

    offset: int
    end: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """`size` bytes of the file from `offset` on that are no record; 0 when records are whole but one is missing.

    tail: it may be the newest file's last group, whose write never finished: then from its first record to the end.
    """

    path: Path
    offset: int
    size: int
    why: str
    tail: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Where whole records end. last: the one before. group_end: of the bytes of that one's group, as it says."""

    offset: int
    last: int
    group_end: int


class _Window:
    """A part of the file in memory."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self.size = size
        self._start = 0
        self._bytes = b""

    def record(self, offset: int) -> Record | None:
        """The whole record at `offset`; its `end` counts from there."""
        self._reach(offset, HEADER_BYTES)
        found = read_record(self._bytes, offset - self._start)
        if found is None and self._bytes.startswith(ANY_MARKER, offset - self._start):
            self._reach(offset, LARGEST_RECORD_BYTES)
            found = read_record(self._bytes, offset - self._start)
        return found and found._replace(end=self._start + found.end)

    def marker(self, offset: int) -> int | None:
        """Where the next record might begin, from `offset` on."""
        while offset < self.size:
            self._reach(offset, len(ANY_MARKER))
            position = self._bytes.find(ANY_MARKER, offset - self._start)
            if position >= 0:
                return self._start + position
            # The last bytes may be the beginning of a marker.
            offset = max(offset + 1, self._start + len(self._bytes) - len(ANY_MARKER) + 1)
        return None

    def next_record(self, offset: int, last: int) -> tuple[int, Record] | None:
        """Where the next whole record with a number above `last` begins, from `offset` on, and the record.

        A marker inside a damaged payload leads to none.
        """
        position = self.marker(offset)
        while position is not None:
            record = self.record(position)
            if record is not None and record.sequence > last:
                return position, record
            position = self.marker(position + 1)
        return None

    def _reach(self, offset: int, length: int) -> None:
        """Makes sure that these bytes are in memory, as far as the file has them."""
        end = min(offset + length, self.size)
        if self._start <= offset and end <= self._start + len(self._bytes):
            return
        self._start = offset
        self._bytes = os.pread(self._descriptor, min(max(length, READ_BYTES), self.size - offset), offset)


def scan(descriptor: int, segment: Segment, *, newest: bool) -> Iterator[Found | Damage]:
    """Records and damage of the file as long as `segment` says it is, in order. Raises OSError."""
    window = _Window(descriptor, segment.size)
    offset, last, group_end = segment.header, segment.first - 1, segment.header
    group: list[Found] = []
    while offset < segment.size or group:
        record = window.record(offset)
        if record is None:
            stop = Stop(offset, last, group_end)
            if newest and _why_acknowledged(window, stop) is None:
                start = group[0].offset if group else offset
                yield Damage(segment.path, start, segment.size - start, _not_whole(last, group), tail=True)
                return
            yield from group
            group.clear()
            following = window.next_record(offset + 1, last)
            end = following[0] if following is not None else segment.size
            yield Damage(segment.path, offset, end - offset, f"record {last + 1} is not whole")
            if following is None:
                return
            offset, record = following
        elif record.sequence != last + 1:
            yield from group
            group.clear()
            yield Damage(segment.path, offset, 0, f"record {record.sequence} follows record {last}")
        group.append(Found(offset, record.end, record.sequence, record.payload))
        offset, last, group_end = record.end, record.sequence, record.end + record.behind
        if not record.behind:
            yield from group
            group.clear()


def why_acknowledged(descriptor: int, size: int, stop: Stop) -> str | None:
    """Why what is not whole at `stop`, in the newest file, had been on disk and acknowledged.

    None: it is of the last group that was ever written, and nothing says that its write was finished.
    """
    return _why_acknowledged(_Window(descriptor, size), stop)


def _why_acknowledged(window: _Window, stop: Stop) -> str | None:
    if stop.offset < stop.group_end < window.size:
        return f"its group ends at byte {stop.group_end} and more was written behind it"
    following = window.next_record(stop.offset + 1, stop.last)
    while following is not None:
        position, record = following
        if position - record.before > stop.offset:
            return f"record {record.sequence} at byte {position} is whole and was written after it"
        if record.end + record.behind < window.size:
            return f"its group ends at byte {record.end + record.behind} and more was written behind it"
        following = window.next_record(record.end, stop.last)
    return None


def _not_whole(last: int, group: list[Found]) -> str:
    why = f"record {last + 1} is not whole"
    if not group:
        return why
    before = f"record {last}" if len(group) == 1 else f"records {group[0].sequence} to {last}"
    return f"{why}, and {before} before it came with the same write"
