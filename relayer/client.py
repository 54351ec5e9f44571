"""How a gateway talks to the engine process.

Owns:     one connection to the engine's socket, kept alive; requests by id, many in flight; the subscription.
Promises: a request either returns its reply or raises Problem: what the engine said, or ENGINE_UNAVAILABLE when no
          answer came in time. Then the outcome is unknown; asking again is safe, because an order's id is its
          digest and a cancel of what is cancelled says so. A request whose connection breaks is sent again on the
          next one, within its time. After a reconnect the subscription is made anew: the epoch and fresh
          snapshots tell the reader where it stands.
Never:    retries what the engine refused, or hides a gap in the feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from cxdex.order import Side
from cxdex.problem import Problem
from relayer import wire
from relayer.framing import FrameReader, encode_frame, problem_from_wire, wire_problem

log = logging.getLogger("relayer.client")

TIMEOUT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
ORDERS_TOGETHER = 500  # of callers who ask at the same time, in one message

R = TypeVar("R", bound=wire.Reply)
OnFeed = Callable[[wire.Feed], None]

_decoder: msgspec.json.Decoder[wire.AnyReply] = msgspec.json.Decoder(wire.AnyReply)


class EngineClient:
    """Use as an async context manager, or `start` and `close`. `timeout` in seconds, for each request."""

    def __init__(self, socket: Path | str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._socket = str(socket)
        self._timeout = timeout
        self._next_id = 1
        self._waiting: dict[int, tuple[bytes, asyncio.Future[wire.AnyReply]]] = {}
        self._on_feed: OnFeed | None = None
        self._is_subscribed = False
        self._watched: set[tuple[bytes, bytes]] = set()
        self._connection: _Connection | None = None
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._group: _Group | None = None

    async def __aenter__(self) -> EngineClient:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begins to connect, in the background and for as long as it takes."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_connected())

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        if self._connection is not None:
            self._connection.close()

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    async def place(self, orders: Sequence[wire.WireOrder]) -> list[wire.PlaceResult]:
        """One result an order, in order. A known order is answered with its state, so a retry is safe.

        Whatever is placed within one turn of the loop travels in one message, ahead of every later request.
        """
        group = self._group
        if group is None or not group.has_room(orders):
            self._send_group()
            group = self._group = _Group()
            asyncio.get_running_loop().call_soon(self._send_group, group)
        return await group.add(orders)

    async def take(self, steps: Sequence[wire.AnyStep]) -> list[wire.StepResult]:
        """One result a step, in order; they run together. A retry is safe: what is done already says so."""
        reply = await self._request(lambda number: wire.TakeSteps(number, list(steps)), wire.StepsReply)
        return reply.results

    async def cancel(
        self, account: bytes, digests: Sequence[bytes], client_order_ids: Sequence[str] = ()
    ) -> list[wire.CancelResult]:
        """A result for each id, then one or more for each name."""
        reply = await self._request(
            lambda number: wire.CancelOrders(number, account, list(digests), list(client_order_ids)), wire.CancelReply
        )
        return reply.results

    async def cancel_all(
        self, account: bytes, market: str | None = None, side: Side | None = None
    ) -> list[wire.CancelResult]:
        """What was open and is cancelled now."""
        reply = await self._request(
            lambda number: wire.CancelAllOrders(number, account, market, side), wire.CancelReply
        )
        return reply.results

    async def set_countdown(self, account: bytes, seconds: int) -> int:
        """Unix milliseconds at which the account's orders go unless this is said again; 0 when `seconds` is 0."""
        request = await self._request(lambda number: wire.SetCountdown(number, account, seconds), wire.CountdownReply)
        return request.until_ms

    async def watch(self, account: bytes, connection: bytes) -> None:
        """From now on the engine cancels the account's orders when the connection is lost, or this process is.

        It is told again whenever it was away.
        """
        await self._request(lambda number: wire.WatchConnection(number, account, connection), wire.WatchReply)
        self._watched.add((account, connection))

    async def end_watch(self, account: bytes, connection: bytes, *, lost: bool) -> None:
        self._watched.discard((account, connection))
        await self._request(lambda number: wire.EndWatch(number, account, connection, lost), wire.WatchReply)

    async def next_nonces(self, account: bytes, count: int = 1) -> list[int]:
        reply = await self._request(lambda number: wire.NextNonces(number, account, count), wire.NoncesReply)
        return reply.nonces

    async def order(self, digest: bytes) -> wire.OrderState | None:
        return (await self._request(lambda number: wire.GetOrder(number, digest), wire.OrderReply)).state

    async def open_orders(self, account: bytes, market: str | None = None) -> list[wire.OrderState]:
        return (await self._request(lambda number: wire.OpenOrders(number, account, market), wire.OrdersReply)).states

    async def account(self, account: bytes) -> wire.AccountReply:
        return await self._request(lambda number: wire.GetAccount(number, account), wire.AccountReply)

    async def withdraw(
        self, account: bytes, asset: int, amount: int, as_cxpt: bool, recipient: bytes, nonce: int
    ) -> wire.WithdrawalReply:
        """Co-signs a withdrawal. The nonce names it, so a retry is safe."""
        return await self._request(
            lambda number: wire.WithdrawInstantly(number, account, asset, amount, as_cxpt, recipient, nonce),
            wire.WithdrawalReply,
        )

    async def guards(self, account: bytes) -> list[wire.GuardState]:
        """The account's market-maker protections."""
        return (await self._request(lambda number: wire.GetGuards(number, account), wire.GuardsReply)).guards

    async def set_guard(self, account: bytes, guard: wire.GuardState) -> list[wire.GuardState]:
        return (await self._request(lambda number: wire.SetGuard(number, account, guard), wire.GuardsReply)).guards

    async def reset_guard(self, account: bytes, market: str) -> list[wire.GuardState]:
        return (await self._request(lambda number: wire.ResetGuard(number, account, market), wire.GuardsReply)).guards

    async def status(self) -> wire.StatusReply:
        return await self._request(lambda number: wire.GetStatus(number), wire.StatusReply)

    async def subscribe(self, on_feed: OnFeed) -> str:
        """Calls `on_feed` with every feed message from now on, book snapshots first; returns the epoch.

        `on_feed` must be quick and must not raise. After a reconnect the snapshots come again.
        """
        self._on_feed = on_feed
        epoch = (await self._request(lambda number: wire.Subscribe(number), wire.SubscribedReply)).epoch
        self._is_subscribed = True
        return epoch

    async def _request(self, make: Callable[[int], wire.Request], kind: type[R]) -> R:
        self._send_group()  # what was asked before goes before
        number, answer = self._send(make)
        try:
            async with asyncio.timeout(self._timeout):
                reply = await answer
        except TimeoutError:
            raise self._no_answer() from None
        finally:
            del self._waiting[number]
        return _expect(reply, kind)

    def _send(self, make: Callable[[int], wire.Request]) -> tuple[int, asyncio.Future[wire.AnyReply]]:
        number = self._next_id
        self._next_id += 1
        frame = encode_frame(make(number))
        answer: asyncio.Future[wire.AnyReply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (frame, answer)
        if self._connection is not None:
            self._connection.send(frame)
        return number, answer

    def _send_group(self, only: _Group | None = None) -> None:
        """The orders that wait for the end of this turn. `only`: unless they are others than these by now."""
        group = self._group
        if group is None or (only is not None and group is not only):
            return
        self._group = None
        try:
            number, answer = self._send(lambda number: wire.PlaceOrders(number, group.orders))
        except Problem as problem:
            group.fail(problem)
            return

        def give_up() -> None:
            if not answer.done():
                answer.set_exception(self._no_answer())

        timer = asyncio.get_running_loop().call_later(self._timeout, give_up)

        def answered(_: object) -> None:
            timer.cancel()
            del self._waiting[number]
            try:
                group.finish(_expect(answer.result(), wire.PlaceReply).results)
            except Problem as problem:
                group.fail(problem)

        answer.add_done_callback(answered)

    def _no_answer(self) -> Problem:
        state = "gave no answer" if self.is_connected else "cannot be reached"
        return Problem("ENGINE_UNAVAILABLE", f"the matching engine {state} within {self._timeout:g} s")

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                _, connection = await loop.create_unix_connection(lambda: _Connection(self._receive), self._socket)
            except OSError as error:
                if pause == FIRST_PAUSE_SECONDS:
                    log.warning("the engine at %s cannot be reached (%s); trying on", self._socket, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            self._connection = connection
            self._connected.set()
            self._resume(connection)
            connected_at = loop.time()
            await connection.lost.wait()
            self._connection = None
            self._connected.clear()
            log.warning("the connection to the engine is gone; connecting again")
            if loop.time() - connected_at > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _resume(self, connection: _Connection) -> None:
        waiting = [frame for frame, _ in self._waiting.values()]
        if self._is_subscribed:
            connection.send(encode_frame(wire.Subscribe(0)))
        for account, watched in self._watched:
            connection.send(encode_frame(wire.WatchConnection(0, account, watched)))
        for frame in waiting:
            connection.send(frame)

    def _receive(self, body: bytes) -> None:
        reply = _decoder.decode(body)
        if isinstance(reply, wire.Feed):
            if self._on_feed is not None:
                self._on_feed(reply)
            return
        found = self._waiting.get(reply.id)
        if found is not None and not found[1].done():
            found[1].set_result(reply)


class _Group:
    """Orders of several callers on their way in one message. A digest is in it once: its answer must be one's own."""

    def __init__(self) -> None:
        self.orders: list[wire.WireOrder] = []
        self._digests: set[bytes] = set()
        self._callers: list[tuple[asyncio.Future[list[wire.PlaceResult]], int]] = []  # with how many orders

    def has_room(self, orders: Sequence[wire.WireOrder]) -> bool:
        return len(self.orders) + len(orders) <= ORDERS_TOGETHER and self._digests.isdisjoint(
            order.digest for order in orders
        )

    def add(self, orders: Sequence[wire.WireOrder]) -> asyncio.Future[list[wire.PlaceResult]]:
        """Done with the results of these. A caller who goes away does not take the others' orders along."""
        answer: asyncio.Future[list[wire.PlaceResult]] = asyncio.get_running_loop().create_future()
        self.orders += orders
        self._digests.update(order.digest for order in orders)
        self._callers.append((answer, len(orders)))
        return answer

    def finish(self, results: list[wire.PlaceResult]) -> None:
        start = 0
        for answer, count in self._callers:
            if not answer.done():
                answer.set_result(results[start : start + count])
            start += count

    def fail(self, problem: Problem) -> None:
        """Each caller gets an exception of its own: what is raised is marked with where."""
        for answer, _ in self._callers:
            if not answer.done():
                answer.set_exception(problem_from_wire(wire_problem(problem)))


class _Connection(asyncio.Protocol):
    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self.lost = asyncio.Event()
        self._receive = receive
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's stream transports are not subclasses of it

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._receive(body)
        except (Problem, msgspec.MsgspecError) as error:
            log.error("the engine sent something unreadable: %s", error)
            self.close()

    def send(self, data: bytes) -> None:
        """What is sent within one turn of the loop goes out in one write."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _expect(reply: wire.AnyReply, kind: type[R]) -> R:
    if isinstance(reply, wire.ErrorReply):
        raise problem_from_wire(reply.problem)
    if not isinstance(reply, kind):
        raise Problem("INTERNAL", f"the engine answered with {type(reply).__name__}")
    return reply
