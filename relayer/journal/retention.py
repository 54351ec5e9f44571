"""Takes away the files of a journal that no start can need any more.

Promises: a file goes only when every record in it is covered by the older of the two newest snapshots, and both
          have just been read back whole; the newest file always stays. Oldest first, so that a crash between two
          files leaves an unbroken journal. With an archive, a file is there, on disk, before it leaves the folder.
Never:    looks into commands: what was refused goes with what was accepted, and the tables keep the latter.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from relayer.journal.segment import Segment, segments, sync_directory, total_size
from relayer.journal.snapshot import KEEP, snapshots

KEEP_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Retention:
    """keep_bytes: files stay while all of them together are no larger. archive: folder they move to, else removed."""

    keep_bytes: int = KEEP_BYTES
    archive: Path | None = None


def retire(directory: Path, retention: Retention) -> list[Path]:
    """Returns the files that have left the folder. Raises OSError or Problem; what was not taken away stays usable."""
    found = segments(directory)
    excess = total_size(found) - retention.keep_bytes
    retired: list[Path] = []
    if excess <= 0 or len(found) == 1:
        return retired
    covered = _covered_by_snapshots(directory)
    for segment, following in pairwise(found):
        if excess <= 0 or following.first > covered + 1:
            break
        excess -= segment.size
        _take_away(segment, retention.archive)
        retired.append(segment.path)
    if retired:
        sync_directory(directory)
    return retired


def _covered_by_snapshots(directory: Path) -> int:
    """The last record that no start needs, 0 when that is not certain."""
    kept = [snapshot for _, snapshot in snapshots(directory)]
    whole = [snapshot.sequence for snapshot in kept if snapshot is not None]
    return min(whole) if len(whole) == len(kept) >= KEEP else 0


def _take_away(segment: Segment, archive: Path | None) -> None:
    if archive is None:
        segment.path.unlink()
        return
    archive.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = archive / segment.path.name
    try:
        segment.path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(segment.path, target)
        segment.path.unlink()
    sync_directory(archive)


def _copy(source: Path, target: Path) -> None:
    """To another file system: whole under its final name, or not there."""
    temporary = target.with_suffix(".tmp")
    try:
        with source.open("rb") as old, temporary.open("wb") as new:
            os.fchmod(new.fileno(), 0o600)
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            os.fsync(new.fileno())
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)
