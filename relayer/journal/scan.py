"""Reads a journal's file from end to end without changing it, past damage as well.

Promises: every whole record is found, and every byte that belongs to none is named. Memory stays bounded by the
          largest record, whatever the file's size or damage.
Never:    writes, takes the lock, or decides what to do about damage.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relayer.journal.record import HEADER_BYTES, LARGEST_RECORD_BYTES, MARKER, Record, read_record
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

    tail: nothing whole follows in the newest file, so it may be a write that never finished.
    """

    path: Path
    offset: int
    size: int
    why: str
    tail: bool = False


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
        if found is None and self._bytes.startswith(MARKER, offset - self._start):
            self._reach(offset, LARGEST_RECORD_BYTES)
            found = read_record(self._bytes, offset - self._start)
        return found and found._replace(end=self._start + found.end)

    def marker(self, offset: int) -> int | None:
        """Where the next record might begin, from `offset` on."""
        while offset < self.size:
            self._reach(offset, len(MARKER))
            position = self._bytes.find(MARKER, offset - self._start)
            if position >= 0:
                return self._start + position
            # The last bytes may be the beginning of a marker.
            offset = max(offset + 1, self._start + len(self._bytes) - len(MARKER) + 1)
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
    offset, last = segment.header, segment.first - 1
    while offset < segment.size:
        record = window.record(offset)
        if record is None:
            following = _next_record(window, offset + 1, last)
            end = following if following is not None else segment.size
            tail = following is None and newest
            yield Damage(segment.path, offset, end - offset, f"record {last + 1} is not whole", tail)
            offset = end
            if following is None:
                return
            record = window.record(offset)
            assert record is not None
        elif record.sequence != last + 1:
            yield Damage(segment.path, offset, 0, f"record {record.sequence} follows record {last}")
        yield Found(offset, record.end, record.sequence, record.payload)
        offset, last = record.end, record.sequence


def next_record(descriptor: int, size: int, offset: int, last: int) -> int | None:
    """Where a whole record with a number above `last` begins, from `offset` on."""
    return _next_record(_Window(descriptor, size), offset, last)


def _next_record(window: _Window, offset: int, last: int) -> int | None:
    """A marker inside a damaged payload leads to none."""
    position = window.marker(offset)
    while position is not None:
        record = window.record(position)
        if record is not None and record.sequence > last:
            return position
        position = window.marker(position + 1)
    return None
