"""The outbox: the table through which the indexer tells the relayer what the chain did, as both sides see it.

  outbox(seq INTEGER PRIMARY KEY, block INTEGER, log_index INTEGER, block_hash BYTES(32), reverted BOOLEAN,
         payload TEXT)
  checkpoint(id = 1, ..., emitted_block INTEGER)   facts of every block up to it are in the outbox

Owns:     the place of a fact, and how a reader that kept its memory compares it with a table that was made anew.
Promises: a place names one event of one chain for ever: two chains never share a place. Facts that stand (said and
          not reverted since) are in the order of their places, and are those of one chain.
Never:    writes. The indexer alone appends, and changes no row; a reorg appends the same place again with `reverted`.

The reader's rules (docs/decisions/009-outbox-block-hash.md):
  1. It applies a row unless the place's (block, log_index) is at or before that of the last fact it has applied.
  2. It takes back a revert's fact only if that is the last fact it has applied. Then the fact before it is the last:
     a fact of another chain may come back in a lower block.
  3. When the row it last read is not in the table any more, the table was made anew. It waits until the table
     reaches as far as it has come itself (`emitted_block`), takes back what `compare` calls lost, newest first,
     and goes on with what it calls missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text


class Place(NamedTuple):
    """Which event of which chain a fact tells."""

    block: int
    log_index: int
    block_hash: bytes


class Message(NamedTuple):
    """A row. `payload` as `cxdex.facts.encode_fact` writes it."""

    seq: int
    place: Place
    reverted: bool
    payload: str


_COLUMNS = "seq, block, log_index, block_hash, reverted, payload"
_AFTER = text(f"SELECT {_COLUMNS} FROM outbox WHERE seq > :seq ORDER BY seq LIMIT :limit")  # noqa: S608
_AT = text(f"SELECT {_COLUMNS} FROM outbox WHERE seq = :seq")  # noqa: S608
_FROM = text(f"SELECT {_COLUMNS} FROM outbox WHERE block >= :block ORDER BY block, log_index, seq")  # noqa: S608
_EMITTED = text("SELECT emitted_block FROM checkpoint WHERE id = 1")


def rows_after(connection: Connection, seq: int, limit: int) -> list[Message]:
    return [_message(row) for row in connection.execute(_AFTER, {"seq": seq, "limit": limit})]


def row_at(connection: Connection, seq: int) -> Message | None:
    row = connection.execute(_AT, {"seq": seq}).first()
    return None if row is None else _message(row)


def emitted_block(connection: Connection) -> int:
    """The table holds the facts of every block up to this one; -1 while the indexer has not begun."""
    row = connection.execute(_EMITTED).first()
    return -1 if row is None else int(row[0])


def standing(connection: Connection, from_block: int = 0) -> list[Message]:
    """Facts that hold now, in the order of their places: the last word on each place is not a revert."""
    last: dict[Place, Message] = {}
    for row in connection.execute(_FROM, {"block": from_block}):
        message = _message(row)
        last[message.place] = message
    # A place that was said, reverted and said again keeps where it stood first: sort.
    return sorted((message for message in last.values() if not message.reverted), key=lambda message: message.place)


class Comparison(NamedTuple):
    """What a reader has to do to agree with the chain: take back `lost` in this order, then apply `missing`."""

    lost: list[Place]
    missing: list[Message]


def compare(applied: Sequence[Place], stands: Sequence[Message]) -> Comparison | None:
    """Places that the reader applied, in order, against what stands from the block of the first of them on.

    None when not one of them stands: the chains part before the reader's memory begins, and only a person can help.
    """
    if not applied:
        return Comparison([], list(stands))
    on_chain = {message.place for message in stands}
    kept = len(applied)
    while kept and applied[kept - 1] not in on_chain:
        kept -= 1
    if not kept:
        return None
    last = applied[kept - 1]
    return Comparison(list(applied[kept:])[::-1], [message for message in stands if message.place[:2] > last[:2]])


def _message(row: Sequence[object]) -> Message:
    seq, block, log_index, block_hash, reverted, payload = row
    place = Place(int(block), int(log_index), bytes(block_hash))  # type: ignore[call-overload]
    return Message(int(seq), place, bool(reverted), str(payload))  # type: ignore[call-overload]
