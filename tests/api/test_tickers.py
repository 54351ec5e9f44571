"""A market at a glance: over REST and the WebSocket, and the same after the engine was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxdex import Exchange as ClientOfExchange
from cxdex import facts
from tests.api.conftest import SYMBOL, TERMS, Exchange, list_market, market_status, wait_for
from tests.api.test_safety import cxdex_command
from tests.api.test_streams import Client


@pytest.fixture
def own_exchange(tmp_path: Path, node_url: str) -> Iterator[Exchange]:
    running = Exchange(tmp_path, node_url)
    running.start_engine()
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


def ticker(exchange: Exchange) -> dict[str, Any]:
    shown: dict[str, Any] = exchange.get(f"/v1/tickers/{SYMBOL}").json()
    return shown


def trade(exchange: Exchange, price: str, quantity: str) -> None:
    exchange.place(exchange.person(), side="SELL", limitPrice=price, quantity=quantity)
    exchange.place(exchange.person(), limitPrice=price, quantity=quantity, timeInForce="IOC")


def said(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in ("epoch", "seq")}


def test_a_market_at_a_glance_before_and_after_the_engine_is_killed(own_exchange: Exchange) -> None:
    exchange = own_exchange
    empty = wait_for("a ticker", lambda: ticker(exchange))
    assert (empty["last"], empty["open24h"], empty["volume24h"], empty["bid"]) == (None, None, "0", None)
    for price, quantity in (("60000", "0.01"), ("60100", "0.02"), ("59900", "0.01")):
        trade(exchange, price, quantity)
    exchange.place(exchange.person(), limitPrice="59000", quantity="0.5")
    exchange.chain.say(facts.PriceUpdated(2, 60_050_250_000, int(time.time())))
    full = wait_for("the index", lambda: (shown := ticker(exchange))["index"] and shown)
    assert {name: full[name] for name in full if name not in ("lastTime", "indexTime", "epoch", "seq")} == {
        "market": SYMBOL,
        "last": "59900",
        "open24h": "60000",
        "high24h": "60100",
        "low24h": "59900",
        "change24h": "-100",
        "volume24h": "0.04",
        "notional24h": "2401",
        "trades24h": 3,
        "bid": ["59000", "0.5"],
        "ask": None,
        "index": "60050.25",
    }
    assert exchange.get("/v1/tickers").json()["data"] == [ticker(exchange)]
    with ClientOfExchange(exchange.url) as python:
        assert [shown.last for shown in python.tickers()] == ["59900"]
        assert python.ticker(SYMBOL).bid == ("59000", "0.5")
    assert cxdex_command(exchange, exchange.person(), "ticker", SYMBOL)["notional24h"] == "2401"
    client = Client(exchange)
    client.subscribe("ticker", SYMBOL)
    client.subscribe("bbo", SYMBOL)
    assert client.next(ch="ticker", type="snapshot")["data"] == said(full)
    assert client.next(ch="bbo", type="snapshot")["data"] == {"bid": ["59000", "0.5"], "ask": None}

    assert exchange.engine is not None
    exchange.engine.kill()
    exchange.engine.wait(10)
    wait_for("the refusal", lambda: exchange.get("/v1/tickers").status_code == 503)
    exchange.start_engine()
    for channel in ("ticker", "bbo"):
        client.next(ch=channel, type="reset")

    def in_a_new_epoch() -> dict[str, Any] | None:
        shown = ticker(exchange)
        return shown if shown.get("epoch", full["epoch"]) != full["epoch"] else None

    again = wait_for("the ticker", in_a_new_epoch)
    assert said(again) == said(full)
    snapshot = client.next(ch="ticker", type="snapshot", epoch=again["epoch"])
    assert snapshot["data"] == said(full)
    exchange.place(exchange.person(), side="SELL", limitPrice="59000", quantity="0.5", timeInForce="IOC")
    event = client.next(ch="bbo", type="event", epoch=again["epoch"])
    assert event["data"] == {"bid": None, "ask": None}
    told = client.next(ch="ticker", type="event", epoch=again["epoch"])
    while told["data"]["trades24h"] == 3:
        told = client.next(ch="ticker", type="event", epoch=again["epoch"])
    assert (told["data"]["last"], told["data"]["volume24h"], told["data"]["trades24h"]) == ("59000", "0.54", 4)
    client.socket.close()


def test_bbo_is_one_sequence_and_can_be_resumed(exchange: Any) -> None:
    client = Client(exchange)
    client.subscribe("bbo", SYMBOL)
    seen = client.next(ch="bbo", type="snapshot")
    client.socket.close()
    alice = exchange.person()
    prices = ("72000", "72001", "72002")
    placed = [exchange.place(alice, limitPrice=price, timeInForce="POST_ONLY", quantity="0.001") for price in prices]
    again = Client(exchange)
    again.subscribe("bbo", SYMBOL, resume={"epoch": seen["epoch"], "seq": seen["seq"]})
    missed = [again.next(ch="bbo") for _ in prices]
    assert [(m["data"]["bid"][0], m["prev"]) for m in missed] == [
        (price, seen["seq"] + number) for number, price in enumerate(prices)
    ]
    for order in placed:
        exchange.delete(f"/v1/orders/{order['id']}", exchange.login(alice))
    again.socket.close()


def test_an_unknown_market_has_no_ticker(exchange: Any) -> None:
    reply = exchange.get("/v1/tickers/sXYZ-USDC")
    assert (reply.status_code, reply.json()["code"]) == (404, "MARKET_UNKNOWN")
