"""The rules of matching, as slowly and as plainly as they can be said: one list, searched from the start each time.

Written from the rules alone and on purpose unlike `relayer.engine.book`, so that an error in one shows in the other.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

HIGHEST_PRICE = 2**64 - 1  # what fits into the contract's 64 bits


@dataclass
class Resting:
    id: object
    account: object
    side: str  # buy or sell
    price: int
    quantity: int  # that shows
    display: int = 0  # an iceberg shows so much at once
    hidden: int = 0

    @property
    def total(self) -> int:
        return self.quantity + self.hidden


class NaiveMatcher:
    def __init__(self) -> None:
        self.resting: list[Resting] = []  # in order of arrival
        self.used: set[object] = set()

    def apply(self, command: dict) -> list[tuple]:
        """One command of `python -m relayer match`, decoded."""
        c = command
        match c["op"]:
            case "place":
                return self.place(c["id"], c["account"], c["side"], c["quantity"], c.get("price"), c["tif"], c["stp"])
            case "cancel":
                return self.cancel(c["id"])
            case "reduce":
                return self.reduce(c["id"], c["quantity"])
            case _:
                return self.replace(c["id"], c["price"], c["quantity"], c["stp"])

    def find(self, order_id: object) -> Resting | None:
        return next((order for order in self.resting if order.id == order_id), None)

    def place(self, order_id, account, side, quantity, price, tif, stp, display=0) -> list[tuple]:
        """price None: a market order. stp NONE: may trade with itself."""
        if order_id in self.used or quantity <= 0 or (price is not None and not 0 < price <= HIGHEST_PRICE):
            return [("rejected", order_id)]
        taker = Resting(order_id, account, side, price, quantity, display)
        if tif == "POST_ONLY" and self._best(taker) is not None:
            return [("rejected", order_id)]
        if tif == "FOK":
            rehearsal = NaiveMatcher()
            rehearsal.resting = [copy.copy(order) for order in self.resting]
            events = rehearsal._trade(copy.copy(taker), stp, rests=False)
            if sum(event[4] for event in events if event[0] == "trade") != quantity:
                return [("rejected", order_id)]
        self.used.add(order_id)
        return [
            ("accepted", order_id),
            *self._trade(taker, stp, rests=price is not None and tif in ("GTC", "GTD", "POST_ONLY")),
        ]

    def cancel(self, order_id: object) -> list[tuple]:
        order = self.find(order_id)
        if order is None:
            return [("rejected", order_id)]
        self.resting.remove(order)
        return [("canceled", order_id, order.quantity)]

    def reduce(self, order_id: object, quantity: int) -> list[tuple]:
        order = self.find(order_id)
        if order is None or not 0 < quantity < order.quantity:
            return [("rejected", order_id)]
        order.quantity = quantity
        return [("reduced", order_id, quantity)]

    def replace(self, order_id: object, price: int, quantity: int, stp: str) -> list[tuple]:
        order = self.find(order_id)
        if order is None or quantity <= 0 or not 0 < price <= HIGHEST_PRICE:
            return [("rejected", order_id)]
        replaced = ("replaced", order_id, price, quantity)
        if price == order.price and quantity <= order.quantity:
            order.quantity = quantity
            return [replaced]
        self.resting.remove(order)
        return [replaced, *self._trade(Resting(order_id, order.account, order.side, price, quantity), stp, rests=True)]

    def book(self) -> list[tuple]:
        bids = sorted((o for o in self.resting if o.side == "buy"), key=lambda o: -o.price)
        asks = sorted((o for o in self.resting if o.side == "sell"), key=lambda o: o.price)
        return [(o.side, o.price, o.id, o.quantity) for o in (*bids, *asks)]

    def _best(self, taker: Resting) -> Resting | None:
        best = None
        for order in self.resting:
            if order.side == taker.side:
                continue
            if taker.price is not None:
                if taker.side == "buy" and order.price > taker.price:
                    continue
                if taker.side == "sell" and order.price < taker.price:
                    continue
            if best is None or (order.price < best.price if taker.side == "buy" else order.price > best.price):
                best = order
        return best

    def _trade(self, taker: Resting, stp: str, rests: bool) -> list[tuple]:
        events = []
        while taker.quantity:
            maker = self._best(taker)
            if maker is None:
                break
            own = maker.account == taker.account and stp != "NONE"
            if own and stp == "CANCEL_TAKER":
                return [*events, ("stp", taker.id, maker.id, stp, 0), ("canceled", taker.id, taker.quantity)]
            if own and stp in ("CANCEL_MAKER", "CANCEL_BOTH"):
                self.resting.remove(maker)
                events += [("stp", taker.id, maker.id, stp, 0), ("canceled", maker.id, maker.quantity)]
                if stp == "CANCEL_BOTH":
                    return [*events, ("canceled", taker.id, taker.quantity)]
                continue
            quantity = min(maker.quantity, taker.quantity)
            maker.quantity -= quantity
            taker.quantity -= quantity
            word = ("stp", taker.id, maker.id, stp) if own else ("trade", taker.id, maker.id, maker.price)
            if events and events[-1][:-1] == word:  # the next part of an iceberg that is alone at its price
                quantity += events.pop()[-1]
            events.append((*word, quantity))
            if not maker.quantity:
                self.resting.remove(maker)
                if maker.hidden:
                    self._rest(maker, maker.hidden)
        if taker.quantity:
            if rests:
                self._rest(taker, taker.quantity)
            else:
                events.append(("canceled", taker.id, taker.quantity))
        return events

    def _rest(self, order: Resting, total: int) -> None:
        """Behind all others. (Of another price they are no rivals.)"""
        order.quantity = min(total, order.display or total)
        order.hidden = total - order.quantity
        self.resting.append(order)


def as_tuple(event: dict) -> tuple:
    """An event of `python -m relayer match` in the naive matcher's words."""
    match event["event"]:
        case "trade":
            return ("trade", event["taker"], event["maker"], event["price"], event["quantity"])
        case "stp":
            return ("stp", event["taker"], event["maker"], event["mode"], event.get("quantity", 0))
        case "canceled" | "reduced":
            return (event["event"], event["id"], event["quantity"])
        case "replaced":
            return ("replaced", event["id"], event["price"], event["quantity"])
        case word:
            return (word, event["id"])
