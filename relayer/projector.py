"""Keeps the order and trade tables in step with the journal, behind the engine's back.

Owns:     the queue of applied commands whose events are not in the tables yet.
Promises: every event reaches the tables exactly once, in journal order: the cursor moves in the transaction of
          the rows, and after a restart replay regenerates whatever lies beyond it. A database that is away or
          full is retried for ever and said; nothing is dropped. Few commands are stored at once; many, together every
          GATHER_SECONDS: a transaction costs a sync of the disk that the journal needs, and writes each page once.
Never:    blocks the event loop: one thread of its own does the writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from relayer.engine.events import AnyEvent
from relayer.order_table import OrderTables

log = logging.getLogger("relayer.projector")

MAX_COMMANDS_A_TRANSACTION = 2_000
GATHER_SECONDS = 0.2  # four times the rows of 0.05 s share the pages they change: a third less CPU for each
MANY_A_SECOND = 200
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

Sequenced = tuple[int, Sequence[AnyEvent]]
"""(journal sequence, its events)"""


def project(tables: OrderTables, commands: Iterable[Sequenced]) -> None:
    """Stores these in one transaction, skipping what the tables already have."""
    changes, last = tables.no_changes(), tables.cursor
    for sequence, events in commands:
        if sequence > tables.cursor:
            changes.add(events)
            last = sequence
    if last > tables.cursor:
        tables.store(changes, last)


class Projector:
    def __init__(self, tables: OrderTables, thread: ThreadPoolExecutor) -> None:
        self._tables = tables
        self._thread = thread
        self._queue: deque[Sequenced] = deque()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()  # somebody waits, or there is enough for a transaction
        self._moved = asyncio.Condition()
        self._closing = False
        self._second, self._seen, self._seen_before = 0.0, 0, 0  # commands of this second, and of the one before

    @property
    def stored(self) -> int:
        """Last journal sequence whose events are in the tables."""
        return self._tables.cursor

    @property
    def backlog(self) -> int:
        return len(self._queue)

    def enqueue(self, sequence: int, events: Sequence[AnyEvent]) -> None:
        self._queue.append((sequence, events))
        self._seen += 1
        self._wake.set()
        if len(self._queue) >= MAX_COMMANDS_A_TRANSACTION:
            self._hurry.set()

    async def stored_through(self, sequence: int, *, hurry: bool = True) -> None:
        """Returns once everything up to `sequence` is in the tables. Without `hurry` no sync of the disk is made for
        it: for whoever may be a stranger."""
        if hurry:
            self._hurry.set()
        async with self._moved:
            await self._moved.wait_for(lambda: self._tables.cursor >= sequence)

    async def run(self) -> None:
        """Until `close`, and then until the queue is empty. Raises when the tables contradict the journal."""
        rested = 0.0
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._gather(rested)
            rested = asyncio.get_running_loop().time() + GATHER_SECONDS
            batch = [self._queue[i] for i in range(min(len(self._queue), MAX_COMMANDS_A_TRANSACTION))]
            await self._store(batch)
            for _ in batch:
                self._queue.popleft()
            async with self._moved:
                self._moved.notify_all()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._hurry.set()

    async def _gather(self, until: float) -> None:
        """Waits for more to store at once, while there are many and nobody waits for them."""
        now = asyncio.get_running_loop().time()
        if now - self._second > 1:
            self._second, self._seen, self._seen_before = now, 0, self._seen if now - self._second < 2 else 0
        pause = until - now
        if pause > 0 and max(self._seen, self._seen_before) >= MANY_A_SECOND and not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause)
        self._hurry.clear()

    async def _store(self, batch: list[Sequenced]) -> None:
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._thread, project, self._tables, batch)
                return
            except IntegrityError:
                raise
            except SQLAlchemyError as error:
                log.warning("the database refused (%s); %d commands wait for it", _reason(error), len(self._queue))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
