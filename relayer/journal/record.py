"""One command as bytes: marker 4 | length 4 | crc32 4 | sequence 8 | payload, little-endian.

Promises: a record that decodes is the record that was written: the checksum covers length, sequence and payload.
Never:    touches files.

The marker lets a reader find out whether valid records follow a damaged one: at the end of a journal a bad
record is a write that never finished, before a good one it is damage.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

import msgspec

from relayer.engine.commands import AnyCommand

MARKER = b"CXR1"
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024

_HEADER = struct.Struct("<4sIIQ")
HEADER_BYTES = _HEADER.size
LARGEST_RECORD_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES
_CHECKED = struct.Struct("<IQ")

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class Record(NamedTuple):
    sequence: int
    payload: bytes
    end: int
    """Offset of the byte after the record in the buffer it was read from."""


def encode_command(command: AnyCommand) -> bytes:
    return _encoder.encode(command)


def decode_command(payload: bytes) -> AnyCommand:
    """Raises msgspec.DecodeError when the payload is no command of this version."""
    command: AnyCommand = _decoder.decode(payload)
    return command


def encode_record(sequence: int, payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError("no reader would take so long a record: whoever makes commands bounds them")
    checksum = crc32(payload, crc32(_CHECKED.pack(len(payload), sequence)))
    return _HEADER.pack(MARKER, len(payload), checksum, sequence) + payload


def read_record(buffer: bytes, offset: int) -> Record | None:
    """The record at `offset`, or None when there is no whole and undamaged one."""
    if offset + HEADER_BYTES > len(buffer):
        return None
    marker, length, checksum, sequence = _HEADER.unpack_from(buffer, offset)
    end = offset + HEADER_BYTES + length
    if marker != MARKER or length > MAX_PAYLOAD_BYTES or end > len(buffer):
        return None
    payload = buffer[offset + HEADER_BYTES : end]
    if crc32(payload, crc32(_CHECKED.pack(length, sequence))) != checksum:
        return None
    return Record(sequence, payload, end)
