"""Puts commands in order, on disk and through the engine, in that sequence.

Owns:     the queue between those who ask and the journal, and the clock that stamps commands.
Promises: group commit: what arrives while a sync runs goes into the next batch, and the batch before it is applied
          meanwhile. A command is applied only after its batch is on disk, so nothing that leaves the process
          (reply, feed, table row, query) ever speaks of a command that a loss of power could take back.
          Apply order is journal order. Times never run backwards, and never leap ahead, whatever the machine's clock
          does (see `clock`).
Never:    knows sockets, databases or why a command was sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from cxdex.problem import Problem
from relayer.clock import BoundedClock
from relayer.engine.commands import AnyCommand
from relayer.engine.core import Engine
from relayer.engine.events import AnyEvent
from relayer.journal.journal import Journal
from relayer.journal.record import encode_command
from relayer.order_view import states_after
from relayer.wire import OrderState

log = logging.getLogger("relayer.sequencer")

MAX_COMMANDS_A_SYNC = 1_000


class Applied(NamedTuple):
    """One command, what it caused, and the state after it of every order it touched."""

    sequence: int
    command: AnyCommand
    events: Sequence[AnyEvent]
    states: Sequence[OrderState]


Publish = Callable[[list[Applied]], None]
Synced = Callable[[int, float], None]
"""(commands, seconds) of one write and fsync; called in the journal's thread."""


@dataclass(slots=True)
class _Group:
    commands: Sequence[AnyCommand]
    payloads: list[bytes]
    done: asyncio.Future[list[Applied]]


class Sequencer:
    """`sequence` and `offset`: the last command applied, and where its record ends in the journal."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        thread: ThreadPoolExecutor,
        publish: Publish,
        on_synced: Synced | None = None,
        clock: BoundedClock | None = None,
    ) -> None:
        self.engine = engine
        self.sequence = journal.sequence
        self.offset = journal.end
        self._journal = journal
        self._thread = thread
        self._publish = publish
        self._on_synced = on_synced
        self._queue: deque[_Group] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._closing = False
        self.clock = clock or BoundedClock()

    @property
    def waiting(self) -> int:
        """Commands accepted by `submit` and not yet applied."""
        return self._waiting

    @property
    def is_closing(self) -> bool:
        return self._closing

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def start_clock_at(self, time_ms: int) -> None:
        """Recovery says when the last replayed command was."""
        self.clock.start_at(time_ms)

    def submit(self, commands: Sequence[AnyCommand]) -> asyncio.Future[list[Applied]]:
        """Done when these commands, which stay together, are on disk and applied.

        Fails with ENGINE_UNAVAILABLE when they could not be written; then they are not in the journal, unless it is
        broken: then only the next start knows, and the words do not say otherwise.
        """
        if self._closing:
            raise Problem("ENGINE_UNAVAILABLE", "the engine is stopping")
        done: asyncio.Future[list[Applied]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Group(commands, [encode_command(command) for command in commands], done))
        self._waiting += len(commands)
        self._wake.set()
        return done

    def close(self) -> None:
        """Takes no more; `run` returns when what was taken is applied."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Raises when the journal is broken: the process must stop then, and read the disk again."""
        loop = asyncio.get_running_loop()
        synced: list[_Group] = []
        while True:
            batch = self._take()
            if not batch and not synced:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            payloads = [payload for group in batch for payload in group.payloads]
            sync = loop.run_in_executor(self._thread, self._append, payloads) if batch else None
            try:
                self._apply(synced)
            finally:
                synced = batch if sync is not None and await self._is_synced(sync, batch) else []

    def _take(self) -> list[_Group]:
        batch: list[_Group] = []
        count = 0
        while self._queue and (not batch or count + len(self._queue[0].commands) <= MAX_COMMANDS_A_SYNC):
            group = self._queue.popleft()
            count += len(group.commands)
            batch.append(group)
        return batch

    def _append(self, payloads: list[bytes]) -> None:
        """In the journal's thread."""
        started = time.perf_counter()
        self._journal.append(payloads)
        if self._on_synced is not None:
            self._on_synced(len(payloads), time.perf_counter() - started)

    async def _is_synced(self, sync: asyncio.Future[None], batch: list[_Group]) -> bool:
        try:
            await sync
        except (OSError, Problem) as error:
            why = error.strerror if isinstance(error, OSError) else error.detail
            # What was written and could not be synced may be on the disk: the next start finds out.
            then = "nothing was accepted" if isinstance(error, OSError) else "ask again what was accepted"
            problem = Problem("ENGINE_UNAVAILABLE", f"the journal cannot be written ({why}); {then}")
            log.error("the journal cannot be written (%s); %d commands not applied", why, len(batch))
            for group in batch:
                self._waiting -= len(group.commands)
                if not group.done.done():
                    group.done.set_exception(problem)
            if isinstance(error, Problem):
                raise
            return False
        return True

    def _apply(self, groups: list[_Group]) -> None:
        if not groups:
            return
        everything: list[Applied] = []
        for group in groups:
            results = []
            for command, payload in zip(group.commands, group.payloads, strict=True):
                events = self.engine.apply(command)
                self.sequence += 1
                self.offset += self._journal.record_bytes(payload)
                results.append(Applied(self.sequence, command, events, states_after(self.engine, events)))
            everything += results
            self._waiting -= len(group.commands)
            if not group.done.done():
                group.done.set_result(results)
        self._publish(everything)
