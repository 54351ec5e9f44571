"""What is signed as a condition, and when an index price meets it: held to fractions, which never round."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxdex.condition import Condition, Trigger
from cxdex.market import MarketKind, MarketTerms
from cxdex.order import Order
from cxdex.problem import OrderProblem
from tests.cxdex.order_strategies import STOP, order

prices = st.integers(1, 2**80 - 1)
RULES = {
    "AT_OR_ABOVE": lambda price, extreme, wanted: price >= wanted,
    "AT_OR_BELOW": lambda price, extreme, wanted: price <= wanted,
    "FALLS_BY": lambda price, extreme, wanted: extreme - price >= wanted,
    "RISES_BY": lambda price, extreme, wanted: price - extreme >= wanted,
}


def terms(lot_exponent: int, quote: int) -> MarketTerms:
    return MarketTerms("X", 1, MarketKind.SPOT, 2, "sX", lot_exponent, quote, 1, 25, 25)


def test_the_words_have_the_contracts_numbers() -> None:
    words = [f"{source}_{way}" for way in ("AT_OR_ABOVE", "AT_OR_BELOW") for source in ("INDEX", "LAST")]
    assert {Trigger[word] for word in words} == {Trigger(number) for number in range(4)}
    assert [trigger.name for trigger in Trigger] == [
        "INDEX_AT_OR_ABOVE",
        "INDEX_AT_OR_BELOW",
        "LAST_AT_OR_ABOVE",
        "LAST_AT_OR_BELOW",
        "INDEX_FALLS_BY",
        "INDEX_RISES_BY",
        "LAST_FALLS_BY",
        "LAST_RISES_BY",
    ]


@pytest.mark.parametrize("trigger", Trigger)
def test_the_words_say_what_they_mean(trigger: Trigger) -> None:
    assert trigger.by_index == trigger.name.startswith("INDEX")
    assert trigger.trails == trigger.name.endswith("BY")
    assert trigger.on_rise == ("ABOVE" in trigger.name or "RISES" in trigger.name)


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("trigger_price", 0, "triggerPrice"),
        ("trigger_price", 2**64, "triggerPrice"),
        ("active_from", -1, "activeFrom"),
        ("active_from", 2**40, "activeFrom"),
    ],
)
def test_a_value_outside_the_packed_width_is_refused_by_name(field: str, value: Any, name: str) -> None:
    with pytest.raises(OrderProblem) as caught:
        Condition(**({"trigger": Trigger.INDEX_AT_OR_ABOVE, "trigger_price": 1, "active_from": 0} | {field: value}))
    assert (caught.value.code, caught.value.field, caught.value.given) == ("ORDER_FIELD_INVALID", name, str(value))


def test_an_order_that_would_expire_before_it_can_trigger_is_refused() -> None:
    assert order(expiry=STOP.active_from + 1, condition=STOP).condition == STOP
    with pytest.raises(OrderProblem, match="expire before") as caught:
        order(expiry=STOP.active_from, condition=STOP)
    assert caught.value.field == "activeFrom"


@given(st.sampled_from(Trigger), st.integers(0, 18), st.integers(1, 2**32 - 1), prices, prices, st.data())
def test_an_index_price_meets_a_condition_exactly(
    trigger: Trigger, lot_exponent: int, quote: int, price: int, extreme: int, data: st.DataObject
) -> None:
    market = terms(lot_exponent, quote)
    tick = Fraction(quote * 10**18, 10**lot_exponent)
    near = int((abs(price - extreme) if trigger.trails else price) / tick) + data.draw(st.integers(-1, 1))
    condition = Condition(trigger, min(max(near, 1), 2**64 - 1), 0)
    rule = RULES[trigger.name.partition("_")[2]]
    expected = rule(price, extreme, condition.trigger_price * tick)
    assert condition.is_met_by_index(market, price, extreme) == expected


@given(st.sampled_from(Trigger), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_a_last_price_meets_a_condition_in_ticks(trigger: Trigger, price: int, extreme: int, wanted: int) -> None:
    rule = RULES[trigger.name.partition("_")[2]]
    assert Condition(trigger, wanted, 0).is_met_by_last(price, extreme) == rule(price, extreme, wanted)


def test_an_order_that_was_written_before_there_were_conditions_still_reads() -> None:
    """The journal keeps orders as objects with named fields; the newest field may be missing."""
    written = msgspec.json.decode(msgspec.json.encode(order()))
    assert written.pop("condition") is None
    assert msgspec.json.decode(msgspec.json.encode(written), type=Order) == order()


def test_an_order_with_a_condition_reads_back() -> None:
    waiting = order(condition=STOP)
    assert msgspec.json.decode(msgspec.json.encode(waiting), type=Order) == waiting
