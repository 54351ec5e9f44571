"""An order that exists is well formed; one that cannot be what its sender meant says so."""

from __future__ import annotations

from typing import Any

import pytest

from cxdex.order import OrderType, Side, TimeInForce
from cxdex.problem import OrderProblem
from tests.cxdex.order_strategies import WORDS, order


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("quantity", 0, "quantity"),
        ("quantity", 2**39, "quantity"),
        ("quantity", -1, "quantity"),
        ("limit_price", 0, "limitPrice"),
        ("limit_price", 2**64, "limitPrice"),
        ("max_fee_bps", -1, "maxFeeBps"),
        ("max_fee_bps", 10_001, "maxFeeBps"),
        ("expiry", 0, "expiry"),
        ("expiry", 2**40, "expiry"),
        ("nonce", -1, "nonce"),
        ("nonce", 2**64, "nonce"),
        ("max_collateral", 2**64, "maxCollateral"),
        ("account", bytes(20), "account"),
        ("account", b"short", "account"),
    ],
)
def test_a_value_outside_the_packed_width_is_refused_by_name(field: str, value: Any, name: str) -> None:
    with pytest.raises(OrderProblem) as caught:
        order(**{field: value})
    assert (caught.value.code, caught.value.field) == ("ORDER_FIELD_INVALID", name)
    assert caught.value.allowed


@pytest.mark.parametrize("force", [TimeInForce.GTC, TimeInForce.GTD, TimeInForce.POST_ONLY])
def test_a_market_order_cannot_rest(force: TimeInForce) -> None:
    with pytest.raises(OrderProblem, match="never rests"):
        order(order_type=OrderType.MARKET, time_in_force=force)


def test_only_resting_orders_may_be_makers() -> None:
    resting = {force for kind, force in WORDS if order(order_type=kind, time_in_force=force).may_rest}
    assert resting == {TimeInForce.GTC, TimeInForce.GTD, TimeInForce.POST_ONLY}


def test_an_unknown_word_names_the_known_ones() -> None:
    with pytest.raises(OrderProblem) as caught:
        Side.parse("HOLD", "side")
    assert (caught.value.given, caught.value.allowed) == ("HOLD", "SELL, BUY")


def test_the_opposite_of_a_side() -> None:
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
