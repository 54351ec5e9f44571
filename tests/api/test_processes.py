"""Parts that come late, go away and come back; and what the command line says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import REPOSITORY, SYMBOL, TERMS, Exchange, list_market, market_status, wait_for
from tests.api.test_streams import Client


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange of which a test may stop parts. Its node is away."""
    running = Exchange(tmp_path, "http://127.0.0.1:1")
    yield running
    running.stop()


def kill_engine(exchange: Exchange) -> None:
    assert exchange.engine is not None
    exchange.engine.kill()
    exchange.engine.wait(60)


def test_the_api_may_start_first(own: Exchange) -> None:
    own.database.dispose()
    (own.state / "exchange.db").unlink()
    own.start_api()
    status = own.get("/v1/status").json()
    assert (status["mode"], status["engine"]["up"], status["node"]["up"]) == ("halted", False, False)
    assert own.get("/v1/settlements").json() == {"data": [], "next": None}
    address = "0x" + "11" * 20
    assert own.get(f"/v1/accounts/{address}/fills").json() == {"data": [], "next": None, "asOf": None}
    assert own.get(f"/v1/accounts/{address}/withdrawals").json()["data"] == []
    unknown = own.get("/v1/orders/0x" + "12" * 32)
    assert (unknown.status_code, unknown.json()["code"]) == (503, "ENGINE_UNAVAILABLE"), "the engine may know it"
    markets = own.get("/v1/markets")
    assert (markets.status_code, markets.json()["code"]) == (503, "ENGINE_UNAVAILABLE")
    assert markets.headers["retry-after"] == "1"


def test_an_engine_that_comes_back_is_joined_and_subscribers_start_afresh(own: Exchange) -> None:
    own.start_engine()
    own.start_api()
    list_market(own, TERMS)
    wait_for("the market", lambda: market_status(own) == "ACTIVE")
    alice = own.person()
    resting = own.place(alice, limitPrice="1000")
    client = Client(own)
    client.sign_in(own, alice)
    for channel, key in (("book", SYMBOL), ("trades", SYMBOL), ("orders", None)):
        client.subscribe(channel, key)
        before = client.next(ch=channel, type="snapshot")

    # What the engine has not stored yet, nobody can read until it is back.
    wait_for("the tables", lambda: [row.status for row in own.rows("order")] == ["OPEN"])
    kill_engine(own)
    wait_for("the loss to be noticed", lambda: not own.get("/v1/status").json()["engine"]["up"])
    book = own.get(f"/v1/book/{SYMBOL}")
    assert (book.status_code, book.json()["code"]) == (503, "ENGINE_UNAVAILABLE")
    assert own.get(f"/v1/orders/{resting['id']}").json()["status"] == "OPEN"
    unknown = own.get(f"/v1/orders/0x{'ab' * 32}")  # it may be on the engine's disk and nowhere else
    assert (unknown.status_code, unknown.json()["code"]) == (503, "ENGINE_UNAVAILABLE")
    assert [market["symbol"] for market in own.get("/v1/markets").json()["data"]] == [SYMBOL]

    own.start_engine()
    for channel in ("book", "trades", "orders"):
        reset, snapshot = client.next(ch=channel, type="reset"), client.next(ch=channel, type="snapshot")
        assert reset["epoch"] == snapshot["epoch"] != before["epoch"]
    assert own.get(f"/v1/book/{SYMBOL}").json()["bids"] == [["1000", "0.01"]]
    again = own.place(alice, limitPrice="1001")
    assert client.next(ch="book", type="delta")["data"]["bids"] == [["1001", "0.01"]]
    assert client.next(ch="orders", type="event")["data"]["id"] == again["id"]
    client.socket.close()


def test_an_order_without_an_engine_is_unknown_not_refused(own: Exchange) -> None:
    own.start_engine()
    own.start_api()
    list_market(own, TERMS)
    wait_for("the market", lambda: market_status(own) == "ACTIVE")
    alice = own.person()
    body = alice.signed(alice.order(own.nonce(alice), limitPrice="1000"))
    kill_engine(own)
    reply = own.post("/v1/orders", body)
    assert (reply.status_code, reply.json()["code"], reply.json()["retryable"]) == (503, "ENGINE_UNAVAILABLE", True)
    own.start_engine()
    wait_for("the engine", lambda: own.get("/v1/status").json()["engine"]["up"])
    assert own.post("/v1/orders", body).json()["status"] == "OPEN"


def test_a_token_outlives_a_restart_of_the_api(own: Exchange) -> None:
    own.start_engine()
    own.start_api()
    list_market(own, TERMS)
    wait_for("the market", lambda: market_status(own) == "ACTIVE")
    alice = own.person()
    token = own.login(alice)
    assert own.api is not None
    own.api.terminate()
    assert own.api.wait(60) == 0
    own.start_api()
    assert own.get("/v1/orders", token).status_code == 200


def run_api(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *options],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_port_in_use_is_one_clear_line(own: Exchange) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run_api("--port", port, "--state", str(own.state))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert port in result.stderr
    assert "--port" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no deployment file"),
        ("{", "is not a deployment file"),
        (json.dumps({"chainId": 1}), "is not a deployment"),
    ],
)
def test_a_bad_deployment_file_is_one_clear_line(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "deployment.json").write_text(content)
    result = run_api("--port", "0", CXDEX_STATE=str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--rpc", "nonsense"],
        ["--host", "no.such.host.invalid"],
        ["--database", "nonsense"],
        ["--database", "mysql://x/y"],
    ],
)
def test_a_bad_option_is_one_clear_line(own: Exchange, options: list[str]) -> None:
    result = run_api("--port", "0", "--state", str(own.state), *options)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_impossible_port_is_refused() -> None:
    result = run_api("--port", "99999")
    assert result.returncode == 2
    assert "99999 is not a port" in result.stderr


def test_it_stops_cleanly_with_clients_connected(own: Exchange) -> None:
    own.start_api()
    client = Client(own)
    assert own.api is not None
    own.api.send_signal(signal.SIGINT)
    assert own.api.wait(60) == 0
    client.socket.close()
