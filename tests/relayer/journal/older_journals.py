"""Journals as versions 1 and 2 wrote them, byte by byte: records without groups."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from relayer.journal.segment import SINGLE_FILE, SINGLE_FILE_MAGIC, segment_name

MAGIC_2 = b"CXJOURN2"


def record(sequence: int, payload: bytes) -> bytes:
    checksum = crc32(struct.pack("<IQ", len(payload), sequence) + payload)
    return struct.pack("<4sIIQ", b"CXR1", len(payload), checksum, sequence) + payload


def records(payloads: Sequence[bytes], first: int = 1) -> bytes:
    return b"".join(record(sequence, payload) for sequence, payload in enumerate(payloads, first))


def write_version_1(directory: Path, payloads: Sequence[bytes]) -> bytes:
    data = SINGLE_FILE_MAGIC + records(payloads)
    (directory / SINGLE_FILE).write_bytes(data)
    return data


def write_version_2(directory: Path, payloads: Sequence[bytes], first: int = 1, position: int = 0) -> bytes:
    """One file of it. Returns its bytes."""
    checksum = crc32(struct.pack("<QQ", first, position))
    data = struct.pack("<8sIQQ", MAGIC_2, checksum, first, position) + records(payloads, first)
    (directory / segment_name(first)).write_bytes(data)
    return data
