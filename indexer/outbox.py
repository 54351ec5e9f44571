"""The writer of the outbox (`cxdex.outbox`): facts are appended in the transaction that stores their events, each once.

Owns:     the tables `outbox` and `pending_fact`.
Promises: the facts that stand (appended and not reverted since) are exactly the facts of the chain up to
          `emitted_block`. A reorg reverts them newest first. After a rebuild, facts that stand already are compared
          with the derived ones, block hash included, and not repeated; from the first difference on, the old ones
          are reverted.
Never:    deletes or changes a message.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from indexer.sql import Sql


class Message(NamedTuple):
    """A fact and its place; `payload` as `cxdex.facts.encode_fact` writes it."""

    block: int
    position: int
    block_hash: bytes
    payload: str


class Outbox:
    """The end of the outbox. `standing` holds messages after `emitted_block`: there are some only after a rebuild."""

    def __init__(self, sql: Sql, emitted_block: int) -> None:
        self._next = int(sql.run("SELECT COALESCE(MAX(seq), 0) FROM outbox").scalar_one()) + 1
        self._standing = deque(_standing(sql, emitted_block))

    def advance(self, sql: Sql, facts: list[Message], upto: int) -> None:
        """Emits what became ready: pending facts and `facts` of blocks up to `upto`; later ones wait."""
        pending = sql.run(
            "SELECT block, log_index, block_hash, payload FROM pending_fact WHERE block <= ? ORDER BY 1, 2", upto
        )
        ready = [Message(block, position, bytes(hashed), payload) for block, position, hashed, payload in pending]
        sql.run("DELETE FROM pending_fact WHERE block <= ?", upto)
        ready += [fact for fact in facts if fact.block <= upto]
        sql.run_many(
            "INSERT INTO pending_fact (block, log_index, block_hash, payload) VALUES (?, ?, ?, ?)",
            [tuple(fact) for fact in facts if fact.block > upto],
        )
        self._append(sql, self._unsaid(sql, ready, upto), reverted=False)

    def revert_after(self, sql: Sql, block: int) -> None:
        """Takes back every fact of the blocks after `block`, newest first."""
        sql.run("DELETE FROM pending_fact WHERE block > ?", block)
        self._append(sql, _standing(sql, block)[::-1], reverted=True)
        self._standing = deque(message for message in self._standing if message.block <= block)

    def _unsaid(self, sql: Sql, ready: list[Message], upto: int) -> list[Message]:
        """Those of `ready` that do not stand yet. Reverts what stands and should not."""
        said = 0
        while self._standing and said < len(ready) and self._standing[0] == ready[said]:
            self._standing.popleft()
            said += 1
        if self._standing and (said < len(ready) or self._standing[0].block <= upto):
            self._append(sql, list(self._standing)[::-1], reverted=True)
            self._standing.clear()
        return ready[said:]

    def _append(self, sql: Sql, messages: list[Message], *, reverted: bool) -> None:
        rows = [
            (self._next + place, message.block, message.position, message.block_hash, reverted, message.payload)
            for place, message in enumerate(messages)
        ]
        sql.run_many(
            "INSERT INTO outbox (seq, block, log_index, block_hash, reverted, payload) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        self._next += len(rows)


def _standing(sql: Sql, after: int) -> list[Message]:
    """Messages of later blocks that have not been reverted since: the last word on their place."""
    rows = sql.run(
        "SELECT block, log_index, block_hash, payload, reverted FROM outbox WHERE block > ? ORDER BY seq", after
    )
    last = {
        (block, position, bytes(hashed)): (payload, reverted) for block, position, hashed, payload, reverted in rows
    }
    return sorted(Message(*place, payload) for place, (payload, reverted) in last.items() if not reverted)
