"""One file of the journal: its name, how it begins, and which files a folder has.

Owns:     the names `journal-<first sequence>.log` and the header: magic 8 | crc32 4 | first sequence 8 |
          position 8, little-endian; records follow (see `record`), whose form the magic tells.
Promises: a file under such a name has a whole header (temporary file, fsync, rename, directory fsync). The
          positions chain the files: each begins where the one before it ends, so that a missing or shortened
          file shows without reading a record.
Never:    reads or writes records.

A position counts the bytes of all records since the journal began, whatever file they are in, so a snapshot's
position survives rotation and retention. Version 1 was one file `journal.log` without a first sequence; it
becomes the first segment by a rename, and its positions count its 8-byte magic. Version 2 had records without groups.
Files of both are read and never written again: an older version, which would take this one's records for a torn end,
knows no magic but its own and refuses.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zlib import crc32

from cxdex.problem import Problem

MAGIC = b"CXJOURN3"
UNGROUPED_MAGIC = b"CXJOURN2"
SINGLE_FILE = "journal.log"
SINGLE_FILE_MAGIC = b"CXJOURN1"

_HEADER = struct.Struct("<8sIQQ")
_CHECKED = struct.Struct("<QQ")
HEADER_BYTES = _HEADER.size
_NAME = re.compile(r"journal-\d{20}\.log")


@dataclass(frozen=True, slots=True)
class Segment:
    """first: sequence of its first record. position: where that begins in the journal. header: bytes before it.

    size: of the file, when it was looked at. is_grouped: it takes records of this version.
    """

    path: Path
    first: int
    position: int
    header: int
    size: int
    is_grouped: bool = True

    @property
    def end(self) -> int:
        """Position behind its last byte."""
        return self.position_of(self.size)

    def offset_of(self, position: int) -> int:
        """Where in the file a position of the journal is."""
        return position - self.position + self.header

    def position_of(self, offset: int) -> int:
        return offset - self.header + self.position


def segment_name(first: int) -> str:
    return f"journal-{first:020d}.log"


def segment_paths(directory: Path) -> list[Path]:
    """Oldest first. A journal of version 1 is its own only segment."""
    found = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    single = directory / SINGLE_FILE
    if not single.exists() or (found and single.stat().st_size <= len(SINGLE_FILE_MAGIC)):
        return found  # an older version came after a newer one, and was refused before it wrote anything
    if found:
        raise Problem(
            "JOURNAL_TWICE",
            f"{directory} has both {single.name} and {found[0].name}: an older version ran here after a newer one",
            allowed=f"move {single.name} away if the older version accepted nothing; otherwise restore from a copy",
        )
    return [single]


def read_header(path: Path) -> Segment | str:
    """The segment, or what is wrong with its beginning. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head, size = os.pread(descriptor, HEADER_BYTES, 0), os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if head.startswith(SINGLE_FILE_MAGIC):
        return Segment(path, 1, len(SINGLE_FILE_MAGIC), len(SINGLE_FILE_MAGIC), size, is_grouped=False)
    magic = head[: len(MAGIC)]
    if path.name == SINGLE_FILE or not (MAGIC.startswith(magic) or magic == UNGROUPED_MAGIC):
        return "this is not a journal of this version"
    if len(head) < HEADER_BYTES:
        return "its header is not whole"
    _, checksum, first, position = _HEADER.unpack(head)
    if crc32(_CHECKED.pack(first, position)) != checksum or segment_name(first) != path.name:
        return "its header is damaged, or the file was renamed"
    return Segment(path, first, position, HEADER_BYTES, size, is_grouped=magic == MAGIC)


def missing_between(before: Segment, after: Segment) -> str | None:
    """What is wrong where one file ends and the next begins, None when they join."""
    if before.end == after.position and after.first >= before.first:
        return None
    if before.end < after.position:
        return (
            f"{after.position - before.end} bytes are missing before record {after.first}: "
            f"{before.path.name} was shortened, or a file between it and {after.path.name} is gone"
        )
    return f"{before.path.name} is longer than {after.path.name} says it was"


def segments(directory: Path) -> list[Segment]:
    """Oldest first. Raises JOURNAL_DAMAGED unless they are one unbroken chain; raises OSError."""
    found: list[Segment] = []
    for path in segment_paths(directory):
        segment = read_header(path)
        if isinstance(segment, str):
            raise damaged(path, 0, segment)
        found.append(segment)
    for before, after in pairwise(found):
        why = missing_between(before, after)
        if why is not None:
            raise damaged(before.path, before.size, why)
    return found


def create_segment(directory: Path, first: int, position: int) -> Segment:
    """A new file without records, on disk. Raises OSError and leaves nothing behind then."""
    path = directory / segment_name(first)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(_HEADER.pack(MAGIC, crc32(_CHECKED.pack(first, position)), first, position))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(directory)
    return Segment(path, first, position, HEADER_BYTES, HEADER_BYTES)


def adopt_single_file(directory: Path) -> Path | None:
    """Makes a journal of version 1 the first segment; None when there is none. The caller holds the lock."""
    single = directory / SINGLE_FILE
    if segment_paths(directory) != [single]:
        return None
    head = single.read_bytes() if single.stat().st_size < len(SINGLE_FILE_MAGIC) else None
    if head is not None and SINGLE_FILE_MAGIC.startswith(head):  # it died while it was created
        single.unlink()
        return None
    segment = read_header(single)
    if isinstance(segment, str):
        raise damaged(single, 0, segment)
    path = directory / segment_name(segment.first)
    single.rename(path)
    sync_directory(directory)
    return path


def remove_unfinished(directory: Path) -> None:
    """What a crash during `create_segment` left. The caller holds the lock."""
    for path in directory.glob("journal-*.tmp"):
        path.unlink()


def damaged(path: Path, offset: int, why: str) -> Problem:
    return Problem(
        "JOURNAL_DAMAGED",
        f"{path} is damaged at byte {offset}: {why}. Nothing was changed; restore the file from a copy",
    )


def sync_directory(directory: Path) -> None:
    """Makes a new or renamed name in `directory` survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def total_size(found: Sequence[Segment]) -> int:
    return sum(segment.size for segment in found)
