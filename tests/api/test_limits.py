"""Risk limits as a trader sees them: the refusal's problem document, and what the account may trade."""

from __future__ import annotations

from typing import Any

from cxdex.eip712 import to_checksum


def test_an_order_beyond_the_limit_is_refused_with_what_is_allowed(exchange: Any) -> None:
    person = exchange.person(cash=10**13)
    order = person.order(exchange.nonce(person), quantity="17", limitPrice="60000")
    reply = exchange.post("/v1/orders", person.signed(order))
    assert (reply.status_code, reply.json()["code"]) == (422, "ORDER_TOO_LARGE")
    shown = reply.json()
    assert (shown["given"], shown["allowed"]) == ("1020000 USDC", "at most 1000000 USDC")
    assert shown["retryable"] is False
    assert (
        exchange.get(f"/v1/accounts/{person.address}/balances", exchange.login(person)).json()["data"][0]["reserved"]
        == "0"
    )


def test_an_account_sees_its_limits_and_what_it_has_traded(exchange: Any) -> None:
    maker, taker = exchange.person(), exchange.person()
    exchange.place(maker, side="SELL", limitPrice="60000", quantity="0.5")
    exchange.place(taker, limitPrice="60000", quantity="0.5", timeInForce="IOC")
    for person in (maker, taker):
        reply = exchange.get(f"/v1/accounts/{to_checksum(person.account)}/limits", exchange.login(person))
        assert reply.json() == {
            "maxOrderNotional": "1000000",
            "maxOpenOrders": 100,
            "maxDailyVolume": "10000000",
            "priceBandBps": 2000,
            "maxOrdersPerSecond": 100,
            "orderBurst": 1000,
            "volumeToday": "30000",
        }
    stranger = exchange.get(f"/v1/accounts/{maker.address}/limits", exchange.login(taker))
    assert (stranger.status_code, stranger.json()["code"]) == (401, "AUTH_INVALID")
