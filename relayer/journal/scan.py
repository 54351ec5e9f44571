"""Reads a journal's file from end to end without changing it, past damage as well.

Promises: every whole record is found, and every byte that belongs to none is named. Memory stays bounded by the
          largest record, whatever the file's size or damage.
Never:    writes, takes the lock, or decides what to do about damage.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from relayer.journal.record import HEADER_BYTES, MARKER, MAX_PAYLOAD_BYTES, Record, read_record
from relayer.journal.segment import MAGIC, READ_BYTES

_LARGEST = HEADER_BYTES + MAX_PAYLOAD_BYTES


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record. `offset`: of its first byte in the file, `end`: of the byte behind it."""

    offset: int
    end: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """`size` bytes from `offset` on that are no record; 0 when records are whole but one is missing between them.

    tail: nothing whole follows, so it may be a write that never finished.
    """

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
            self._reach(offset, _LARGEST)
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


def scan(descriptor: int, size: int) -> Iterator[Found | Damage]:
    """Records and damage of the first `size` bytes, in the order of the file. Raises OSError."""
    magic = os.pread(descriptor, len(MAGIC), 0)[:size]
    if magic != MAGIC:
        if not MAGIC.startswith(magic):
            yield Damage(0, size, "the file does not begin as a journal of this version does")
        return
    window = _Window(descriptor, size)
    offset, last = len(MAGIC), 0
    while offset < size:
        record = window.record(offset)
        if record is None:
            following = _next_record(window, offset + 1, last)
            end = following if following is not None else size
            yield Damage(offset, end - offset, f"record {last + 1} is not whole", tail=following is None)
            offset = end
            if following is None:
                return
            record = window.record(offset)
            assert record is not None
        elif record.sequence != last + 1:
            yield Damage(offset, 0, f"record {record.sequence} follows record {last}")
        yield Found(offset, record.end, record.sequence, record.payload)
        offset, last = record.end, record.sequence


def _next_record(window: _Window, offset: int, last: int) -> int | None:
    """The next whole record with a later number. A marker inside a damaged payload leads to none."""
    position = window.marker(offset)
    while position is not None:
        record = window.record(position)
        if record is not None and record.sequence > last:
            return position
        position = window.marker(position + 1)
    return None
