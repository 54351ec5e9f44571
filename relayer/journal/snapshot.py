"""Snapshots: the engine's state after a sequence, so that a start replays only what came later.

Owns:     files `snapshot-<sequence>.bin`: magic 8 | crc32 4 | sequence 8 | journal position 8 | engine state.
Promises: a file under its final name is whole (temporary file, fsync, rename, directory fsync), and a damaged
          one is never used: the one before it, or the whole journal, is.
Never:    decides when a snapshot may be taken. The rule is that the projector has stored everything up to its
          sequence, because the events of what a snapshot covers can no longer be regenerated from it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from relayer.journal.segment import sync_directory

MAGIC = b"CXSNAP01"
KEEP = 2

_HEADER = struct.Struct("<8sI")
_POSITION = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`position`: where in the journal the record after `sequence` begins (see `segment`)."""

    sequence: int
    position: int
    state: bytes


def write_snapshot(directory: Path, snapshot: Snapshot) -> Path:
    """Stores the snapshot and deletes all but the newest two. Raises OSError; what was there stays usable."""
    body = _POSITION.pack(snapshot.sequence, snapshot.position) + snapshot.state
    final = directory / f"snapshot-{snapshot.sequence:020d}.bin"
    temporary = final.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_HEADER.pack(MAGIC, crc32(body)) + body)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(final)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    for old in _newest_first(directory)[KEEP:]:
        old.unlink(missing_ok=True)
    return final


def snapshots(directory: Path) -> Iterator[tuple[Path, Snapshot | None]]:
    """Newest first; None for a file that is damaged."""
    for path in _newest_first(directory):
        yield path, _read(path)


def _newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob("snapshot-*.bin"), reverse=True)


def _read(path: Path) -> Snapshot | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < _HEADER.size + _POSITION.size:
        return None
    magic, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if magic != MAGIC or crc32(body) != checksum:
        return None
    sequence, position = _POSITION.unpack_from(body)
    return Snapshot(sequence, position, body[_POSITION.size :])
