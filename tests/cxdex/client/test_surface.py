"""What people import, and that the blocking and the awaited client are one client."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

import cxdex
from cxdex import AsyncExchange, Exchange, LocalWallet, OutcomeUnknown, Problem, Unreachable
from tests.cxdex.client.exchange_script import MARKET, STATUS, order_state
from tests.cxdex.order_strategies import KEY


def serve(request: httpx.Request) -> httpx.Response:
    """An exchange in one function: takes every order, and is silent on cancels."""
    path = request.url.path.removeprefix("/v1")
    if path == "/orders" and request.method == "POST":
        return httpx.Response(200, json=order_state(json.loads(request.content)["order"]))
    if path == "/auth/login":
        return httpx.Response(200, json={"token": "t", "account": "0x", "expiresAt": "1"})
    if path.endswith("/nonce"):
        return httpx.Response(200, json={"nonces": ["7"]})
    if path in ("/status", "/markets"):
        return httpx.Response(200, json=STATUS if path == "/status" else {"data": [MARKET]})
    raise httpx.ReadTimeout("silence", request=request)


def methods(kind: type) -> dict[str, Callable[..., object]]:
    return {name: member for name, member in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    blocking, awaited = methods(Exchange), methods(AsyncExchange)
    assert set(blocking) == set(awaited)
    for name in blocking:
        assert inspect.signature(blocking[name]) == inspect.signature(awaited[name]), name


async def test_both_clients_send_the_same_order() -> None:
    wallet = LocalWallet(KEY)
    with Exchange("http://x", wallet, http_transport=httpx.MockTransport(serve)) as exchange:
        first = exchange.buy("sBTC-USDC", "0.01", price="60000.1", time_in_force="POST_ONLY", client_order_id="mine")
    async with AsyncExchange("http://x/v1/", wallet, http_transport=httpx.MockTransport(serve)) as awaited:
        second = await awaited.buy("sBTC-USDC", "0.01", price="60000.1", time_in_force="POST_ONLY")
    fields = ("account", "side", "time_in_force", "quantity", "limit_price", "max_fee_bps", "nonce")
    assert [getattr(first, f) for f in fields] == [getattr(second, f) for f in fields]


def test_a_time_out_of_a_cancel_is_not_a_refusal() -> None:
    with (
        Exchange("http://x", LocalWallet(KEY), http_transport=httpx.MockTransport(serve)) as exchange,
        pytest.raises(Unreachable, match="silence"),
    ):
        exchange.cancel("0x12")


def test_every_exported_name_is_there() -> None:
    assert all(getattr(cxdex, name) for name in cxdex.__all__)
    assert issubclass(OutcomeUnknown, Problem)
    with pytest.raises(AttributeError, match="nothing"):
        _ = cxdex.nothing


def test_a_service_that_needs_only_the_order_type_does_not_load_the_client() -> None:
    check = (
        "import sys, cxdex.order, cxdex.batch; print(sorted({'httpx', 'websockets', 'eth_account'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", ""])
def test_a_url_that_cannot_be_is_refused_at_once(url: str) -> None:
    with pytest.raises(Problem, match="API_URL_INVALID"):
        Exchange(url)


def test_money_needs_a_node_and_says_so() -> None:
    with (
        Exchange("http://x", LocalWallet(KEY), http_transport=httpx.MockTransport(serve)) as exchange,
        pytest.raises(Problem, match="NODE_MISSING"),
    ):
        exchange.withdraw("1")
