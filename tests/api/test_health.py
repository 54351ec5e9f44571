"""Health and metrics, as a load balancer and Prometheus ask for them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update
from sqlmodel import SQLModel

from api.schemas.health import Readiness
from tests.api.conftest import SYMBOL, TERMS, Exchange, list_market, market_status, spawn, wait_for
from tests.api.test_streams import Client
from tests.scraping import scrape, scrape_until


def start_api(exchange: Exchange, *options: str) -> subprocess.Popen[str]:
    return spawn(
        "api", "--port", str(exchange.port), "--state", str(exchange.state), "--rpc", exchange.rpc_url, *options
    )


def index_to(exchange: Exchange, block: int, head: int) -> None:
    """The checkpoint as the indexer writes it."""
    table = SQLModel.metadata.tables["checkpoint"]
    moving = {"block": block, "head": head, "hash": bytes(32), "timestamp": 1, "emitted_block": block, "undo_floor": 0}
    fixed = {"chain_id": 31337, "settlement": bytes(20), "projection_version": 1}
    with exchange.database.begin() as connection:
        if connection.execute(update(table).values(**moving)).rowcount == 0:
            connection.execute(insert(table).values(id=1, **moving, **fixed))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange whose parts come and go. Its node is away."""
    running = Exchange(tmp_path, "http://127.0.0.1:1")
    yield running
    running.stop()


def readiness(exchange: Exchange) -> tuple[int, dict[str, Any]]:
    reply = exchange.get("/v1/health/ready")
    Readiness.model_validate_json(reply.content)
    assert reply.headers["cache-control"] == "no-store"
    return reply.status_code, reply.json()


def test_it_lives_without_the_others_and_is_ready_only_with_them(own: Exchange) -> None:
    own.api = start_api(own, "--max-lag-blocks", "5")
    live = own.get("/v1/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    nothing = {"engine": "not connected", "database": "ok", "indexer": "has stored nothing yet"}
    assert readiness(own) == (503, {"ready": False, "checks": nothing, "lag": None, "maxLag": 5})

    own.start_engine()
    index_to(own, block=95, head=100)
    wait_for("readiness", lambda: readiness(own)[0] == 200)
    assert readiness(own)[1] == {
        "ready": True,
        "checks": {"engine": "ok", "database": "ok", "indexer": "ok"},
        "lag": 5,
        "maxLag": 5,
    }
    index_to(own, block=94, head=100)
    status, body = readiness(own)
    assert (status, body["checks"]["indexer"], body["lag"]) == (503, "6 blocks behind", 6)

    index_to(own, block=100, head=100)
    assert own.engine is not None
    own.engine.kill()
    own.engine.wait(10)
    wait_for("the loss to be noticed", lambda: readiness(own)[1]["checks"]["engine"] != "ok")
    assert readiness(own)[0] == 503
    assert own.get("/v1/health/live").status_code == 200


def test_an_unreadable_database_is_not_ready(own: Exchange) -> None:
    own.start_engine()
    index_to(own, 100, 100)
    path = own.state / "broken.db"
    path.write_bytes(b"this is no database" * 1000)
    # The file is opened only when it is read.
    own.api = start_api(own, "--database", f"sqlite:///{path}")
    wait_for("the engine", lambda: readiness(own)[1]["checks"]["engine"] == "ok")
    status, body = readiness(own)
    assert status == 503
    assert body["checks"]["database"] == "not readable"
    assert body["checks"]["indexer"].startswith("unknown")


def test_a_node_that_hangs_holds_up_nobody_who_asks_something_else(own: Exchange) -> None:
    with socket.create_server(("127.0.0.1", 0)) as node:  # it takes connections and never answers
        own.rpc_url = f"http://127.0.0.1:{node.getsockname()[1]}"
        own.start_engine()
        own.start_api()
        list_market(own, TERMS)
        wait_for("the market", lambda: market_status(own) == "ACTIVE")
        person = own.person()
        token, path = own.login(person), f"/v1/accounts/{person.address}/balances"

        def is_first() -> bool:
            """Whether one who asks the database is answered before all those who asked for the node's block."""
            with ThreadPoolExecutor(20) as asking:
                others = [asking.submit(httpx.get, own.url + "/v1/status", timeout=60) for _ in range(20)]
                time.sleep(0.5)
                assert own.get(path, token).status_code == 200
                waited = not any(one.done() for one in others)
            assert {one.result().status_code for one in others} == {200}
            return waited

        assert any(is_first() for _ in range(5)), "more than once, for a machine that is too busy"


def test_metrics_are_not_served_unless_asked_for(exchange: Exchange) -> None:
    reply = exchange.get("/metrics")
    assert (reply.status_code, reply.json()["code"]) == (404, "NOT_FOUND")


def test_requests_acknowledgements_and_connections_are_counted(own: Exchange) -> None:
    own.start_engine()
    own.api = start_api(own, "--metrics")
    list_market(own, TERMS)
    wait_for("the market", lambda: market_status(own) == "ACTIVE")
    alice = own.person()
    own.place(alice, limitPrice="1000")
    refused = own.post("/v1/orders", alice.signed(alice.order(own.nonce(alice), quantity="1000")))
    assert refused.status_code == 422
    for path in ("/v1/book/NO-MARKET", "/v1/book/book", f"/v1/book/{SYMBOL}", "/nobody/home", "/v1/nothing"):
        own.get(path)
    httpx.request("DELETE", own.url + "/v1/book/x")
    tricks = (
        "/v1/accounts/0x/protection/AAAA0xBB",
        "/v1/orders/re/replace",
        "/static-offline-docs/CC",
        "/v1/book/book/",
    )
    for path in tricks:  # what is in a path may look like another part of it
        own.get(path)
    client = Client(own)
    client.send(op="place", id=1, **alice.signed(alice.order(own.nonce(alice), limitPrice="1000")))
    assert client.next(id=1)["op"] == "place"
    client.send(op="cancel", id=2, orderId="0x")
    assert client.next(id=2)["code"] == "AUTH_REQUIRED"
    client.send(op="place", id=3, **alice.signed(alice.order(own.nonce(alice), quantity="1000")))
    assert client.next(id=3)["code"] == "BALANCE_INSUFFICIENT"
    client.subscribe("settlements", SYMBOL)
    seen = scrape_until(own.port, lambda seen: seen["cxdex_api_websocket_connections"] == 1)
    assert seen["cxdex_api_settlement_streams"] == 1
    assert seen.of("cxdex_api_settlement_messages_total", channel="settlements") == 0, "no settler has ever run"
    client.socket.close()

    assert seen.of("cxdex_api_requests_total", method="POST", route="/v1/orders", status="200") == 1
    assert seen.of("cxdex_api_requests_total", method="POST", route="/v1/orders", status="422") == 1
    book = {"method": "GET", "route": "/v1/book/{market}"}
    assert seen.of("cxdex_api_requests_total", **book, status="404") == 2
    assert seen.of("cxdex_api_requests_total", **book, status="200") == 1
    assert seen.of("cxdex_api_request_seconds_count", **book) == 3
    assert seen.of("cxdex_api_requests_total", method="GET", route="none", status="404") == 4
    assert seen.of("cxdex_api_ack_seconds_count", route="/v1/orders") == 1
    assert 0 < seen.of("cxdex_api_ack_seconds_sum", route="/v1/orders") < 5
    assert seen.of("cxdex_api_websocket_requests_total", op="place", code="OK") == 1
    assert seen.of("cxdex_api_websocket_requests_total", op="place", code="BALANCE_INSUFFICIENT") == 1
    assert seen.of("cxdex_api_ack_seconds_count", route="/v1/ws place") == 1
    assert seen.of("cxdex_api_problems_total", code="BALANCE_INSUFFICIENT") == 2, "over HTTP and over the WebSocket"
    assert seen.of("cxdex_api_problems_total", code="MARKET_UNKNOWN") >= 2, "waiting for the listing asked too"
    assert seen["cxdex_api_engine_connected"] == 1
    routes = seen.labels("cxdex_api_requests_total", "route")
    assert not any(word in route for route in routes for word in ("0x", SYMBOL, "AAAA", "re/", "CC", "book/book"))
    assert "/metrics" not in own.get("/openapi.json").json()["paths"]
    scrape_until(own.port, lambda seen: seen["cxdex_api_websocket_connections"] == 0)
    assert scrape(own.port)["process_open_fds"] > 0
