"""What an operator can learn about a journal's folder: records, snapshots, damage, who works on it.

Promises: reads only. What it calls undamaged, the engine starts from; what it calls damage names file and byte.
Never:    repairs.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cxdex.problem import Problem
from relayer.engine.core import Engine
from relayer.journal.lock import LOCK_NAME
from relayer.journal.record import decode_command
from relayer.journal.scan import Damage, Found, scan
from relayer.journal.segment import Segment, missing_between, read_header, segment_paths
from relayer.journal.snapshot import Snapshot, snapshots

_LISTINGS = 3  # files may be taken away between listing and opening them


@dataclass
class Inspection:
    """What is in the files of a journal. Times in unix milliseconds, 0 without records.

    position: of the byte behind the last whole record. damage: without a tail that an engine may be writing now.
    """

    segments: list[SegmentView] = field(default_factory=list)
    records: int = 0
    first: int = 0
    last: int = 0
    first_ms: int = 0
    last_ms: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    damage: list[Damage] = field(default_factory=list)
    snapshots: list[SnapshotView] = field(default_factory=list)
    being_written: int = 0

    @property
    def sound(self) -> bool:
        return not self.damage and all(view.trouble is None for view in self.snapshots)

    @property
    def size(self) -> int:
        return sum(view.size for view in self.segments)


@dataclass
class SegmentView:
    """One file. first and last: its records, 0 without any."""

    path: Path
    size: int
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """trouble: why a start cannot use it, None when it can. promises: last record that the journal must hold."""

    path: Path
    promises: int
    trouble: str | None


def inspect(directory: Path, *, alone: bool = False) -> Inspection:
    """Reads every record and snapshot. alone: the caller holds the lock. Raises JOURNAL_MISSING or OSError."""
    running = not alone and engine_of(directory) is not None
    with open_journal(directory) as files:
        stored = list(snapshots(directory))
        wanted = {snapshot.sequence for _, snapshot in stored if snapshot is not None}
        seen, ends = Inspection([SegmentView(file.path, file.size) for file in files]), dict[int, int]()
        views = {view.path: view for view in seen.segments}
        for part in walk(files):
            if isinstance(part, Segment):
                segment, view = part, views[part.path]
                if part.first - 1 in wanted:
                    ends[part.first - 1] = part.position
            elif isinstance(part, Found):
                _count(seen, view, part)
                if part.sequence in wanted:
                    ends[part.sequence] = segment.position_of(part.end)
            elif part.tail and running:
                seen.being_written = part.size
            else:
                seen.damage.append(part)
        newest = files[-1]
    promised = newest.segment.first - 1 if newest.segment is not None else 0
    seen.snapshots = [_view(path, snapshot, ends, max(seen.last, promised)) for path, snapshot in stored]
    _require_beginning(seen, files[0])
    return seen


@dataclass(frozen=True, slots=True)
class OpenFile:
    """segment: None when the header is damaged; `why` says how."""

    path: Path
    descriptor: int
    size: int
    segment: Segment | None
    why: str = ""


def walk(files: Sequence[OpenFile]) -> Iterator[Segment | Found | Damage]:
    """Each file, its records and its damage, oldest first; also what is missing between two files."""
    before: Segment | None = None
    for file in files:
        if file.segment is None:
            yield Damage(file.path, 0, file.size, file.why)
            before = None
            continue
        why = missing_between(before, file.segment) if before is not None else None
        yield file.segment
        if why is not None:
            yield Damage(file.path, 0, 0, why)
        yield from scan(file.descriptor, file.segment, newest=file is files[-1])
        before = file.segment


@contextmanager
def open_journal(directory: Path) -> Iterator[Sequence[OpenFile]]:
    """Every file, open for reading, oldest first. Raises JOURNAL_MISSING or OSError."""
    with ExitStack() as opened:
        for _ in range(_LISTINGS):
            try:
                files = [_open(path, opened) for path in segment_paths(directory)]
                break
            except FileNotFoundError:  # the engine has just taken the oldest away, or there is no folder
                continue
        else:
            files = []
        if not files:
            raise Problem(
                "JOURNAL_MISSING",
                f"there is no journal in {directory}",
                allowed="--state names the folder that has journal/",
            )
        yield files


def _open(path: Path, opened: ExitStack) -> OpenFile:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    segment = read_header(path)
    size = os.fstat(descriptor).st_size
    if isinstance(segment, str):
        return OpenFile(path, descriptor, size, None, segment)
    return OpenFile(path, descriptor, size, segment)


def _require_beginning(seen: Inspection, oldest: OpenFile) -> None:
    """What retention has taken away must be covered by a snapshot that a start can use."""
    if oldest.segment is None or oldest.segment.first == 1:
        return
    gone = oldest.segment.first - 1
    if not any(view.trouble is None and view.promises >= gone for view in seen.snapshots):
        why = f"records 1 to {gone} are not here, and no usable snapshot covers them"
        seen.damage.append(Damage(oldest.path, 0, 0, why))


def engine_of(directory: Path) -> str | None:
    """The process that works on this journal now, or None. Leaves the lock as it is."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    else:
        return None
    finally:
        os.close(descriptor)


def _count(seen: Inspection, view: SegmentView, record: Found) -> None:
    seen.records += 1
    seen.first = seen.first or record.sequence
    seen.last = record.sequence
    view.first, view.last = view.first or record.sequence, record.sequence
    try:
        command = decode_command(record.payload)
    except (msgspec.MsgspecError, Problem) as error:
        why = f"record {record.sequence} is whole, but no command of this version ({error})"
        seen.damage.append(Damage(view.path, record.offset, record.end - record.offset, why))
        return
    seen.kinds[type(command).__name__] += 1
    seen.first_ms = seen.first_ms or command.time_ms
    seen.last_ms = command.time_ms


def _view(path: Path, snapshot: Snapshot | None, ends: dict[int, int], last: int) -> SnapshotView:
    if snapshot is None:
        return SnapshotView(path, 0, "is damaged: its checksum is wrong")
    trouble = None
    if snapshot.sequence > last:
        trouble = f"is of record {snapshot.sequence}, but the journal ends at {last}: acknowledged records are missing"
    elif ends.get(snapshot.sequence) != snapshot.position:
        trouble = f"says that record {snapshot.sequence} ends at position {snapshot.position}, where none does"
    else:
        try:
            Engine.restore(snapshot.state)
        except ValueError as error:
            trouble = f"cannot be used by this version ({error})"
    return SnapshotView(path, snapshot.sequence, trouble)
