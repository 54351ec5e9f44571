"""Undo images as bytes: what the `undo` table holds for each block that is not final.

msgpack of [table number, key, row or nil], with amounts as their 32 bytes, the same on every database. One blob a
block, so that keeping undo costs one insert a block and not one a row.
"""

from __future__ import annotations

from typing import Any

import msgspec

from indexer.rows import STATE_SPECS, Key
from indexer.state import Image

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[int, list[Any], list[Any] | None]])


def encode_images(images: list[Image]) -> bytes:
    encoded: list[tuple[int, Key, list[Any] | None]] = []
    for number, key, row in images:
        spec = STATE_SPECS[number].table
        if row is None:
            encoded.append((number, key, None))
        else:
            encoded.append((number, key, spec.encode((*key, *row))[spec.key_width :]))
    return _encoder.encode(encoded)


def decode_images(blob: bytes) -> list[Image]:
    images = []
    for number, key, row in _decoder.decode(blob):
        spec = STATE_SPECS[number]
        values = None if row is None else spec.row(*spec.table.decode([*key, *row])[spec.table.key_width :])
        images.append(Image(number, tuple(key), values))
    return images
