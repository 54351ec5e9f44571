"""Brings what the indexer saw on chain into the journal.

Owns:     the reading of the indexer's outbox, and the news that time has passed on chain.
Promises: every row becomes one ApplyFact command, in the table's order. It waits for a table that is not there yet. A
          table that is not the one it was reading (a recreated database) is compared with what the engine has applied:
          what no longer stands is taken back, what is missing is applied (rules in `cxdex.outbox`).
          A SeeBlock command follows only when every fact of that block has been applied.
Never:    writes to the outbox, or imports the indexer: the columns named in `cxdex.outbox` are the interface.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, inspect, text
from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError

from cxdex.facts import AnyFact, decode_fact
from cxdex.outbox import Comparison, Message, Place, compare, emitted_block, row_at, rows_after, standing
from cxdex.problem import Problem
from relayer.engine.chain_log import OutboxRow
from relayer.engine.commands import AnyCommand, ApplyFact, OutboxRead, SeeBlock
from relayer.sequencer import Sequencer

log = logging.getLogger("relayer.chain_feed")

POLL_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
ROWS_A_POLL = 500

_LAST = text("SELECT max(seq) FROM outbox")
# The emitted block's time, or that of one before it: blocks without events are dropped once they are final.
_CLOCK = text(
    "SELECT emitted_block, CASE WHEN emitted_block = block THEN timestamp ELSE"
    " (SELECT max(timestamp) FROM chain_block WHERE number <= emitted_block) END FROM checkpoint WHERE id = 1"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """rows: the next ones; clock: (block, unix seconds) up to which the chain has been told, if it was asked for.

    is_known: the table still has the row that was read last.
    """

    rows: Sequence[Message]
    clock: tuple[int, int] | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Catching:
    """What a table made anew says about facts that were applied, and its last row."""

    comparison: Comparison
    last: Message | None


class Outbox:
    """The table as a reader. All methods block; they run in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_there = False

    def read(self, last: OutboxRow, with_clock: bool) -> Reading:
        """The rows after the last one. Raises SQLAlchemy's errors."""
        if not self._is_there:
            self._is_there = inspect(self._database).has_table("outbox")
            if not self._is_there:
                return Reading([])
        with self._connect() as connection:
            if last.seq and not _is_same(row_at(connection, last.seq), last):
                return Reading([], is_known=False)
            clock = connection.execute(_CLOCK).first() if with_clock else None
            rows = rows_after(connection, last.seq, ROWS_A_POLL)
        told = (int(clock[0]), int(clock[1])) if clock is not None and clock[1] is not None else None
        return Reading(rows, told)

    def catch_up(self, applied: Sequence[Place]) -> Catching | None:
        """None while the table does not reach as far as what was applied. Raises Problem CHAIN_UNKNOWN."""
        newest = applied[-1].block if applied else 0
        with self._connect() as connection:
            if emitted_block(connection) < newest:
                return None
            comparison = compare(applied, standing(connection, applied[0].block if applied else 0))
            seq = connection.execute(_LAST).scalar()
            last = row_at(connection, int(seq)) if seq is not None else None
        if comparison is None:
            raise Problem(
                "CHAIN_UNKNOWN",
                "the outbox tells another chain than the engine has followed, from before its memory begins; "
                "restore the indexer's database, or start with an empty state folder",
            )
        return Catching(comparison, last)

    def lost(self) -> None:
        """After an error: look again whether the table is there."""
        self._is_there = False

    def _connect(self) -> Connection:
        return self._database.connect().execution_options(read_only=True)


class ChainFeed:
    def __init__(self, database: Database, sequencer: Sequencer, thread: ThreadPoolExecutor) -> None:
        self._outbox = Outbox(database)
        self._sequencer = sequencer
        self._engine = sequencer.engine
        self._thread = thread
        self._has_warned = False

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
        """Journals what is new; returns how many facts that were."""
        loop, engine = asyncio.get_running_loop(), self._engine
        clock = self._sequencer.clock
        with_clock = engine.has_set_asides or clock.is_doubted
        reading = await loop.run_in_executor(self._thread, self._outbox.read, engine.outbox_row, with_clock)
        if reading.clock is not None:
            clock.confirm(reading.clock[1])
        if not reading.is_known:
            return await self._catch_up()
        self._has_warned = False
        now = self._sequencer.now_ms()
        if reading.rows:
            await self._sequencer.submit([_fact(now, row) for row in reading.rows])
        elif reading.clock is not None and engine.has_late_withdrawal(reading.clock[1]):
            await self._sequencer.submit([SeeBlock(now, *reading.clock)])
        return len(reading.rows)

    async def _catch_up(self) -> int:
        if not self._has_warned:
            self._has_warned = True
            log.warning("the outbox is not the one read so far; comparing it with what was applied")
        known = {Place(*place): fact for place, fact in self._engine.applied_facts()}
        loop = asyncio.get_running_loop()
        catching = await loop.run_in_executor(self._thread, self._outbox.catch_up, list(known))
        if catching is None:
            return 0
        now = self._sequencer.now_ms()
        lost, missing = catching.comparison
        commands: list[AnyCommand] = [_taken_back(now, place, known[place]) for place in lost]
        commands += [_fact(now, message) for message in missing]
        last = catching.last
        if last is None:
            commands.append(OutboxRead(now, 0, -1, 0, False, b""))
        else:
            commands.append(OutboxRead(now, *last.place[:2], last.seq, last.reverted, last.place.block_hash))
        await self._sequencer.submit(commands)
        return len(commands) - 1


def _is_same(found: Message | None, last: OutboxRow) -> bool:
    place = Place(last.block, last.log_index, last.block_hash)
    return found is not None and (found.place, found.reverted) == (place, last.reverted)


def _fact(now: int, row: Message) -> ApplyFact:
    block, log_index, block_hash = row.place
    return ApplyFact(now, block, log_index, row.seq, row.reverted, decode_fact(row.payload), block_hash)


def _taken_back(now: int, place: Place, fact: AnyFact) -> ApplyFact:
    return ApplyFact(now, place.block, place.log_index, 0, True, fact, place.block_hash)
