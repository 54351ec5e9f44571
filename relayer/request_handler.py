"""What the engine process answers to a gateway's question.

Owns:     which desk answers which request, and when no new orders are taken.
Promises: idempotent: an order that is known, on its way or forgotten by the engine is answered with its state, not
          placed again. A reply to a command is made after its batch is on disk and applied. One bad order of a batch
          does not touch the others.
Never:    checks signatures (the gateway did, and the chain does again) or knows sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cxdex.problem import Problem
from relayer import build, wire
from relayer.cancel_desk import CancelDesk
from relayer.cosigner import Cosigner
from relayer.guard_desk import GuardDesk
from relayer.nonce_leases import NonceLeases
from relayer.order_table import OrderTables
from relayer.order_view import account_reply, market_state, order_state
from relayer.placements import Placements
from relayer.projector import Projector
from relayer.refusal_budget import SETTINGS, RefusalBudget
from relayer.safety_desk import SafetyDesk
from relayer.sequencer import Sequencer
from relayer.step_desk import StepDesk
from relayer.withdrawal_desk import WithdrawalDesk

MAX_ORDERS_A_REQUEST = 1_000
MAX_NONCES_A_REQUEST = 1_000
MAX_COMMANDS_WAITING = 50_000
MAX_COMMANDS_UNPROJECTED = 200_000


class RequestHandler:
    """`epoch`: name of this run of the feeds. Without a `cosigner` there are no instant withdrawals."""

    def __init__(
        self,
        sequencer: Sequencer,
        projector: Projector,
        tables: OrderTables,
        readers: ThreadPoolExecutor,
        epoch: str,
        clock: Callable[[], float] = time.monotonic,
        cosigner: Cosigner | None = None,
        settlement_refusal: Callable[[], Problem | None] = lambda: None,
        on_refused: Callable[[str], None] = lambda _code: None,
    ) -> None:
        self._settlement_refusal = settlement_refusal
        self._sequencer = sequencer
        self._engine = sequencer.engine
        self._projector = projector
        self._epoch = epoch
        self._clock = clock
        settings = RefusalBudget(sequencer.engine, clock, SETTINGS)
        self._withdrawals = WithdrawalDesk(sequencer, cosigner, settings)
        self._guards = GuardDesk(sequencer, settings)
        self.safety = SafetyDesk(sequencer, settings)
        self._leases = NonceLeases(self._engine.free_nonces)
        self._placements = Placements(sequencer, projector, tables, readers, self._leases, clock, on_refused)
        self._cancels = CancelDesk(sequencer, self._placements)
        self._steps = StepDesk(sequencer, self._placements, self._refusal)

    async def answer(self, request: wire.AnyRequest) -> wire.AnyReply:
        """Raises Problem when the request as a whole cannot be served."""
        match request:
            case wire.PlaceOrders():
                return await self._place(request)
            case wire.TakeSteps():
                if len(request.steps) > MAX_ORDERS_A_REQUEST:
                    raise _too_many("steps", len(request.steps), MAX_ORDERS_A_REQUEST)
                return await self._steps.answer(request)
            case wire.CancelOrders():
                return await self._cancel(request)
            case wire.CancelAllOrders():
                return await self._cancels.cancel_all(request)
            case wire.SetCountdown():
                return await self.safety.set_countdown(request)
            case wire.WatchConnection():
                return await self.safety.watch(request)
            case wire.EndWatch():
                return await self.safety.end_watch(request)
            case wire.NextNonces():
                return self._next_nonces(request)
            case wire.GetOrder():
                return wire.OrderReply(request.id, await self._placements.find_or_wait(request.digest))
            case wire.OpenOrders():
                views = self._engine.open_orders(request.account, request.market)
                return wire.OrdersReply(request.id, [order_state(view) for view in views])
            case wire.GetAccount():
                return account_reply(self._engine, request, self._sequencer.now_ms())
            case wire.WithdrawInstantly():
                return await self._withdrawals.answer(request)
            case wire.GetGuards() | wire.SetGuard() | wire.ResetGuard():
                return await self._guards.answer(request)
            case wire.GetStatus():
                return self._status(request)
            case wire.Subscribe():
                return wire.SubscribedReply(request.id, self._epoch)

    def sweep(self) -> None:
        """Housekeeping, every now and then."""
        self._leases.sweep(self._clock())

    async def _place(self, request: wire.PlaceOrders) -> wire.PlaceReply:
        if len(request.orders) > MAX_ORDERS_A_REQUEST:
            raise _too_many("orders", len(request.orders), MAX_ORDERS_A_REQUEST)
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        return wire.PlaceReply(request.id, await self._placements.place(request.orders))

    async def _cancel(self, request: wire.CancelOrders) -> wire.CancelReply:
        asked = len(request.digests) + len(request.client_order_ids)
        if asked > MAX_ORDERS_A_REQUEST:
            raise _too_many("digests", asked, MAX_ORDERS_A_REQUEST)
        return await self._cancels.cancel(request)

    def _next_nonces(self, request: wire.NextNonces) -> wire.NoncesReply:
        if not 1 <= request.count <= MAX_NONCES_A_REQUEST:
            raise _too_many("count", request.count, MAX_NONCES_A_REQUEST)
        if not self._engine.knows(request.account):  # it cannot trade yet, and anybody can name such accounts
            return wire.NoncesReply(request.id, self._engine.free_nonces(request.account, request.count))
        return wire.NoncesReply(request.id, self._leases.lease(request.account, request.count, self._clock()))

    def _status(self, request: wire.GetStatus) -> wire.StatusReply:
        return wire.StatusReply(
            id=request.id,
            epoch=self._epoch,
            journal_sequence=self._sequencer.sequence,
            chain_block=self._engine.outbox_position[0],
            markets=[market_state(view) for view in self._engine.markets()],
            build=build.running(),
        )

    def _refusal(self) -> Problem | None:
        """Why no new orders are taken now. Cancels always are."""
        if self._sequencer.waiting > MAX_COMMANDS_WAITING:
            return Problem("ENGINE_UNAVAILABLE", "more orders are waiting than the engine can take; try again shortly")
        if self._projector.backlog > MAX_COMMANDS_UNPROJECTED:
            return Problem("ENGINE_UNAVAILABLE", "the database is too far behind to take more orders")
        return self._settlement_refusal()


def _too_many(field: str, given: int, most: int) -> Problem:
    return Problem("BODY_TOO_LARGE", f"{field} out of range", field=field, given=str(given), allowed=f"1 to {most}")
