"""A trader under load: signs, places, matches and cancels as fast as told, over HTTP, whatever happens around it.

Owns:     what a trader does next, drawn from its own dice.
Promises: goes on through every outage; writes down each answer; asks again for what it was not answered.
Never:    takes silence for a refusal.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from cxdex import LocalWallet
from cxdex.client import AsyncExchange
from cxdex.client.errors import ApiProblem, OutcomeUnknown
from cxdex.client.replies import Order, Outcome
from cxdex.client.ticket import Ticket
from cxdex.order import SignedOrder
from cxdex.problem import Problem
from scripts.chaos import changes, waiting
from scripts.chaos.told import Told

MARKETS = {"sBTC-USDC": (60_000, "0.0001", 200), "sETH-USDC": (3_000, "0.001", 300)}  # first price, lot, most lots
SELF_TRADE = ("CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT")
DEADMAN_SECONDS = 20


@dataclass
class Trader:
    """`session`: a second client whose key may sign for the account, once the chain knows it.

    pause: mean seconds between two actions. size: how large its orders are, in percent of the others'.
    """

    name: str
    wallet: LocalWallet
    exchange: AsyncExchange
    told: Told
    dice: random.Random
    pause: float
    size: int = 100
    session: AsyncExchange | None = None
    open_ids: list[str] = field(default_factory=list)
    unanswered: list[SignedOrder] = field(default_factory=list)
    middle: dict[str, int] = field(default_factory=lambda: {name: first for name, (first, _, _) in MARKETS.items()})

    async def trade(self, stop: asyncio.Event) -> None:
        """Until told to stop; then finishes what it has begun."""
        actions: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (30, self._place), (20, self._sign_and_submit), (10, self._batch), (8, self._place_by_session),
            (18, self._cancel), (6, self._cancel_each), (4, self._cancel_signed), (2, self._cancel_all),
            (2, self._deadman), (2, self._cancel_first), (4, self._look), (4, self._ask_again),
            (9, partial(changes.amend, self)), (10, partial(changes.replace, self)),
            (4, partial(changes.cancel_and_place, self)), (4, partial(changes.steps, self)),
            (12, partial(waiting.conditional, self)), (5, partial(waiting.pair, self)),
            (8, partial(waiting.iceberg, self)),
        ]  # fmt: skip
        weights, doings = [weight for weight, _ in actions], [doing for _, doing in actions]
        while not stop.is_set():
            (doing,) = self.dice.choices(doings, weights)
            await self._guarded(doing)
            await asyncio.sleep(self.dice.expovariate(1 / self.pause))

    async def _guarded(self, doing: Callable[[], Awaitable[None]]) -> None:
        try:
            await doing()
        except OutcomeUnknown as problem:
            self.told.unsure(problem.order_id)
        except Problem as problem:
            self.told.answers[problem.code] += 1

    @staticmethod
    def lot(market: str) -> Decimal:
        return Decimal(MARKETS[market][1])

    # ------------------------------------------------------------------ placing

    def ticket(self) -> Ticket:
        dice = self.dice
        market = dice.choice(list(MARKETS))
        _, lot, most = MARKETS[market]
        middle = self.middle[market]
        side = dice.choice(("BUY", "SELL"))
        price = middle + dice.randint(-middle // 200, middle // 200)
        lots = dice.randint(1, max(1, most * self.size // 100))
        kind = dice.choices(("LIMIT", "MARKET"), (9, 1))[0]
        tif = (
            dice.choices(("GTC", "GTD", "IOC", "FOK", "POST_ONLY"), (48, 12, 15, 10, 15))[0]
            if kind == "LIMIT"
            else None
        )
        return Ticket(
            market,
            side,
            str(lots * Decimal(lot)),
            str(price),
            kind,
            time_in_force=tif,
            self_trade=dice.choice(SELF_TRADE),
            client_order_id=f"{self.name}-{dice.randrange(10**9)}" if dice.random() < 0.5 else None,
            reject_in_ms=dice.choice((None, None, 2_000, 10_000)),
            expires_in=dice.choice((70, 90, 1_800)) if tif == "GTD" else dice.choice((None, None, 1_800)),
            display=lot if kind == "LIMIT" and tif == "GTC" and dice.random() < 0.1 else None,
        )

    async def _place(self) -> None:
        began = time.monotonic()
        self.accepted(await self.exchange.place(self.ticket()), began)

    async def _place_by_session(self) -> None:
        if self.session is None:
            return
        ticket, began = self.ticket(), time.monotonic()
        if ticket.expires_in is None:
            return
        self.accepted(await self.session.place(ticket), began)

    async def _sign_and_submit(self) -> None:
        ticket = self.ticket()
        await self._submit(await self.exchange.sign(ticket), ticket.client_order_id)

    async def _submit(self, signed: SignedOrder, name: str | None) -> None:
        order_id, began = "0x" + signed.digest.hex(), time.monotonic()
        try:
            self.accepted(await self.exchange.submit(signed, name), began)
        except OutcomeUnknown:
            if name is None:  # to be sent again just as it was
                self.unanswered.append(signed)
            raise
        except ApiProblem as problem:
            if problem.after_silence or problem.leaves_outcome_open:
                self.told.unsure(order_id)
            else:
                self.told.refuse(order_id, problem.code)

    async def _ask_again(self) -> None:
        """The very same order once more: it is one order, however often it is sent."""
        if self.unanswered:
            await self._submit(self.unanswered.pop(0), None)
        elif self.told.unknown:
            self.told.note(await self.exchange.order(self.dice.choice(sorted(self.told.unknown))))

    async def _batch(self) -> None:
        began = time.monotonic()
        outcomes = await self.exchange.place_many([self.ticket() for _ in range(self.dice.randint(2, 8))])
        for outcome in outcomes:
            self.note_outcome(outcome, began)

    def note_outcome(self, outcome: Outcome, began: float) -> None:
        if outcome.order is not None:
            self.accepted(outcome.order, began)
        elif outcome.outcome == "rejected":
            self.told.answers[str((outcome.problem or {}).get("code"))] += 1
        else:
            self.told.unsure(outcome.id)

    def accepted(self, order: Order, began: float) -> None:
        self.told.accepted(order, time.monotonic() - began)
        if order.status in ("OPEN", "PENDING"):
            self.open_ids.append(order.id)

    # ------------------------------------------------------------------ cancelling

    def _take(self, count: int) -> list[str]:
        """Ids that were open when last heard of; they are not taken twice."""
        chosen = self.dice.sample(self.open_ids, min(count, len(self.open_ids)))
        self.open_ids = [one for one in self.open_ids if one not in chosen]
        return chosen

    async def _cancel(self) -> None:
        for order_id in self._take(1):
            self.told.note_cancelled(await self.exchange.cancel(order_id))

    async def _cancel_each(self) -> None:
        chosen = self._take(self.dice.randint(1, 6))
        if chosen:
            for entry in await self.exchange.cancel_each(chosen):
                self._note_cancel(entry.order)

    def _note_cancel(self, order: Order | None) -> None:
        if order is not None:
            self.told.note_cancelled(order)

    async def _cancel_signed(self) -> None:
        orders = [self.told.orders[order_id] for order_id in self._take(self.dice.randint(1, 4))]
        if orders:
            await self.exchange.cancel_many(orders)
            self.told.cancelled.update(await self._really_cancelled(orders))

    async def _really_cancelled(self, orders: list[Order]) -> list[str]:
        found = [await self.exchange.order(order.id) for order in orders]
        return [order.id for order in found if order.status == "CANCELLED"]

    async def _cancel_all(self) -> None:
        await self.exchange.cancel_all(self.dice.choice((None, *MARKETS)), self.dice.choice((None, "BUY", "SELL")))

    async def _deadman(self) -> None:
        await self.exchange.cancel_all_after(self.dice.choice((0, DEADMAN_SECONDS)))

    async def _cancel_first(self) -> None:
        """A cancel that overtakes its order blocks it, also when the engine dies in between."""
        signed = await self.exchange.sign(self.ticket())
        order_id = "0x" + signed.digest.hex()
        await self.exchange.cancel_each([order_id])
        try:
            order = await self.exchange.submit(signed)
        except ApiProblem as problem:
            self.told.refuse(order_id, problem.code)
        else:
            self.told.wrong.append(f"order {order.id} was accepted after its cancel had been answered")

    # ------------------------------------------------------------------ looking

    async def _look(self) -> None:
        market = self.dice.choice(list(MARKETS))
        book = await self.exchange.book(market, 5)
        if book.bids and book.asks:
            self.middle[market] = int((Decimal(book.bids[0][0]) + Decimal(book.asks[0][0])) / 2)
        for order in await self.exchange.orders(status="OPEN", count=20):
            self.told.note(order)
        await self.exchange.balances()
        await self.exchange.fills(20)
