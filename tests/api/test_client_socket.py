"""The Python client with its orders on a WebSocket, against real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cxdex import ApiProblem, AsyncExchange, LocalWallet, OutcomeUnknown, Problem, Ticket, Unreachable
from cxdex.client.replies import Order
from cxdex.wallet import SessionWallet
from tests.api.conftest import SYMBOL, TERMS, Exchange, list_market, market_status, wait_for
from tests.api.test_signers import with_session
from tests.relayer.service.running_engine import until


class NoOrdersHere(httpx.AsyncHTTPTransport):
    """HTTP as it is, but for order entry, which must not come this way."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not (request.url.path.startswith("/v1/orders") and request.method != "GET"), request.url
        return await super().handle_async_request(request)


@pytest.fixture
async def alice(exchange: Any) -> AsyncIterator[AsyncExchange]:
    wallet = LocalWallet(exchange.person().key)
    async with AsyncExchange(exchange.url, wallet, order_socket=True, http_transport=NoOrdersHere()) as client:
        yield client


async def test_everything_about_orders_goes_over_the_socket(alice: AsyncExchange) -> None:
    first = await alice.buy(SYMBOL, "0.01", "1000", client_order_id="a", reject_in_ms=60_000)
    assert (await alice.cancel(first)).status == "CANCELLED"
    outcomes = await alice.place_many([Ticket(SYMBOL, "BUY", "0.01", "1000", client_order_id="b") for _ in range(60)])
    assert {outcome.outcome for outcome in outcomes} == {"accepted"}
    placed = [outcome.order for outcome in outcomes if outcome.order is not None]
    gone = await alice.cancel_each([placed[0], "0x" + "11" * 32], client_order_ids=["b"])
    assert sum(entry.order is not None for entry in gone) == 60
    others = [await alice.sell(SYMBOL, "0.01", "90000") for _ in range(3)]
    assert await alice.cancel_many(others[:2]) == 2
    assert await alice.cancel_all(SYMBOL, "buy") == 0
    assert await alice.cancel_all() == 1


async def test_refusals_are_those_of_http(alice: AsyncExchange) -> None:
    with pytest.raises(ApiProblem) as refused:
        await alice.buy(SYMBOL, "1000", "60000")
    assert (refused.value.code, refused.value.status) == ("BALANCE_INSUFFICIENT", 422)
    with pytest.raises(ApiProblem, match="ORDER_UNKNOWN"):
        await alice.cancel("0x" + "22" * 32)


async def test_many_calls_at_once(alice: AsyncExchange) -> None:
    orders = await asyncio.gather(*(alice.buy(SYMBOL, "0.001", "1000") for _ in range(90)))
    assert len({order.id for order in orders}) == 90
    assert {order.status for order in await asyncio.gather(*map(alice.cancel, orders))} == {"CANCELLED"}


async def test_a_session_key_places_and_cancels(exchange: Any) -> None:
    person = exchange.person()
    wallet = SessionWallet(with_session(exchange, person), person.account)
    async with AsyncExchange(exchange.url, wallet, order_socket=True, http_transport=NoOrdersHere()) as client:
        order = await client.buy(SYMBOL, "0.01", "1000", expires_in=3600)
        assert (await client.cancel(order)).status == "CANCELLED"


async def test_the_orders_go_with_the_connection(exchange: Any) -> None:
    wallet = LocalWallet(exchange.person().key)
    async with AsyncExchange(exchange.url, wallet) as watching:
        async with AsyncExchange(exchange.url, wallet, order_socket=True, cancel_on_disconnect=True) as client:
            order = await client.buy(SYMBOL, "0.01", "1000")
            assert (await watching.order(order.id)).status == "OPEN"

        async def is_gone() -> Order | None:
            now = await watching.order(order.id)
            return now if now.status != "OPEN" else None

        left = await until("the cancel", is_gone)
        assert left is not None
        assert (left.status, left.reason) == ("CANCELLED", "DISCONNECTED")


def test_a_guard_needs_a_connection() -> None:
    with pytest.raises(Problem, match="OPTION_INVALID"):
        AsyncExchange("http://127.0.0.1:1", cancel_on_disconnect=True)


async def test_nobody_there() -> None:
    async with AsyncExchange("http://127.0.0.1:1", LocalWallet(b"\x01" * 32), order_socket=True) as client:
        with pytest.raises(Unreachable):
            await client.cancel_all()


@pytest.fixture
def own_exchange(tmp_path: Path, node_url: str) -> Iterator[Exchange]:
    running = Exchange(tmp_path, node_url)
    running.start_engine("--limits", "off")
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


async def test_a_crash_of_the_api_process_loses_and_doubles_nothing(own_exchange: Exchange) -> None:
    wallet = LocalWallet(own_exchange.person().key)
    async with AsyncExchange(own_exchange.url, wallet, order_socket=True) as client:
        ticket = Ticket(SYMBOL, "BUY", "0.001", "1000")
        signed = [await client.sign(ticket) for _ in range(200)]
        many = [asyncio.create_task(client.submit(one)) for one in signed]
        await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
        assert own_exchange.api is not None
        own_exchange.api.kill()
        own_exchange.api.wait(10)
        await asyncio.to_thread(own_exchange.start_api)
        first = await asyncio.gather(*many, return_exceptions=True)
        assert all(isinstance(one, Order | OutcomeUnknown) for one in first), "nothing is called refused"
        orders = [await client.submit(one) for one in signed]
        assert {order.id for order in orders} == {"0x" + one.digest.hex() for one in signed}
        assert {order.status for order in orders} == {"OPEN"}
        assert await client.cancel_all() == 200
