"""The application: middleware around routes, and the tasks that live as long as it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from api.auth import Authenticator, load_secret
from api.context import Context, Settings
from api.database import Database
from api.feed import FeedHub
from api.feed_reader import FeedReader
from api.markets import MarketDirectory
from api.metrics import ApiMetrics, MetricsMiddleware, Patterns, patterns_of
from api.middleware import BodyLimitMiddleware, ProblemMiddleware
from api.node import Node
from api.openapi import install_openapi
from api.order_entry import PLAIN as PLAIN_ENTRY
from api.order_entry import ROUTES as ORDER_ENTRY
from api.order_lane import OrderLane
from api.problems import problem_response, validation_problem
from api.routes import (
    accounts,
    auth,
    health,
    markets,
    orders,
    pages,
    protection,
    safety,
    settlements,
    status,
    vault,
    withdrawals,
)
from api.routes.inputs import known_query
from api.settlement_feed import SettlementFeed
from api.signers import Signers
from api.streams import beat, serve_socket
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.wire import SOCKET_NAME

VERSION = "1.0.0"
DAY_SECONDS = 86_400
RESTART_SECONDS = 1.0

log = logging.getLogger("api")

_MODULES = (status, health, markets, orders, safety, accounts, settlements, vault, withdrawals, protection, auth)


def create_app(settings: Settings) -> ASGIApp:
    """The whole API over these settings. Nothing is connected before the app starts.

    Orders and measures are outside of the framework, which costs more than reading an order does.
    """
    context = make_context(settings)
    measures = ApiMetrics(context) if settings.metrics else None
    framework = _make_framework(context, measures)
    app = OrderLane(framework, context, ORDER_ENTRY, PLAIN_ENTRY)
    return app if measures is None else MetricsMiddleware(app, measures, _patterns(framework))


def _make_framework(context: Context, measures: ApiMetrics | None) -> FastAPI:
    app = FastAPIOffline(  # /docs works without the internet
        redoc_url=None,
        title="Cxmpute DEX",
        version=VERSION,
        redirect_slashes=False,  # it would send people, with their token, to whatever host the request named
        lifespan=partial(_lifespan, context),
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],  # wallet pages live anywhere; tokens travel in a header, never in a cookie
                allow_methods=["GET", "POST", "PUT", "DELETE"],
                allow_headers=["authorization", "content-type"],
                expose_headers=["retry-after"],
                max_age=DAY_SECONDS,
            ),
            Middleware(ProblemMiddleware),
            Middleware(BodyLimitMiddleware),
        ],
    )
    app.state.context = context
    app.state.measures = measures
    app.router.routes.extend(ORDER_ENTRY)
    app.router.routes.append(WebSocketRoute("/v1/ws", serve_socket))
    app.include_router(pages.router)
    if measures is not None:
        app.router.routes.append(measures.route())
    for module in _MODULES:
        app.include_router(module.router, prefix="/v1", dependencies=[Depends(known_query)])
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    install_openapi(app)
    return app


def _patterns(framework: FastAPI) -> Patterns:
    patterns = {**patterns_of(framework.routes), **patterns_of(pages.router.routes)}
    for module in _MODULES:
        patterns.update(patterns_of(module.router.routes, "/v1"))
    return patterns


def make_context(settings: Settings) -> Context:
    deployment = settings.deployment
    engine, node = EngineClient(settings.state / SOCKET_NAME), Node(settings.rpc_url)
    markets, database = MarketDirectory(), Database(settings.database_url)
    return Context(
        deployment=deployment,
        domain=deployment.domain,
        authenticator=Authenticator(load_secret(settings.state), deployment.domain),
        engine=engine,
        hub=FeedHub(),
        markets=markets,
        database=database,
        node=node,
        signers=Signers(deployment.domain, engine, node),
        settlements=SettlementFeed(database, markets),
        max_lag_blocks=settings.max_lag_blocks,
    )


@asynccontextmanager
async def _lifespan(context: Context, _app: FastAPI) -> AsyncIterator[None]:
    reader = FeedReader(context.engine, context.hub, context.markets, context.database)
    tasks = (
        asyncio.create_task(_keep_running("the feed reader", reader.run)),
        asyncio.create_task(_keep_running("the settlement feed", context.settlements.run)),
        asyncio.create_task(_keep_running("the heartbeat", partial(beat, context.connections))),
    )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        context.node.close()
        context.database.close()


async def _keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Restarts what must not end. A fault in it is logged, and costs its users a second."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed; starting it again", name)
        await asyncio.sleep(RESTART_SECONDS)


async def _on_problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem_response(problem)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(validation_problem(error.errors()))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow")
        return problem_response(
            Problem(
                "METHOD_NOT_ALLOWED", "this address does not take that method", given=request.method, allowed=allowed
            )
        )
    if error.status_code == 404:
        return problem_response(Problem("NOT_FOUND", "there is nothing at this address", given=request.url.path))
    return problem_response(Problem("BODY_MALFORMED", str(error.detail)))
