"""Orders at their extremes and everywhere between, for tests that compare signers and encodings."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cxdex.condition import Condition, Trigger
from cxdex.eip712 import Domain
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce

DOMAIN = Domain(31337, bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3"))
KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
ACCOUNT = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")
WORDS = [
    (kind, force)
    for kind in OrderType
    for force in TimeInForce
    if kind is OrderType.LIMIT or force in (TimeInForce.IOC, TimeInForce.FOK)
]
STOP = Condition(Trigger.INDEX_AT_OR_BELOW, 590_000, 1_800_000_000)


def order(**changed: Any) -> Order:
    """A plain order, with the named fields changed."""
    fields: dict[str, Any] = {
        "account": ACCOUNT,
        "market": "sBTC-USDC",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": 100,
        "limit_price": 600_000,
        "max_fee_bps": 25,
        "expiry": 1_900_000_000,
        "nonce": 1,
    }
    return Order(**(fields | changed))


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    """Both ends as often as the middle."""
    return st.one_of(st.just(low), st.just(high), st.integers(low, high))


@st.composite
def conditions(draw: st.DrawFn, before: int) -> Condition:
    """One that comes into force before this time."""
    return Condition(draw(st.sampled_from(Trigger)), draw(integers(1, 2**64 - 1)), draw(integers(0, before - 1)))


@st.composite
def orders(draw: st.DrawFn, account: bytes = ACCOUNT) -> Order:
    """Every second one waits for a condition."""
    order_type, time_in_force = draw(st.sampled_from(WORDS))
    expiry = draw(integers(1, 2**40 - 1))
    return Order(
        account=account,
        market=draw(st.one_of(st.sampled_from(["sBTC-USDC", "X"]), st.text(min_size=1, max_size=32))),
        side=draw(st.sampled_from(Side)),
        order_type=order_type,
        time_in_force=time_in_force,
        quantity=draw(integers(1, 2**39 - 1)),
        limit_price=draw(integers(1, 2**64 - 1)),
        max_fee_bps=draw(integers(0, 10_000)),
        expiry=expiry,
        nonce=draw(integers(0, 2**64 - 1)),
        max_collateral=draw(integers(0, 2**64 - 1)),
        self_trade=draw(st.sampled_from(SelfTrade)),
        reduce_only=draw(st.booleans()),
        condition=draw(st.one_of(st.none(), conditions(expiry))),
    )


def extremes() -> list[Order]:
    """Every word, and every number at its least and at its most."""
    chosen = [order(order_type=kind, time_in_force=force) for kind, force in WORDS]
    chosen += [order(side=side) for side in Side]
    chosen += [order(self_trade=word) for word in SelfTrade]
    chosen += [order(condition=Condition(trigger, 600_000, 1_800_000_000)) for trigger in Trigger]
    chosen.append(order(condition=Condition(Trigger.INDEX_AT_OR_ABOVE, 1, 0)))
    chosen.append(order(quantity=1, limit_price=1, max_fee_bps=0, expiry=1, nonce=0))
    most = 2**64 - 1
    chosen.append(
        order(
            quantity=2**39 - 1,
            limit_price=most,
            max_fee_bps=10_000,
            expiry=2**40 - 1,
            nonce=most,
            max_collateral=most,
            reduce_only=True,
            condition=Condition(Trigger.LAST_RISES_BY, most, 2**40 - 2),
        )
    )
    return chosen
