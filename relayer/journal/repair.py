"""Cuts a torn last group off a journal, after keeping a copy of it.

Promises: the copy is on disk before anything is cut; what is cut was one write that nobody was told of. At any failure
          the journal is as it was.
Never:    runs beside an engine, or cuts what a snapshot or the tables know to have been acknowledged.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from cxdex.problem import Problem
from relayer.journal.inspection import Inspection, inspect
from relayer.journal.scan import Damage
from relayer.journal.segment import sync_directory


@dataclass(frozen=True, slots=True)
class Repaired:
    """`last`: record with which the journal ends now."""

    last: int
    cut: Damage
    copy: Path


def damaged_tail(directory: Path, stored: int = 0) -> tuple[Inspection, Damage | None]:
    """What could be cut, None for a journal that needs nothing. The caller holds the lock. stored: see `cut_tail`.

    Raises JOURNAL_NOT_REPAIRABLE when cutting would lose records or would not help, JOURNAL_MISSING or OSError.
    """
    seen = inspect(directory, alone=True)
    for damage in seen.damage:
        if not damage.tail:
            raise _not_repairable(
                f"{damage.path} is damaged at byte {damage.offset}: {damage.why}, and that is not the journal's end"
                if damage.offset
                else f"{damage.path}: {damage.why}"
            )
    promised = max((view.promises for view in seen.snapshots), default=0)
    if promised > seen.last:
        raise _not_repairable(
            f"the journal ends at record {seen.last}, but a snapshot of record {promised} exists: "
            "what is missing was acknowledged"
        )
    if stored > seen.last:
        raise _not_repairable(
            f"the journal would end at record {seen.last}, but the database has what record {stored} caused"
        )
    return seen, seen.damage[0] if seen.damage else None


def cut_tail(directory: Path, stored: int = 0) -> Repaired | None:
    """None when nothing is damaged. The caller holds the lock. stored: the last record whose events are in the tables,
    0 when nobody asked them. Raises as `damaged_tail` does."""
    seen, tail = damaged_tail(directory, stored)
    if tail is None:
        return None
    descriptor = os.open(tail.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        copy = _keep(descriptor, tail)
        os.ftruncate(descriptor, tail.offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Repaired(seen.last, tail, copy)


def _keep(descriptor: int, tail: Damage) -> Path:
    """Writes the tail to a new file beside the journal."""
    copy = _unused_name(tail.path, tail.offset)
    try:
        with copy.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            position = tail.offset
            while position < tail.offset + tail.size:
                data = os.pread(descriptor, min(1 << 20, tail.offset + tail.size - position), position)
                if not data:
                    raise OSError(5, "the file became shorter while it was read", str(tail.path))
                file.write(data)
                position += len(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    sync_directory(tail.path.parent)
    return copy


def _unused_name(path: Path, offset: int) -> Path:
    names = (path.with_name(f"{path.name}.cut-at-{offset}" + (f".{n}" if n else "")) for n in count())
    return next(name for name in names if not name.exists())


def _not_repairable(why: str) -> Problem:
    return Problem(
        "JOURNAL_NOT_REPAIRABLE",
        f"{why}. Cutting it off would lose records that were acknowledged, so nothing was changed",
        allowed="restore the journal from a copy",
    )
