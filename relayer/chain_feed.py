"""Brings what the indexer saw on chain into the journal.

Owns:     the place up to which the indexer's outbox table has been read.
Promises: every row becomes one ApplyFact command, in the table's order. It waits for a table that is not there
          yet, and starts over when the table is not the one it was reading (a recreated database): the engine
          ignores facts at positions it has applied.
Never:    writes to the outbox, or imports the indexer: the table's five columns are the interface (`cxdex.facts`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine as Database
from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from cxdex.facts import decode_fact
from cxdex.problem import Problem
from relayer.engine.commands import ApplyFact
from relayer.sequencer import Sequencer

log = logging.getLogger("relayer.chain_feed")

POLL_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
ROWS_A_POLL = 500

_COLUMNS = "seq, block, log_index, reverted, payload"
_NEXT = text(f"SELECT {_COLUMNS} FROM outbox WHERE seq > :seq ORDER BY seq LIMIT {ROWS_A_POLL}")  # noqa: S608
_LAST = text(f"SELECT {_COLUMNS} FROM outbox WHERE seq = :seq")  # noqa: S608


@dataclass(frozen=True, slots=True)
class OutboxRow:
    seq: int
    block: int
    log_index: int
    reverted: bool
    payload: str


class Outbox:
    """The table as a reader. All methods block; they run in a thread."""

    def __init__(self, database: Database, seq: int, position: tuple[int, int]) -> None:
        self._database = database
        self._seq = seq
        self._position = position
        self._last: OutboxRow | None = None
        self._is_there = False

    def read(self) -> Sequence[OutboxRow]:
        """The rows after the last one confirmed with `advance`. Raises SQLAlchemy's errors."""
        if not self._is_there:
            self._is_there = inspect(self._database).has_table("outbox")
            if not self._is_there:
                return []
        with self._database.connect().execution_options(read_only=True) as connection:
            if self._seq:
                found = connection.execute(_LAST, {"seq": self._seq}).first()
                if found is None or not self._is_mine(OutboxRow(*found)):
                    log.warning("the outbox is not the one read so far (row %d); reading it from its start", self._seq)
                    self._seq, self._last = 0, None
            return [OutboxRow(*row) for row in connection.execute(_NEXT, {"seq": self._seq})]

    def advance(self, row: OutboxRow) -> None:
        self._seq, self._last = row.seq, row

    def lost(self) -> None:
        """After an error: look again whether the table is there."""
        self._is_there = False

    def _is_mine(self, row: OutboxRow) -> bool:
        if self._last is not None:
            return row == self._last
        # After a restart only the engine's position is known; a revert puts it just before its own row.
        return self._position == (row.block, row.log_index - 1 if row.reverted else row.log_index)


class ChainFeed:
    def __init__(self, database: Database, sequencer: Sequencer, thread: ThreadPoolExecutor) -> None:
        block, log_index, seq = sequencer.engine.outbox_position
        self._outbox = Outbox(database, seq, (block, log_index))
        self._sequencer = sequencer
        self._thread = thread

    async def run(self) -> None:
        """Until cancelled."""
        pause = POLL_SECONDS
        while True:
            try:
                count = await self.poll()
            except (SQLAlchemyError, msgspec.MsgspecError, Problem) as error:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                log.warning("chain facts wait: %s; trying again in %.1f s", str(error).splitlines()[0], pause)
                self._outbox.lost()
                await asyncio.sleep(pause)
                continue
            pause = POLL_SECONDS
            if count < ROWS_A_POLL:
                await asyncio.sleep(POLL_SECONDS)

    async def poll(self) -> int:
        """Journals what is new; returns how many rows that were."""
        rows = await asyncio.get_running_loop().run_in_executor(self._thread, self._outbox.read)
        if not rows:
            return 0
        now = self._sequencer.now_ms()
        await self._sequencer.submit(
            [
                ApplyFact(now, row.block, row.log_index, row.seq, bool(row.reverted), decode_fact(row.payload))
                for row in rows
            ]
        )
        self._outbox.advance(rows[-1])
        return len(rows)
