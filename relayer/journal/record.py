"""One command as bytes: marker 4 | crc32 4 | length 4 | sequence 8 | before 4 | behind 4 | payload, little-endian.

Promises: a record that decodes is the record that was written: the checksum covers everything behind it.
Never:    touches files.

Records that one sync puts on disk are a group. `before` and `behind` are its bytes before and behind the record, so
that any one record tells where its group begins and ends. A group is begun when the one before it is on disk: whoever
finds anything of a later group knows that what lies before it was acknowledged.

The marker lets a reader find whole records behind a damaged one. Files of versions 1 and 2 have records without groups
(marker 4 | length 4 | crc32 4 | sequence 8 | payload): each is read as a group of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import msgspec

from relayer.engine.commands import AnyCommand

MARKER = b"CXR2"
UNGROUPED_MARKER = b"CXR1"
ANY_MARKER = b"CXR"  # how both begin
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
MAX_GROUP_BYTES = 2**32 - 1

_START = struct.Struct("<4sI")
_CHECKED = struct.Struct("<IQII")
HEADER_BYTES = _START.size + _CHECKED.size
LARGEST_RECORD_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES

_UNGROUPED = struct.Struct("<4sIIQ")
_UNGROUPED_CHECKED = struct.Struct("<IQ")

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class Record(NamedTuple):
    """before, behind: bytes of its group on either side."""

    sequence: int
    payload: bytes
    end: int
    """Offset of the byte after the record in the buffer it was read from."""
    before: int = 0
    behind: int = 0


def encode_command(command: AnyCommand) -> bytes:
    return _encoder.encode(command)


def decode_command(payload: bytes) -> AnyCommand:
    """Raises msgspec.DecodeError when the payload is no command of this version."""
    command: AnyCommand = _decoder.decode(payload)
    return command


def encode_group(first: int, payloads: Sequence[bytes]) -> bytes:
    """The records of one write; `first`: sequence of the first."""
    if any(len(payload) > MAX_PAYLOAD_BYTES for payload in payloads):
        raise ValueError("no reader would take so long a record: whoever makes commands bounds them")
    before, behind = 0, sum(HEADER_BYTES + len(payload) for payload in payloads)
    if behind > MAX_GROUP_BYTES:
        raise ValueError("no record could say how long so long a group is: whoever makes commands bounds them")
    parts: list[bytes] = []
    for sequence, payload in enumerate(payloads, first):
        size = HEADER_BYTES + len(payload)
        behind -= size
        checked = _CHECKED.pack(len(payload), sequence, before, behind) + payload
        parts += _START.pack(MARKER, crc32(checked)), checked
        before += size
    return b"".join(parts)


def read_record(buffer: bytes, offset: int) -> Record | None:
    """The record at `offset`, or None when there is no whole and undamaged one."""
    body = offset + HEADER_BYTES
    if not buffer.startswith(MARKER, offset):
        return _read_ungrouped(buffer, offset)
    if body > len(buffer):
        return None
    length, sequence, before, behind = _CHECKED.unpack_from(buffer, offset + _START.size)
    end = body + length
    if length > MAX_PAYLOAD_BYTES or end > len(buffer):
        return None
    if crc32(buffer[offset + _START.size : end]) != _START.unpack_from(buffer, offset)[1]:
        return None
    return Record(sequence, buffer[body:end], end, before, behind)


def _read_ungrouped(buffer: bytes, offset: int) -> Record | None:
    if not buffer.startswith(UNGROUPED_MARKER, offset) or offset + _UNGROUPED.size > len(buffer):
        return None
    _, length, checksum, sequence = _UNGROUPED.unpack_from(buffer, offset)
    end = offset + _UNGROUPED.size + length
    if length > MAX_PAYLOAD_BYTES or end > len(buffer):
        return None
    payload = buffer[offset + _UNGROUPED.size : end]
    if crc32(payload, crc32(_UNGROUPED_CHECKED.pack(length, sequence))) != checksum:
        return None
    return Record(sequence, payload, end)
