"""The short way to read an order gives what the careful way gives, or leaves the order to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.placing import read_carefully
from api.plain_order import read_plain_order
from cxdex.eip712 import Domain
from cxdex.market import MarketKind, MarketTerms
from cxdex.problem import Problem

TERMS = MarketTerms("sBTC-USDC", 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 10, 25, 25)
DOMAIN = Domain(31337, b"\x11" * 20)
WELL_FORMED: dict[str, Any] = {
    "order": {
        "account": "0x" + "aB" * 20,
        "market": TERMS.symbol,
        "side": "SELL",
        "orderType": "LIMIT",
        "timeInForce": "POST_ONLY",
        "quantity": "0.25",
        "limitPrice": "60000.1",
        "maxFeeBps": "50",
        "maxCollateral": "0",
        "selfTrade": "DECREMENT",
        "reduceOnly": False,
        "expiry": "4000000000",
        "nonce": "18446744073709551615",
    },
    "signature": "0x" + "1c" * 65,
    "chainId": 31337,
}
# What a field may be given: right for some field, nearly right, and of every kind that JSON has.
NUMBERS = [
    "0",
    "1",
    "01",
    "-1",
    "+1",
    "1e3",
    "1_0",
    "1.",
    ".5",
    "0.0010",
    "0.0001",
    "0.00001",
    "60000.05",
    "59999.9",
    "10000",
    "10001",
    "1099511627775",
    "1099511627776",
    "18446744073709551615",
    "18446744073709551616",
    "1111111111111111111111111111111111111111",
]
WORDS = [
    "BUY",
    "buy",
    "SELL",
    "MARKET",
    "LIMIT",
    "IOC",
    "FOK",
    "GTC",
    "GTD",
    "NONE",
    "CANCEL_TAKER",
    "CANCEL_BOTH",
    "sBTC-USDC",
    "sETH-USDC",
    "my-order",
]
ADDRESSES = ["0x" + "Ff" * 20, "0x" + "00" * 20, "0X" + "ab" * 20, "0x" + "a b" * 13 + "c", "0x" + "zz" * 20]
SIGNATURES = ["0x" + "ab" * 65, "0x" + "ab" * 66, "0x123"]
OTHERS = [None, True, False, 0, 1, -1, 31337, 2**64, 1.5, "", " 1", "1 ", "٣", "é", "x" * 65, [], {}, ["1"]]
VALUES = st.sampled_from([*NUMBERS, *WORDS, *ADDRESSES, *SIGNATURES, *OTHERS])
NAMES = ["clientOrderId", "rejectAfter", "displayQuantity", "signature", "chainId", "order", "surprise"]
PLACES = st.one_of(
    st.sampled_from([(name,) for name in NAMES]),
    st.sampled_from([("order", name) for name in (*WELL_FORMED["order"], "condition", "surprise")]),
)


def terms_of(symbol: str) -> MarketTerms:
    if symbol != TERMS.symbol:
        raise Problem("MARKET_UNKNOWN", "no such market is listed")
    return TERMS


def changed(changes: list[tuple[tuple[str, ...], Any]], without: tuple[str, ...] | None) -> Any:
    entry = copy.deepcopy(WELL_FORMED)
    for place, value in changes:
        where = entry if len(place) == 1 else entry["order"]
        if isinstance(where, dict):
            where[place[-1]] = value
    if without is not None:
        where = entry if len(without) == 1 else entry["order"]
        if isinstance(where, dict):
            where.pop(without[-1], None)
    return entry


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(PLACES, VALUES), max_size=3), st.none() | PLACES)
def test_the_short_way_reads_as_the_careful_way_does(
    changes: list[tuple[tuple[str, ...], Any]], without: tuple[str, ...] | None
) -> None:
    entry = changed(changes, without)
    short = read_plain_order(entry, DOMAIN, terms_of)
    try:
        careful = read_carefully(DOMAIN, terms_of, entry)
    except Problem:
        assert short is None
    else:
        assert short is None or short == careful


@pytest.mark.parametrize(
    "extra", [{}, {"clientOrderId": "a-1"}, {"rejectAfter": 1_700_000_000_000}, {"displayQuantity": "0.05"}]
)
def test_what_bots_send_takes_the_short_way(extra: dict[str, Any]) -> None:
    assert read_plain_order({**WELL_FORMED, **extra}, DOMAIN, terms_of) is not None


@pytest.mark.parametrize("value", [None, 7, "order", [], {}])
def test_what_is_no_order_is_left_to_the_careful_way(value: Any) -> None:
    assert read_plain_order(value, DOMAIN, terms_of) is None
