"""Conditional orders and index prices through the engine and the naive exchange: a part of `model_flow`."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from naive_exchange import ACCOUNTS, Known, NaiveExchange
from trading_desk import BTC, ETH, FAR, Desk, of_type

from cxdex.condition import Condition, Trigger
from cxdex.facts import PriceUpdated
from cxdex.order import OrderType, SelfTrade, Side, TimeInForce
from relayer.engine.commands import ApplyFact
from relayer.engine.events import OrderClosed, OrderProven, OrderRearmed, OrderTriggered
from relayer.engine.orders import SETTLEMENT_SECONDS


class TriggerFlow:
    desk: Desk
    naive: NaiveExchange
    entered: Callable[..., Any]
    traded: Callable[..., Any]

    def conditional(
        self, who: int, market: str, side: Side, lots: int, price: int, tif: str, stp: SelfTrade, lifetime: int,
        trigger: Trigger, ticks: int, delay: int,
    ) -> None:  # fmt: skip
        desk, account = self.desk, ACCOUNTS[who]
        now = desk.now_ms // 1000
        expiry = now + SETTLEMENT_SECONDS + lifetime
        order_type = OrderType.MARKET if tif == "MARKET" else OrderType.LIMIT
        tif = "IOC" if tif == "MARKET" else tif
        condition = Condition(trigger, ticks, min(now + delay, expiry - 1))
        order = desk.order(
            account, side, lots, price, market=market, order_type=order_type, time_in_force=TimeInForce[tif],
            self_trade=stp, max_fee_bps=50, expiry=expiry, condition=condition,
        )  # fmt: skip
        digest, events = desk.send(order)
        known = Known(account, market, side, price, 50, expiry, None, order.nonce, condition=condition)
        self.entered(events, self.naive.place(digest, known, lots, tif, stp.name))

    def iceberg(
        self, who: int, market: str, side: Side, lots: int, price: int, tif: str, stp: SelfTrade, display: int,
        ticks: int | None,
    ) -> None:  # fmt: skip
        """ticks: it waits for the last price to rise or fall so far."""
        desk, account = self.desk, ACCOUNTS[who]
        trigger = Trigger.LAST_AT_OR_BELOW if side is Side.SELL else Trigger.LAST_AT_OR_ABOVE
        condition = None if ticks is None else Condition(trigger, ticks, desk.now_ms // 1000)
        order = desk.order(
            account, side, lots, price, market=market, time_in_force=TimeInForce[tif], self_trade=stp,
            condition=condition,
        )  # fmt: skip
        digest, events = desk.send(order, display_quantity=display)
        known = Known(account, market, side, price, 50, order.expiry, None, order.nonce, condition=condition)
        self.entered(events, self.naive.place(digest, known, lots, tif, stp.name, display=display))

    def pair(self, number: int, trigger, ticks: int, lots: int, price: int, tif: str, stp: SelfTrade, twist) -> None:
        """A second order of an open one's nonce, mostly the other leg of a bracket. trigger None: a plain one."""
        desk, naive = self.desk, self.naive
        found = [digest for digest in naive.orders if naive.resting(digest)]
        if not found:
            return
        first = desk.orders[found[number % len(found)]]
        side = first.side.opposite if twist == "side" else first.side
        market = (ETH if first.market == BTC.symbol else BTC).symbol if twist == "market" else first.market
        condition = None if trigger is None else Condition(trigger, ticks, desk.now_ms // 1000)
        order = desk.order(
            first.account, side, lots, price, market=market, time_in_force=TimeInForce[tif], self_trade=stp,
            nonce=first.nonce, condition=condition, expiry=FAR + number,
        )  # fmt: skip
        digest, events = desk.send(order)
        known = Known(first.account, market, side, price, 50, order.expiry, None, first.nonce, condition=condition)
        self.entered(events, naive.place(digest, known, lots, tif, stp.name))

    def index(self, price: int, offset: int, listing) -> None:
        """`offset`: a part of a tick, so that prices lie between levels too."""
        tick = next(view.terms for view in self.desk.engine.markets() if view.terms.symbol == listing.symbol).tick_size
        prices = self.naive.prices.setdefault((listing.symbol, "INDEX"), [])
        time = max(self.desk.now_ms // 1000, prices[-1][1] + 1 if prices else 0)
        events = self.desk.fact(PriceUpdated(listing.base_asset, price * tick + offset, time))
        self.naive.new_price(listing.symbol, "INDEX", Fraction(price * tick + offset, tick), time)
        self.traded(events, self.naive.run_queue())

    def reorg(self, count: int) -> None:
        """Takes the newest facts back while they are index prices."""
        for _ in range(count):
            facts = []
            for command in self.desk.commands:
                if isinstance(command, ApplyFact) and command.reverted:
                    facts.pop()
                elif isinstance(command, ApplyFact):
                    facts.append(command)
            newest = facts[-1]
            if not isinstance(newest.fact, PriceUpdated):
                return
            events = self.desk.fact(newest.fact, at=(newest.block, newest.log_index), reverted=True)
            market = next(m.terms.symbol for m in self.desk.engine.markets() if m.terms.base_asset == newest.fact.asset)
            before = set(self.naive.waiting)
            self.naive.take_price_back(market)
            rearmed = [digest for digest in self.naive.waiting if digest not in before]
            assert [event.digest for event in of_type(events, OrderRearmed)] == rearmed

    def check_triggers(self) -> None:
        """What this command triggered, with which proof, and what was refused then."""
        events = self.desk.events[-1]
        said = [(event.digest, (event.proof_first, event.proof_second)) for event in of_type(events, OrderTriggered)]
        assert said == self.naive.triggered
        said = [(event.digest, (event.proof_first, event.proof_second)) for event in of_type(events, OrderProven)]
        assert said == self.naive.proven
        closed = {event.digest: event.reason for event in of_type(events, OrderClosed)}
        assert all(closed[digest] == code for digest, code in self.naive.refused)
        for digest in self.naive.waiting:
            assert self.desk.view(digest).status == "PENDING"
