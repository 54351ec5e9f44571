"""What the API counts for Prometheus: requests, acknowledgements, connections. Only when `--metrics` is given.

Promises: a label is a route's pattern, never what a client wrote, so nobody can make the labels grow.
          A request costs a few microseconds more.
Never:    looks into a body.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.context import Context
from api.settlement_feed import SettlementFeed
from cxdex.metrics import counter_by, new_registry

UNMATCHED = "none"
ACK_ROUTES = frozenset(
    {"/v1/orders", "/v1/orders/batch", "/v1/orders/{order_id}/replace", "/v1/orders/cancel-and-place"}
)
ACK_OPS = frozenset({"place", "placeBatch", "replace", "cancelAndPlace", "steps"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ACK_SECONDS = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)


class ApiMetrics:
    def __init__(self, context: Context) -> None:
        self.registry: CollectorRegistry = new_registry()
        registry = self.registry
        self._requests = Counter(
            "cxdex_api_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "cxdex_api_request_seconds", "Until the answer began", ["method", "route"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._ack = Histogram(
            "cxdex_api_ack_seconds",
            "Orders that were answered: from the request until the answer, with the engine's journal on disk",
            ["route"],
            buckets=_ACK_SECONDS,
            registry=registry,
        )
        self._ops = Counter(
            "cxdex_api_websocket_requests", "Order entry over the WebSocket", ["op", "code"], registry=registry
        )
        registry.register(_Problems())
        registry.register(_Settlements(context.settlements))
        followed = Gauge(
            "cxdex_api_settlement_streams", "Accounts and markets whose fills are followed", registry=registry
        )
        followed.set_function(lambda: context.settlements.followed)
        delay = Gauge(
            "cxdex_api_settlement_delay_seconds", "From the log to the subscribers, newest change", registry=registry
        )
        delay.set_function(lambda: context.settlements.delay_ms / 1_000)
        sockets = Gauge("cxdex_api_websocket_connections", "WebSocket clients connected", registry=registry)
        sockets.set_function(lambda: len(context.connections))
        engine = Gauge("cxdex_api_engine_connected", "1 while the engine's socket is connected", registry=registry)
        engine.set_function(lambda: context.engine.is_connected)
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        key = method, route, status
        pair = self._known.get(key)
        if pair is None:
            pair = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            self._known[key] = pair
        pair[0].inc()
        pair[1].observe(seconds)
        if method == "POST" and status == 200 and route in ACK_ROUTES:
            self._ack.labels(route).observe(seconds)

    def answered_op(self, op: str, code: str, seconds: float) -> None:
        """One request of order entry over the WebSocket. `op` and `code` are ours, never what a client wrote."""
        self._ops.labels(op, code).inc()
        if code == "OK" and op in ACK_OPS:
            self._ack.labels(f"/v1/ws {op}").observe(seconds)

    def page(self, _request: Request) -> Response:
        """GET /metrics; runs in a worker thread."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def route(self) -> Route:
        return Route("/metrics", self.page, methods=["GET"])


class _Problems(Collector):
    """Refusals by code wherever they were told: answers, entries of a batch, messages of a WebSocket."""

    def collect(self) -> Iterator[Metric]:
        text = "Problems told to clients, by code"
        yield counter_by("cxdex_api_problems", text, "code", list(dict(problems.told).items()))


class _Settlements(Collector):
    """Messages about fills: each is made once, however many read it."""

    def __init__(self, feed: SettlementFeed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        text = "Messages of the channels fills and settlements"
        yield counter_by("cxdex_api_settlement_messages", text, "channel", list(self._feed.messages.items()))


Patterns = Mapping[object, str]
"""The path of each route as we wrote it, by its endpoint: `/v1/book/{market}`."""


def patterns_of(routes: Iterable[BaseRoute], prefix: str = "") -> Patterns:
    return {route.endpoint: prefix + route.path for route in routes if isinstance(route, Route)}


class MetricsMiddleware:
    """Outermost: it sees the status that the client sees."""

    def __init__(self, app: ASGIApp, measures: ApiMetrics, patterns: Patterns) -> None:
        self.app = app
        self._measures = measures
        self._patterns = patterns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, seconds = 500, 0.0

        async def watched_send(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - started
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = self._patterns.get(scope.get("endpoint"), UNMATCHED)  # once the router has been
            self._measures.answered(method, route, status, seconds or time.perf_counter() - started)
