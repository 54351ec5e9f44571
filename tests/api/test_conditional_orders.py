"""Orders that wait for a price, through the Python client and the API: stop, take profit, trailing stop, GTD."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from cxdex import ApiProblem, LocalWallet, OrderProblem, Problem, Ticket, facts
from cxdex import Exchange as Client
from cxdex.client.replies import Order
from tests.api.conftest import SYMBOL, TERMS, Exchange, Person, bearer, list_market, market_status, wait_for
from tests.api.test_safety import cxdex_command
from tests.api.test_streams import Client as Socket

BASE = 2


@pytest.fixture
def own(tmp_path: Path, node_url: str) -> Iterator[Exchange]:
    running = Exchange(tmp_path, node_url)
    running.start_engine()
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


def publish(exchange: Exchange, price: str, time_s: int | None = None) -> int:
    """The oracle's price, as the indexer would tell it; returns when it was published."""
    published = int(time.time()) + 1 if time_s is None else time_s
    exchange.chain.say(facts.PriceUpdated(BASE, int(Decimal(price) * 10**6), published))
    return published


def client_of(exchange: Exchange, person: Person) -> Client:
    return Client(exchange.url, LocalWallet(person.key))


def when(client: Client, order: Order, status: str) -> Order:
    found: Order = wait_for(status, lambda: (now := client.order(order.id)).status == status and now)
    return found


def test_a_stop_waits_hidden_and_sells_when_the_index_falls(own: Exchange) -> None:
    alice, bob = own.person(), own.person()
    own.place(bob, limitPrice="57500", quantity="0.02")
    publish(own, "60000")
    socket = Socket(own)
    socket.sign_in(own, alice)
    socket.subscribe("orders")
    socket.next(ch="orders", type="snapshot")
    with client_of(own, alice) as client:
        before = {balance.asset: balance.available for balance in client.balances()}
        placed = client.stop(SYMBOL, "SELL", "0.01", "58000", worst_price="57000", client_order_id="guard")
        assert (placed.status, placed.order_type, placed.condition and placed.condition.trigger) == (
            "PENDING",
            "MARKET",
            "INDEX_AT_OR_BELOW",
        )
        assert placed.condition is not None
        assert (placed.condition.trigger_price, placed.proof) == ("58000", None)
        assert client.book(SYMBOL).asks == [], "it is in no book"
        assert {balance.asset: balance.available for balance in client.balances()} == before, "and reserves nothing"
        wait_for("the tables", lambda: [order.id for order in client.orders()] == [placed.id])
        assert client.orders(status="OPEN") == []
        assert [order.status for order in client.orders(status="PENDING")] == ["PENDING"]
        assert socket.next(ch="orders", type="event")["data"]["condition"]["activeFrom"] == placed.condition.active_from

        publish(own, "58000.01")
        assert client.order(placed.id).status == "PENDING"
        published = publish(own, "57999.99")
        done = when(client, placed, "FILLED")
        assert (done.filled, done.proof) == ("0.01", [published])
        wait_for("the tables", lambda: [fill.price for fill in client.fills()] == ["57500"])
    told = socket.next(ch="orders", type="event")["data"]
    while told["status"] != "FILLED":
        told = socket.next(ch="orders", type="event")["data"]
    assert told["proof"] == [published]
    socket.socket.close()
    path, token = f"/v1/orders?status=FILLED&account={alice.address}", own.login(alice)
    (stored,) = wait_for("the tables", lambda: own.get(path, token).json()["data"])
    assert (stored["id"], stored["proof"]) == (placed.id, [published])


def test_a_price_of_before_the_order_does_not_count(own: Exchange) -> None:
    alice = own.person()
    publish(own, "50000", int(time.time()) - 100)
    with client_of(own, alice) as client:
        waiting = client.stop(SYMBOL, "SELL", "0.01", "58000", worst_price="57000")
        assert waiting.status == "PENDING"
        at_once = client.stop(
            SYMBOL, "SELL", "0.01", "58000", price="59000", active_from=int(time.time()) - 200, time_in_force="GTC"
        )
        assert when(client, at_once, "OPEN").limit_price == "59000"
        assert client.book(SYMBOL).asks == [("59000", "0.01")], "a stop limit rests once it is triggered"


def test_take_profit_and_trailing_stop(own: Exchange) -> None:
    alice, bob = own.person(), own.person()
    own.place(bob, limitPrice="59000", quantity="0.1")
    with client_of(own, alice) as client:
        profit = client.take_profit(SYMBOL, "SELL", "0.01", "63000", worst_price="58000")
        trailing = client.trailing_stop(SYMBOL, "SELL", "0.02", "1000", worst_price="58000")
        assert (trailing.condition and trailing.condition.trigger) == "INDEX_FALLS_BY"
        now = int(time.time())
        publish(own, "61000", now + 1)
        top = publish(own, "63500", now + 2)
        assert when(client, profit, "FILLED").proof == [top]
        publish(own, "62600", now + 3)
        turn = publish(own, "62500", now + 4)
        assert when(client, trailing, "FILLED").proof == [top, turn]


def test_a_stop_by_the_last_price(own: Exchange) -> None:
    alice, bob = own.person(), own.person()
    with client_of(own, alice) as client:
        placed = client.stop(SYMBOL, "BUY", "0.01", "61000", worst_price="62000", by="last")
        own.place(bob, side="SELL", limitPrice="61000", quantity="0.03")
        own.place(own.person(), limitPrice="61000", quantity="0.01", timeInForce="IOC")
        done = when(client, placed, "FILLED")
        assert done.proof is None
        wait_for("the tables", lambda: [fill.price for fill in client.fills()] == ["61000"])


def test_one_that_cannot_be_paid_when_its_price_comes_is_closed_with_the_reason(own: Exchange) -> None:
    poor = own.person(coins=1)
    with client_of(own, poor) as client:
        placed = client.stop(SYMBOL, "SELL", "0.01", "58000", worst_price="57000")
        assert placed.status == "PENDING"
        publish(own, "57000")
        assert when(client, placed, "CANCELLED").reason not in (None, "USER")


def test_cancels_find_it_and_a_restart_keeps_it(own: Exchange) -> None:
    alice = own.person()
    with client_of(own, alice) as client:
        first, second = (client.stop(SYMBOL, "SELL", "0.01", "58000", worst_price="57000") for _ in range(2))
        assert client.cancel(first).status == "CANCELLED"
        assert own.engine is not None
        own.engine.kill()
        own.engine.wait(10)
        own.start_engine()
        wait_for("the engine", lambda: market_status(own) == "ACTIVE")
        assert client.order(second.id).status == "PENDING"
        assert client.cancel_all(SYMBOL) == 1


def test_validate_shows_what_to_sign(exchange: Any) -> None:
    alice = exchange.person()
    draft = {"account": alice.address, "market": SYMBOL, "side": "SELL", "quantity": "0.01", "limitPrice": "57000"}
    condition = {"trigger": "INDEX_AT_OR_BELOW", "triggerPrice": "58000"}
    body = {"order": {**draft, "orderType": "MARKET", "condition": condition}}
    checked = exchange.post("/v1/orders/validate", body).json()
    assert checked["typedData"]["primaryType"] == "ConditionalOrder"
    names = [field["name"] for field in checked["typedData"]["types"]["ConditionalOrder"]]
    assert names[-3:] == ["trigger", "triggerPrice", "activeFrom"]
    assert abs(int(checked["order"]["condition"]["activeFrom"]) - time.time()) < 60
    assert checked["integers"]["triggerPrice"] == str(58000 * 10**6 // TERMS.tick_size)
    with client_of(exchange, alice) as client:
        signed = client.sign(Ticket(SYMBOL, "SELL", "0.01", "57000", "MARKET", trigger="INDEX_AT_OR_BELOW",
                                    trigger_price="58000"))  # fmt: skip
        assert client.submit(signed).condition is not None


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"trigger": "INDEX_BELOW"}, "ORDER_FIELD_INVALID", "trigger"),
        ({"trigger": None}, "ORDER_FIELD_INVALID", "trigger"),
        ({"triggerPrice": "58000.05"}, "ORDER_TICK_INVALID", "triggerPrice"),
        ({"triggerPrice": "0"}, "ORDER_FIELD_INVALID", "triggerPrice"),
        ({"triggerPrice": 58000}, "NUMBER_NOT_STRING", "triggerPrice"),
        ({"activeFrom": "-1"}, "DECIMAL_INVALID", "activeFrom"),
        ({"activeFrom": str(2**40)}, "ORDER_FIELD_INVALID", "activeFrom"),
        ({"foo": 1}, "FIELD_UNKNOWN", "foo"),
    ],
)
def test_a_condition_that_is_none_is_refused(exchange: Any, change: Any, code: str, field: str) -> None:
    alice = exchange.person()
    condition = {"trigger": "INDEX_AT_OR_BELOW", "triggerPrice": "58000", "activeFrom": "1"}
    order = alice.order(1, side="SELL")
    signed = {**alice.signed(order), "order": {**order, "condition": {**condition, **change}}}
    reply = exchange.post("/v1/orders", signed)
    assert (reply.status_code // 100, reply.json()["code"], reply.json()["field"]) == (4, code, field)


def test_a_plain_signature_is_none_for_a_conditional_order(exchange: Any) -> None:
    alice = exchange.person()
    order = alice.order(1, side="SELL")
    condition = {"trigger": "INDEX_AT_OR_BELOW", "triggerPrice": "58000", "activeFrom": "1"}
    signed = {**alice.signed(order), "order": {**order, "condition": condition}}
    refused = exchange.post("/v1/orders", signed).json()
    assert (refused["code"], refused["message"]["trigger"]) == ("SIGNATURE_MISMATCH", "INDEX_AT_OR_BELOW")


def test_good_till_date_needs_the_date(exchange: Any) -> None:
    with client_of(exchange, exchange.person()) as client:
        with pytest.raises(OrderProblem) as refused:
            client.buy(SYMBOL, "0.01", "1000", time_in_force="GTD")
        assert refused.value.field == "expiry"
        order = client.buy(SYMBOL, "0.01", "1000", time_in_force="GTD", expires_in=3600)
        assert (order.time_in_force, order.status) == ("GTD", "OPEN")
        assert 3500 < int(order.expiry) - time.time() < 3700


@pytest.mark.parametrize(
    ("terms", "field"),
    [({}, "price"), ({"price": "1", "worst_price": "1"}, "price"), ({"price": "1", "by": "mark"}, "by")],
)
def test_a_stop_says_what_it_accepts(exchange: Any, terms: Any, field: str) -> None:
    with client_of(exchange, exchange.person()) as client, pytest.raises(Problem) as refused:
        client.stop(SYMBOL, "SELL", "0.01", "58000", **terms)
    assert refused.value.field == field


def test_protection_and_limits(exchange: Any) -> None:
    alice = exchange.person()
    with client_of(exchange, alice) as client:
        assert client.protections() == []
        set_ = client.protect(SYMBOL, window_ms=60_000, max_quantity="0.02", max_notional=5000)
        assert (set_.status, set_.max_quantity, set_.max_notional, set_.cooldown_ms) == ("ARMED", "0.02", "5000", 0)
        client.buy(SYMBOL, "0.05", "68000")
        exchange.place(exchange.person(), side="SELL", limitPrice="68000", quantity="0.02", timeInForce="IOC")
        tripped = wait_for("the trip", lambda: [p for p in client.protections() if p.status == "TRIPPED"])
        assert tripped[0].market == SYMBOL
        with pytest.raises(Problem, match="PROTECTION_TRIPPED"):
            client.buy(SYMBOL, "0.01", "1000")
        assert client.reset_protection(SYMBOL).status == "ARMED"
        assert client.remove_protection(SYMBOL).status == "OFF"
        limits = client.limits()
        assert (limits.max_open_orders, limits.volume_today) == (100, "1360")
        shown = httpx.get(f"{exchange.url}/v1/accounts/{alice.address}/limits", headers=bearer(exchange.login(alice)))
        assert shown.json()["orderBurst"] == limits.order_burst


def test_a_bracket_is_two_orders_of_which_one_is_filled(own: Exchange) -> None:
    alice, bob = own.person(), own.person()
    publish(own, "60000")
    with client_of(own, alice) as client:
        before = {balance.asset: balance.reserved for balance in client.balances()}
        limit, guard = client.bracket(
            SYMBOL, "SELL", "0.02", "66000", "58000", worst_price="57000", client_order_id="b"
        )
        assert (limit.status, guard.status, limit.nonce == guard.nonce) == ("OPEN", "PENDING", True)
        held = {balance.asset: balance.reserved for balance in client.balances()}
        assert Decimal(held[BASE]) - Decimal(before[BASE]) == Decimal("0.02"), "once, not twice"
        own.place(bob, limitPrice="66000", quantity="0.005", timeInForce="IOC")
        part = wait_for("the fill", lambda: (now := client.order(limit.id)).filled == "0.005" and now)
        assert (part.remaining, client.order(guard.id).remaining) == ("0.015", "0.015")
        own.place(bob, limitPrice="57500", quantity="0.1")
        publish(own, "57900")
        assert when(client, guard, "FILLED").filled == "0.015"
        assert (client.order(limit.id).status, client.order(limit.id).reason) == ("CANCELLED", "OCO")

        first, second = client.bracket(SYMBOL, "SELL", "0.02", "66000", "50000", worst_price="49000")
        assert client.cancel(second).status == "CANCELLED"
        assert client.order(first.id).reason == "OCO", "who cancels one cancels both"


def test_a_pair_whose_second_half_is_refused_leaves_nothing(own: Exchange) -> None:
    with client_of(own, own.person()) as client:
        rests = Ticket(SYMBOL, "SELL", "0.01", "66000")
        with pytest.raises(ApiProblem, match="ORDER_PAIR_REFUSED"):
            client.oco(
                Ticket(SYMBOL, "SELL", "0.01", "57000", "MARKET", trigger="INDEX_AT_OR_BELOW", trigger_price="58000"),
                Ticket(SYMBOL, "SELL", "0.01", "66000", "MARKET"),
            )
        wait_for("the cancel", lambda: client.orders() == [] and client.orders(status=None))
        with pytest.raises(OrderProblem) as refused:
            client.oco(rests, Ticket(SYMBOL, "BUY", "0.01", "50000"))
        assert refused.value.field == "side"


def test_an_iceberg_shows_a_part_of_itself(own: Exchange) -> None:
    alice = own.person()
    with client_of(own, alice) as client:
        order = client.sell(SYMBOL, "0.05", "61000", display="0.02")
        assert (order.display_quantity, order.remaining) == ("0.02", "0.05")
        assert client.book(SYMBOL).asks == [("61000", "0.02")]
        own.place(own.person(), limitPrice="61000", quantity="0.03", timeInForce="IOC")
        assert wait_for("the fill", lambda: client.order(order.id).filled == "0.03")
        assert client.book(SYMBOL).asks == [("61000", "0.01")] or client.book(SYMBOL).asks == [("61000", "0.02")]
        with pytest.raises(ApiProblem) as refused:
            client.sell(SYMBOL, "0.05", "61000", display="0.06")
        assert refused.value.field == "displayQuantity"
        with pytest.raises(OrderProblem) as lots:
            client.sell(SYMBOL, "0.05", "61000", display="0.0200000000000001")
        assert lots.value.field == "display"


@pytest.mark.parametrize("shown", ["0", "1.00000000000000001", 1, "-1", str(10**12)])
def test_a_display_that_is_none_is_refused(exchange: Any, shown: Any) -> None:
    alice = exchange.person()
    reply = exchange.post("/v1/orders", alice.signed(alice.order(1), displayQuantity=shown))
    assert (reply.status_code // 100, reply.json()["field"]) == (4, "displayQuantity")


def test_the_command_line_does_it_too(own: Exchange) -> None:
    alice = own.person()
    publish(own, "60000")

    def cxdex(*words: str) -> Any:
        return cxdex_command(own, alice, *words)

    what = (SYMBOL, "sell", "0.01")
    stop = cxdex("order", *what, "--stop", "58000", "--worst-price", "57000")
    assert (stop["status"], stop["condition"]["trigger"], stop["orderType"]) == (
        "PENDING",
        "INDEX_AT_OR_BELOW",
        "MARKET",
    )
    profit = cxdex("order", *what, "--take-profit", "66000", "--price", "65000", "--by", "last", "--gtd", "3600")
    assert (profit["condition"]["trigger"], profit["timeInForce"]) == ("LAST_AT_OR_ABOVE", "GTD")
    trail = cxdex("order", *what, "--trail", "500", "--worst-price", "50000")
    assert trail["condition"]["trigger"] == "INDEX_FALLS_BY"
    iceberg = cxdex("order", SYMBOL, "sell", "0.05", "--price", "70000", "--display", "0.01")
    assert iceberg["displayQuantity"] == "0.01"
    pair = cxdex("oco", *what, "--take-profit", "66000", "--stop", "58000", "--worst-price", "57000")
    assert (pair["limit"]["status"], pair["stop"]["status"]) == ("OPEN", "PENDING")
    wait_for("the tables", lambda: len(cxdex("orders")) == 6)
    checked = cxdex("validate", *what, "--stop", "58000", "--price", "57000")
    assert checked["typedData"]["primaryType"] == "ConditionalOrder"
    assert cxdex("protection", "set", SYMBOL, "--window-ms", "1000", "--max-notional", "50000")[0]["status"] == "ARMED"
    assert cxdex("protection", "list")[0]["maxNotional"] == "50000"
    assert cxdex("protection", "remove", SYMBOL)[0]["status"] == "OFF"
    assert cxdex("limits")["maxOpenOrders"] == 100
