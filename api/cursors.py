"""Opaque paging cursors over a total order.

Promises: a page never repeats or loses a row because rows were added meanwhile: a cursor names the last row
          seen, not a distance from the newest one.
Never:    trusts a cursor: it is the client's text until it has been read back.
"""

from __future__ import annotations

import base64
import binascii

from cxdex.problem import Problem

DEFAULT_LIMIT = 100
MAX_LIMIT = 500


def encode_cursor(kind: str, position: int) -> str:
    """`kind` keeps a cursor of one list from being used on another."""
    return base64.urlsafe_b64encode(f"{kind}:{position}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str | None) -> int | None:
    """The position after which the page starts; None for the first page. Raises Problem FIELD_INVALID."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, _, position = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(":")
        if name == kind and position.isascii() and position.isdecimal() and len(position) < 19:
            return int(position)
    except (ValueError, binascii.Error):
        pass
    raise Problem(
        "FIELD_INVALID",
        "this is not a cursor of this list",
        field="cursor",
        given=cursor,
        allowed="the `next` of the page before, as it was",
    )


def next_cursor(kind: str, positions: list[int], limit: int) -> str | None:
    """The cursor after a page read with `limit` + 1 rows, or None when it was the last page."""
    return encode_cursor(kind, positions[limit - 1]) if len(positions) > limit else None
