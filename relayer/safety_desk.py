"""What the engine process does for clients that may fall silent: countdowns, and connections that are watched.

Owns:     which watched connections a gateway of this run has named.
Promises: a connection whose loss a gateway reports, or whose gateway is gone, takes its account's orders off the books.
          After a restart every watched connection has GRACE_SECONDS to be named again; then it counts as lost.
Never:    cancels by itself: it sends the engine commands, which are in the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from cxdex.problem import Problem
from relayer import wire
from relayer.engine.cancelling import LONGEST_COUNTDOWN_SECONDS, MOST_WATCHED_CONNECTIONS
from relayer.engine.commands import AnyCommand, EndWatch, SetCountdown, WatchConnection
from relayer.engine.core import Engine
from relayer.engine.events import ConnectionWatched, CountdownSet
from relayer.refusal_budget import RefusalBudget
from relayer.sequencer import Applied, Sequencer

log = logging.getLogger("relayer.safety")

GRACE_SECONDS = 5.0
RETRY_SECONDS = 1.0
MOST_AT_ONCE = 500
CONNECTION_BYTES = 16

Watched = tuple[bytes, bytes]
"""(account, connection)"""


class SafetyDesk:
    """budget: of what accounts have set. The loss of a connection is always written down."""

    def __init__(self, sequencer: Sequencer, budget: RefusalBudget) -> None:
        self._sequencer = sequencer
        self._budget = budget
        self._named: set[Watched] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def set_countdown(self, request: wire.SetCountdown) -> wire.CountdownReply:
        if not 0 <= request.seconds <= LONGEST_COUNTDOWN_SECONDS:
            raise Problem(
                "FIELD_INVALID",
                "a countdown cannot be that long",
                field="seconds",
                given=str(request.seconds),
                allowed=f"1 to {LONGEST_COUNTDOWN_SECONDS}; 0 ends it",
            )
        require_known(self._sequencer.engine, request.account)
        self._budget.take(request.account)
        command = SetCountdown(self._sequencer.now_ms(), request.account, request.seconds)
        applied = await self._submit(command)
        # The last one: what was due before may have fired in the same command.
        until = [event.until_ms for event in applied.events if isinstance(event, CountdownSet)][-1]
        return wire.CountdownReply(request.id, until)

    async def watch(self, request: wire.WatchConnection) -> wire.WatchReply:
        if len(request.connection) != CONNECTION_BYTES:
            raise Problem("BODY_MALFORMED", f"a connection is named by {CONNECTION_BYTES} bytes")
        require_known(self._sequencer.engine, request.account)
        self._budget.take(request.account)
        self._named.add((request.account, request.connection))
        command = WatchConnection(self._sequencer.now_ms(), request.account, request.connection)
        applied = await self._submit(command)
        if not any(isinstance(event, ConnectionWatched) for event in applied.events):
            self._named.discard((request.account, request.connection))
            raise Problem(
                "RATE_LIMITED",
                "too many connections of the account cancel its orders when they are lost",
                allowed=f"{MOST_WATCHED_CONNECTIONS} an account",
            )
        return wire.WatchReply(request.id)

    async def end_watch(self, request: wire.EndWatch) -> wire.WatchReply:
        """A loss is not forgotten when it cannot be written now: nobody may be left to say it again."""
        watched, engine = (request.account, request.connection), self._sequencer.engine
        if request.lost and engine.knows(request.account):
            await asyncio.shield(self._begin([watched]))
        elif watched in self._named or engine.is_watched(*watched):
            self._named.discard(watched)
            await self._submit(EndWatch(self._sequencer.now_ms(), *watched, lost=False))
        return wire.WatchReply(request.id)

    def gateway_lost(self, watched: Collection[Watched]) -> None:
        """Nobody is left who could tell when these are lost, so they are."""
        if watched:
            log.warning("a gateway is gone with %d watched connections; their orders are cancelled", len(watched))
            self._begin(watched)

    async def run(self) -> None:
        """Ends what an earlier run watched and nobody has named since."""
        before = self._sequencer.engine.watched_connections()
        await asyncio.sleep(GRACE_SECONDS)
        left = [watched for watched in before if watched not in self._named]
        if left:
            log.warning("%d watched connections did not come back; their orders are cancelled", len(left))
            await self._begin(left)
        await asyncio.Event().wait()

    def _begin(self, watched: Collection[Watched]) -> asyncio.Task[None]:
        self._named.difference_update(watched)
        task = asyncio.get_running_loop().create_task(self._end_all(list(watched)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_all(self, watched: list[Watched]) -> None:
        """Until it is on disk. What an engine that stops has not written, its next start finds in its state."""
        while watched:
            some, now = watched[:MOST_AT_ONCE], self._sequencer.now_ms()
            try:
                await self._sequencer.submit([EndWatch(now, *one, lost=True) for one in some])
                del watched[: len(some)]
            except Problem as problem:
                log.warning("orders of %d lost connections are cancelled later: %s", len(watched), problem.detail)
                if self._sequencer.is_closing:
                    return
                await asyncio.sleep(RETRY_SECONDS)

    async def _submit(self, command: AnyCommand) -> Applied:
        (applied,) = await asyncio.shield(self._sequencer.submit([command]))
        return applied


def require_known(engine: Engine, account: bytes) -> None:
    """Raises ACCOUNT_UNKNOWN: what nobody has paid a deposit for must not make this process remember anything."""
    if not engine.knows(account):
        raise Problem(
            "ACCOUNT_UNKNOWN",
            "the exchange has seen no deposit of this account",
            field="account",
            given="0x" + account.hex(),
        )
