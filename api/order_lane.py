"""The short way in for orders: to the handlers of order entry, past the router and the browsers' middleware.

Owns:     which requests take it: POSTs to order entry's own addresses by programs. A browser's request names its Origin
          and takes the long way, where the answer gets the headers that browsers ask for.
Promises: the same answers as the long way, byte for byte but for what is made anew for every answer (trace ids).
Never:    knows what the handlers do.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware import BodyLimitMiddleware, ProblemMiddleware


class OrderLane:
    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._endpoints = {route.path: route.endpoint for route in routes}
        self._short = ProblemMiddleware(BodyLimitMiddleware(self._answer))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._endpoints
        if is_ours and not any(name == b"origin" for name, _ in scope["headers"]):
            await self._short(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["endpoint"] = endpoint = self._endpoints[scope["path"]]
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)
