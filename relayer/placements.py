"""Signed orders on their way through the engine, and what is said about them.

Owns:     which orders are on their way, what is answered without a command, and how a command's events become the
          answer about its order.
Promises: idempotent: an order that is known, on its way or forgotten by the engine is answered with its state, not
          taken again. Commands are handed over before anything is waited for, so requests keep their order.
Never:    checks signatures (the gateway did, and the chain does again).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from cxdex.order import Order, SignatureKind
from cxdex.problem import Problem
from relayer import wire
from relayer.engine.commands import AnyCommand, Cancel, CancelAndPlace, Place, Replace, SignedCommand
from relayer.engine.events import OrderRejected, ReduceRefused, Traded
from relayer.engine.orders import LIVE
from relayer.framing import wire_problem
from relayer.nonce_leases import NonceLeases
from relayer.order_table import OrderTables
from relayer.order_view import order_state
from relayer.projector import Projector
from relayer.refusal_budget import EARLY_CANCELS, RefusalBudget
from relayer.sequencer import Applied, Sequencer

LONGEST_LOOK_SECONDS = 4.0  # a gateway gives up after 5, and requests that wait for a database must not pile up

MOST_LOOKING = 200  # questions of strangers that wait; orders of everybody share their connection

OnItsWay = asyncio.Future[list[Applied]]
SignedFields = tuple[Order, bytes, bytes, str | None, SignatureKind, bytes, int, int]

# What the engine may say to an order that it accepted once and has forgotten since.
_MAY_BE_FORGOTTEN = frozenset(
    {
        "MARKET_UNKNOWN",
        "MARKET_NOT_ACTIVE",
        "ORDER_CANCELLED_BEFORE",
        "ORDER_EPOCH_STALE",
        "ORDER_EXPIRED",
        "ORDER_NONCE_USED",
        "ORDER_NOT_OPEN",
        "ORDER_REPLACED_BEFORE",
        "ORDER_TOO_LATE",
        "ORDER_UNKNOWN",
    }
)

_DATABASE_AWAY = wire.WireProblem(
    "ENGINE_UNAVAILABLE",
    "the database is away, so it cannot be said whether this order was accepted once; ask again",
)


class Placements:
    def __init__(
        self,
        sequencer: Sequencer,
        projector: Projector,
        tables: OrderTables,
        readers: ThreadPoolExecutor,
        leases: NonceLeases,
        clock: Callable[[], float] = time.monotonic,
        on_refused: Callable[[str], None] = lambda _code: None,
    ) -> None:
        self._sequencer = sequencer
        self._engine = sequencer.engine
        self._projector = projector
        self._tables = tables
        self._readers = readers
        self._leases = leases
        self._on_refused = on_refused
        self.refusals = RefusalBudget(sequencer.engine, clock)
        self._early_cancels = RefusalBudget(sequencer.engine, clock, EARLY_CANCELS)
        self._coming: dict[bytes, dict[bytes, None]] = {}  # digests on their way, by account
        self.on_their_way: dict[bytes, OnItsWay] = {}
        self._looking = 0

    async def place(self, orders: Sequence[wire.WireOrder]) -> list[wire.PlaceResult]:
        """One result an order, in order."""
        now = self._sequencer.now_ms()
        fresh: dict[bytes, Place] = {}
        known: dict[bytes, OnItsWay | None] = {}
        stopped: dict[bytes, Problem] = {}
        results: dict[bytes, wire.PlaceResult] = {}
        for sent in orders:
            digest = sent.digest
            if self.knows(digest):
                known[digest] = self.on_their_way.get(digest)
            elif digest not in fresh and digest not in stopped:
                command = Place(now, *signed_fields(sent))
                problem = self.at_the_door(command)
                if problem is None:
                    fresh[digest] = command
                else:
                    stopped[digest] = problem
        if fresh:
            applied = await self.run(list(fresh.values()))
            refused = []
            for digest, one in zip(fresh, applied, strict=True):
                if any(type(event) is OrderRejected for event in one.events):
                    refused.append((digest, one))
                else:
                    results[digest] = await self.result(digest, one)
            if refused:  # each may have to wait for the tables: all wait at once
                looked_up = await asyncio.gather(*(self.result(*pair) for pair in refused))
                results |= {result.digest: result for result in looked_up}
        for digest, on_its_way in known.items():
            try:
                results[digest] = await self.known(digest, on_its_way)
            except Problem as problem:  # of another request, or of the database: these here may be well
                results[digest] = wire.PlaceResult(digest, None, wire_problem(problem))
        for sent in orders:
            if sent.digest not in results:
                results[sent.digest] = await self.unless_known(sent, stopped[sent.digest])
        return [results[sent.digest] for sent in orders]

    def knows(self, digest: bytes) -> bool:
        return self._engine.order_state(digest) is not None or digest in self.on_their_way

    def has_coming(self, account: bytes, digest: bytes | None = None) -> bool:
        """Whether an order of the account is on its way: this one or (None) any."""
        coming = self._coming.get(account, ())
        return bool(coming) if digest is None else digest in coming

    def at_the_door(self, command: Place | Replace | CancelAndPlace) -> Problem | None:
        """Why the order is refused without being written down: a refusal must cost its sender something, and must not
        cost anybody else anything.

        It changes nothing in the engine, now or in a replay. An order that was accepted once and is forgotten is
        answered with its state all the same (`unless_known`).
        """
        event = self._engine.refused_at_once(command)
        if event is not None:
            return Problem(event.code, event.detail, field=event.field, given=event.given, allowed=event.allowed)
        return self.refusals.refusal(command.order.account, command.signer)

    async def unless_known(self, sent: wire.WireOrder, problem: Problem) -> wire.PlaceResult:
        """The state of an order that was accepted before, else why it was refused at the door."""
        state = None
        if self._engine.has_used(sent.order.account, sent.order.nonce):
            try:
                async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                    state = await self.find(sent.digest)
                    if state is None or state.status in LIVE:  # the tables may not have all of it yet
                        await self._projector.stored_through(self._sequencer.sequence)
                        state = await self.find(sent.digest)
            except (TimeoutError, SQLAlchemyError):
                return wire.PlaceResult(sent.digest, None, _DATABASE_AWAY)
        if state is None:
            self._on_refused(problem.code)
        return wire.PlaceResult(sent.digest, state, wire_problem(problem) if state is None else None)

    def cancel(self, account: bytes, digest: bytes, now: int) -> Cancel:
        """The command for an order of this id, which is to be there or to come. Raises RATE_LIMITED for ids that nobody
        has seen: each is remembered for a while, and written down."""
        if self._engine.order_state(digest) is None and not self.has_coming(account, digest):
            self._early_cancels.take(account)
        return Cancel(now, account, [digest])

    async def run(self, commands: Sequence[AnyCommand]) -> list[Applied]:
        """They go to the engine together, before this first waits."""
        done = self._sequencer.submit(commands)
        signed = [command for command in commands if isinstance(command, SignedCommand)]
        for command in signed:
            self.on_their_way[command.digest] = done
            self._coming.setdefault(command.order.account, {})[command.digest] = None
        try:
            applied = await asyncio.shield(done)
            for one in applied:
                self._count_refusals(one)
            return applied
        finally:
            for command in signed:
                self.on_their_way.pop(command.digest, None)
                self._has_come(command.order.account, command.digest)
                self._leases.release(command.order.account, command.order.nonce)

    def _has_come(self, account: bytes, digest: bytes) -> None:
        coming = self._coming.get(account, {})
        coming.pop(digest, None)
        if not coming:
            self._coming.pop(account, None)

    def _count_refusals(self, applied: Applied) -> None:
        signer = applied.command.signer if isinstance(applied.command, SignedCommand) else b""
        for event in applied.events:
            if isinstance(event, OrderRejected | ReduceRefused):
                self.refusals.charge(event.account, signer)

    async def known(self, digest: bytes, on_its_way: OnItsWay | None) -> wire.PlaceResult:
        """The order as it is; of one on its way, as it is when it has come."""
        if on_its_way is not None:
            applied = await asyncio.shield(on_its_way)
            first = next(
                one for one in applied if isinstance(one.command, SignedCommand) and one.command.digest == digest
            )
            result = await self.result(digest, first)
            return wire.PlaceResult(digest, result.state, result.problem)
        return wire.PlaceResult(digest, await self.look(digest), None)

    async def result(self, digest: bytes, applied: Applied) -> wire.PlaceResult:
        fills = []
        for event in applied.events:
            if isinstance(event, OrderRejected):
                return await self._refused(digest, event, applied.sequence)
            if isinstance(event, Traded) and event.taker_digest == digest:  # others are of orders that it triggered
                fills.append(_taker_fill(event))
        state = next((state for state in applied.states if state.digest == digest), None)
        return wire.PlaceResult(digest, state, None, fills)

    async def find(self, digest: bytes) -> wire.OrderState | None:
        """From the engine; from the tables when it has forgotten a closed order."""
        view = self._engine.order_state(digest)
        if view is not None:
            return order_state(view)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._tables.find, digest)

    async def find_or_wait(self, digest: bytes) -> wire.OrderState | None:
        """None only when no such order was accepted: one that is closed and forgotten may not be in the tables yet.

        Raises ENGINE_UNAVAILABLE while they are too far behind to say so.
        """
        through = self._sequencer.sequence
        is_sure = self._projector.stored >= through
        state = await self.look(digest)
        if state is not None or is_sure:
            return state
        try:
            if self._looking >= MOST_LOOKING:
                raise TimeoutError
            self._looking += 1
            try:
                async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                    await self._projector.stored_through(through, hurry=False)
                    return await self.find(digest)
            finally:
                self._looking -= 1
        except (TimeoutError, SQLAlchemyError):
            detail = "the tables are behind, so it cannot be said whether this order was accepted once; ask again"
            raise Problem("ENGINE_UNAVAILABLE", detail) from None

    async def look(self, digest: bytes) -> wire.OrderState | None:
        """As `find`. Raises ENGINE_UNAVAILABLE when the tables do not answer in time."""
        try:
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                return await self.find(digest)
        except (TimeoutError, SQLAlchemyError):
            raise Problem(
                "ENGINE_UNAVAILABLE", "the database is away, so it cannot be said what became of this order; ask again"
            ) from None

    async def not_cancelled(self, account: bytes, digest: bytes) -> wire.CancelResult:
        """Why the order of this id could not be cancelled."""
        try:
            state = await self.look(digest)
        except Problem as away:
            return wire.CancelResult(digest, None, wire_problem(away))
        given = "0x" + digest.hex()
        if state is None or state.order.account != account:
            detail = "the account has no such order; should it come within two minutes, it is refused"
            problem = wire.WireProblem("ORDER_UNKNOWN", detail, "id", given)
            return wire.CancelResult(digest, None, problem)
        problem = wire.WireProblem("ORDER_NOT_OPEN", f"the order is {state.status} already", "id", given)
        return wire.CancelResult(digest, state, problem)

    async def _refused(self, digest: bytes, event: OrderRejected, sequence: int) -> wire.PlaceResult:
        if event.code in _MAY_BE_FORGOTTEN:
            try:
                async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                    await self._projector.stored_through(sequence)
                    state = await self.find(digest)
            except (TimeoutError, SQLAlchemyError):
                return wire.PlaceResult(digest, None, _DATABASE_AWAY)
            if state is not None:
                return wire.PlaceResult(digest, state, None)
        problem = wire.WireProblem(event.code, event.detail, event.field, event.given, event.allowed)
        return wire.PlaceResult(digest, None, problem)


def signed_fields(sent: wire.WireOrder) -> SignedFields:
    """What a `SignedCommand` has behind its time."""
    return (
        sent.order,
        sent.signature,
        sent.digest,
        sent.client_order_id,
        sent.kind,
        sent.signer,
        sent.reject_after_ms,
        sent.display_quantity,
    )


def _taker_fill(event: Traded) -> wire.WireFill:
    return wire.WireFill(
        match_id=event.match_id,
        market=event.market,
        sequence=event.sequence,
        price=event.price,
        quantity=event.quantity,
        is_maker=False,
        fee=event.taker_fee,
        time_ms=event.time_ms,
    )
