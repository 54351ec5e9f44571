"""Who waits long is told for what; who is answered soon hears nothing."""

from __future__ import annotations

import logging

import httpx
import pytest

from cxdex import AsyncExchange, Exchange, LocalWallet, OutcomeUnknown
from cxdex.client import patience, trading
from cxdex.client.ticket import Ticket
from tests.cxdex.client.test_surface import serve
from tests.cxdex.order_strategies import KEY

AWAY = {"code": "ENGINE_UNAVAILABLE", "detail": "the engine did not answer in time", "retryable": True}


def hangs(request: httpx.Request) -> httpx.Response:
    """An exchange whose engine does not answer."""
    if request.method == "POST":
        return httpx.Response(503, json=AWAY)
    return serve(request)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
    caplog.set_level(logging.WARNING, "cxdex.client")


def place() -> None:
    with (
        Exchange("http://x", LocalWallet(KEY), http_transport=httpx.MockTransport(hangs)) as exchange,
        pytest.raises(OutcomeUnknown),
    ):
        exchange.place(Ticket("sBTC-USDC", "BUY", "0.01", "60000.1"))


def test_a_long_wait_is_explained_once_an_attempt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "QUIET_SECONDS", 0.0)
    place()
    told = [f"ENGINE_UNAVAILABLE: {AWAY['detail']}; asking again, {n} of {trading.PLACE_ATTEMPTS}" for n in range(2, 6)]
    assert caplog.messages == told


def test_a_short_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    place()
    assert caplog.messages == []


async def test_it_is_the_same_for_who_awaits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(patience, "QUIET_SECONDS", 0.0)
    async with AsyncExchange("http://x", LocalWallet(KEY), http_transport=httpx.MockTransport(hangs)) as exchange:
        outcomes = await exchange.place_many([Ticket("sBTC-USDC", "BUY", "0.01", "60000.1")])
    assert [outcome.outcome for outcome in outcomes] == ["unknown"]
    assert len(caplog.messages) == trading.PLACE_ATTEMPTS - 1
