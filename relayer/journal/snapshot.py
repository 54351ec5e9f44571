"""Snapshots: the engine's state after a sequence, so that a start replays only what came later.

Owns:     files `snapshot-<sequence>.bin`: magic 8 | crc32 4 | sequence 8 | journal position 8 | time 8 | engine state.
Promises: a file under its final name is whole (temporary file, fsync, rename, directory fsync), and a damaged
          one is never used: the one before it, or the whole journal, is. The state can be written by a child
          process that has it as it was when it was forked, while its parent goes on.
Never:    decides when a snapshot may be taken. The rule is that the projector has stored everything up to its
          sequence, because the events of what a snapshot covers can no longer be regenerated from it.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from relayer.journal.segment import sync_directory

MAGIC = b"CXSNAP02"
KEEP = 2

_FIRST_OF_ITS_OWN = 3  # descriptor after the standard ones
_POLITE = 10  # niceness of a child: the engine comes first

_HEADER = struct.Struct("<8sI")
_POSITION = struct.Struct("<QQQ")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`position`: where in the journal the record after `sequence` begins (see `segment`). time_ms: no command up to
    `sequence` is later, so that time does not run backwards over a restart."""

    sequence: int
    position: int
    state: bytes
    time_ms: int = 0


def write_snapshot(directory: Path, snapshot: Snapshot) -> Path:
    """Stores the snapshot and deletes all but the newest two. Raises OSError; what was there stays usable."""
    _write_temporary(directory, snapshot)
    return publish(directory, snapshot.sequence)


def fork_writer(directory: Path, sequence: int, position: int, time_ms: int, dump: Callable[[], bytes]) -> int:
    """Starts a child that writes the state as it is now under a temporary name. Returns its id. Raises OSError.

    The child ends with status 0, or with the number of the error that the disk gave. `publish` makes it a snapshot.
    """
    child = os.fork()
    if child:
        return child
    status = errno.EIO
    try:  # nothing of the parent's may be used or kept open in here: sockets, the lock, the database
        os.closerange(_FIRST_OF_ITS_OWN, os.sysconf("SC_OPEN_MAX"))
        os.nice(_POLITE)
        _write_temporary(directory, Snapshot(sequence, position, dump(), time_ms))
        status = 0
    except OSError as error:
        status = error.errno or errno.EIO
    finally:
        os._exit(status)


def publish(directory: Path, sequence: int) -> Path:
    """Makes what was written temporarily the newest snapshot. Raises OSError."""
    final = _final(directory, sequence)
    final.with_suffix(".tmp").rename(final)
    sync_directory(directory)
    for old in _newest_first(directory)[KEEP:]:
        old.unlink(missing_ok=True)
    return final


def remove_unfinished_snapshots(directory: Path) -> None:
    """What a crash left. The caller holds the lock."""
    for path in directory.glob("snapshot-*.tmp"):
        path.unlink(missing_ok=True)


def _write_temporary(directory: Path, snapshot: Snapshot) -> None:
    body = _POSITION.pack(snapshot.sequence, snapshot.position, snapshot.time_ms) + snapshot.state
    temporary = _final(directory, snapshot.sequence).with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_HEADER.pack(MAGIC, crc32(body)) + body)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _final(directory: Path, sequence: int) -> Path:
    return directory / f"snapshot-{sequence:020d}.bin"


def newest_sequence(directory: Path) -> int:
    """The last record that a snapshot speaks of, even a damaged one: it was whole, and applied, when it got its name.
    0: there is no snapshot."""
    return max((int(path.stem.removeprefix("snapshot-")) for path in _newest_first(directory)), default=0)


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
    sequence, position, time_ms = _POSITION.unpack_from(body)
    return Snapshot(sequence, position, body[_POSITION.size :], time_ms)
