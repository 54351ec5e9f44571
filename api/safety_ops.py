"""What a WebSocket client may say about its own silence: cancel my orders when I am gone, or unless I say so again.

Owns:     the ops `cancelOnDisconnect` and `deadman` of one connection, and whose orders go when it is lost.
Promises: a connection is named to the engine before the client is told that it is. Then its loss, however it comes
          about (also the end of this process), cancels all open orders of the account.
Never:    acts for an account that the connection has not proved control of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

from api.fields import read_object, read_small_integer, type_name
from api.problems import new_trace_id
from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.engine.cancelling import LONGEST_COUNTDOWN_SECONDS
from relayer.safety_desk import CONNECTION_BYTES

log = logging.getLogger("api")

MOST_WAITING = 8

Reply = Callable[[dict[str, Any], Any], None]
Refuse = Callable[..., None]


class SafetyOps:
    """`reply` and `refuse` answer the client; they are given its request's id."""

    def __init__(self, engine: EngineClient, reply: Reply, refuse: Refuse) -> None:
        self._engine = engine
        self._reply = reply
        self._refuse = refuse
        self._name = secrets.token_bytes(CONNECTION_BYTES)
        self._watched: set[bytes] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()  # on and off must reach the engine as the client said them

    def cancel_on_disconnect(self, message: dict[str, Any], account: bytes) -> None:
        """{"op":"cancelOnDisconnect","enabled":true}"""
        read_object(message, ("op", "enabled"), ("id",), "cancelOnDisconnect")
        enabled = message["enabled"]
        if not isinstance(enabled, bool):
            raise Problem(
                "FIELD_INVALID",
                "enabled is yes or no",
                field="enabled",
                given=type_name(enabled),
                allowed="true, false",
            )
        self._begin(self._set_watch(account, enabled, message.get("id")), message.get("id"))

    def deadman(self, message: dict[str, Any], account: bytes) -> None:
        """{"op":"deadman","seconds":30}; 0 ends it."""
        read_object(message, ("op", "seconds"), ("id",), "deadman")
        seconds = read_small_integer(message["seconds"], "seconds", most=LONGEST_COUNTDOWN_SECONDS)
        self._begin(self._set_countdown(account, seconds, message.get("id")), message.get("id"))

    async def disconnected(self) -> None:
        """The client is gone: so are its orders, when it asked for that. What fails here, the engine does by itself."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for account in self._watched:
            try:
                await self._engine.end_watch(account, self._name, lost=True)
            except Problem as problem:
                log.warning("the engine was not told of a lost connection; it will notice: %s", problem.detail)

    async def _set_watch(self, account: bytes, enabled: bool, request_id: Any) -> None:
        async with self._order:
            if enabled:
                self._watched.add(account)  # before the answer: it may come after the client has gone
                try:
                    await self._engine.watch(account, self._name)
                except Problem:
                    self._watched.discard(account)
                    with contextlib.suppress(Problem):
                        await self._engine.end_watch(account, self._name, lost=False)
                    raise
            elif account in self._watched:
                await self._engine.end_watch(account, self._name, lost=False)
                self._watched.discard(account)
        said = {"op": "cancelOnDisconnect", "enabled": enabled, "account": to_checksum(account)}
        self._reply(said, request_id)

    async def _set_countdown(self, account: bytes, seconds: int, request_id: Any) -> None:
        async with self._order:
            until_ms = await self._engine.set_countdown(account, seconds)
        self._reply({"op": "deadman", "firesAt": until_ms or None}, request_id)

    def _begin(self, work: Any, request_id: Any) -> None:
        if len(self._tasks) >= MOST_WAITING:
            work.close()
            raise Problem("RATE_LIMITED", "too many requests of this connection wait for the engine")
        task = asyncio.create_task(self._answer(work, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, work: Any, request_id: Any) -> None:
        try:
            await work
        except Problem as problem:
            self._refuse(problem, request_id)
        except Exception:
            trace_id = new_trace_id()
            log.exception("traceId %s: WebSocket request to the engine failed", trace_id)
            self._refuse(Problem("INTERNAL", "something went wrong on our side"), request_id, trace_id)
