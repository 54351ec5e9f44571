"""Amendments through the engine and through the naive exchange: the part of `model_flow` that changes open orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

from naive_exchange import ACCOUNTS, Known, NaiveExchange
from trading_desk import ALICE, BTC, ETH, FAR, Desk, of_type

from cxdex.nonce import pack_nonce, unpack_nonce
from cxdex.order import OrderType, SelfTrade, TimeInForce
from relayer.engine.events import OrderClosed, ReduceRefused, Traded


class AmendFlow:
    desk: Desk
    naive: NaiveExchange
    entered: Callable[..., Any]

    def pick(self, number: int) -> bytes:
        """An open order, often one of a nonce with fills; when there is none any other, perhaps one that never was."""
        naive = self.naive
        found = [digest for digest in naive.orders if naive.resting(digest) is not None]
        found = (number % 2 and [digest for digest in found if naive.filled_with(naive.orders[digest])]) or found
        return found[number % len(found)] if found else number.to_bytes(32, "big")

    def reduce(self, number: int, quantity: int) -> None:
        digest = self.pick(number)
        account = self.desk.orders[digest].account if digest in self.desk.orders else ALICE
        for _ in range(2):
            expected = self.naive.reduce(account, digest, quantity)
            events = self.desk.reduce(account, digest, quantity)
            assert [event.code for event in of_type(events, ReduceRefused)] == ([expected] if expected else [])
        refused = of_type(self.desk.reduce(b"x" * 20, digest, quantity), ReduceRefused)
        assert [event.code for event in refused] == ["ORDER_UNKNOWN"]

    def replace(self, number: int, step: int, lots: int, tif: str, stp: SelfTrade, fee: int, name, twist) -> None:
        old = self.pick(number) if twist != "closed" else (number % 40).to_bytes(32, "big")
        if old not in self.desk.orders:
            return
        order = changed(
            self.desk.orders[old],
            quantity=lots,
            limit_price=max(self.desk.orders[old].limit_price + step, 1),
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce[tif],
            self_trade=stp,
            max_fee_bps=fee,
            expiry=FAR + number,
        )
        if twist == "nonce":
            order = changed(order, nonce=order.nonce + 1)
        elif twist == "side":
            order = changed(order, side=order.side.opposite)
        elif twist == "market":
            order = changed(order, market=(ETH if order.market == BTC.symbol else BTC).symbol)
        elif twist == "owner":
            order = changed(order, account=ACCOUNTS[number % 3])
        rest = {}
        elders = [d for d, o in self.naive.orders.items() if (o.account, o.nonce) == (order.account, order.nonce)]
        if twist == "again" and elders[0] != old:
            rest, order = {"digest": elders[0]}, self.desk.orders[elders[0]]
        limit = self.desk.now_ms - 1 if twist == "late" else 0
        known = Known(order.account, order.market, order.side, order.limit_price, fee, order.expiry, name, order.nonce)
        known.condition = order.condition
        digest, events = self.desk.replace(old, order, client_order_id=name, reject_after_ms=limit, **rest)
        expected = self.naive.replace(old, digest, changed(known, limit=limit), lots, tif, stp.name)
        self.entered(events, expected)
        if not isinstance(expected, str):
            self.check_link(old, digest, events)

    def cancel_and_place(self, number, cancels, anyway, keeps, takes_lane, *terms) -> None:
        side, price, lots, tif, stp, fee, name = terms
        desk, target = self.desk, self.pick(number)
        account = desk.orders[target].account if target in desk.orders else ALICE
        fields = {
            "market": desk.orders[target].market if target in desk.orders else BTC.symbol,
            "time_in_force": TimeInForce[tif],
            "self_trade": stp,
            "max_fee_bps": fee,
        }
        if takes_lane and cancels is None and target in self.naive.orders and self.naive.resting(target):
            epoch, lane, seq = unpack_nonce(desk.orders[target].nonce)
            fields["nonce"] = pack_nonce(epoch, lane, seq + 1)
        order = desk.order(account, side, lots, price, **fields)
        known = Known(account, order.market, side, price, fee, order.expiry, name, order.nonce)
        digest, events = desk.cancel_and_place(
            order,
            client_order_id=name,
            cancels=b"" if cancels else target,
            cancels_name=cancels,
            place_anyway=anyway,
            keep_if_refused=keeps,
        )
        expected = self.naive.cancel_and_place(cancels or target, anyway, keeps, digest, known, lots, tif, stp.name)
        self.entered(events, expected)

    def check_link(self, old: bytes, new: bytes, events: list) -> None:
        before, after = self.desk.view(old), self.desk.view(new)
        assert (before.status, before.reason, before.replaced_by) == ("CANCELLED", "REPLACED", new)
        assert (after.replaces, after.filled_before) == (old, before.filled + before.filled_before)
        (closed,) = [event for event in of_type(events, OrderClosed) if event.digest == old]
        assert closed.replaced_by == new

    def check_chain_count(self, trades: list[Traded]) -> None:
        """As the contract counts: a nonce has never filled more than the order that fills now was signed for."""
        filled: dict[tuple[bytes, int], int] = defaultdict(int)
        for trade in trades:
            for digest in (trade.maker_digest, trade.taker_digest):
                order = self.desk.orders[digest]
                filled[order.account, order.nonce] += trade.quantity
                assert filled[order.account, order.nonce] <= order.quantity
