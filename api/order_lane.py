"""The short way in for orders: to the handlers of order entry, past the framework and the browsers' middleware.

Owns:     which requests take it: POSTs by programs to those of order entry's addresses that are always spelt the same.
          A browser's request names its Origin and takes the long way, where the answer gets the headers that browsers
          ask for.
Promises: the same answers as the long way, byte for byte but for what is made anew for every answer (trace ids).
Never:    knows what the handlers do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.context import Context
from api.middleware import BodyLimitMiddleware, ProblemMiddleware, read_limited

Answer = Callable[[Context, bytes], Awaitable[bytes]]
"""From the body of a request to the body of its answer, in JSON."""


class OrderLane:
    """framework: the long way. plain: those of the routes, by path, whose answer needs nothing but the body."""

    def __init__(
        self, framework: ASGIApp, context: Context, routes: Sequence[Route], plain: Mapping[str, Answer]
    ) -> None:
        self._framework = framework
        self._context = context
        self._routes = {route.path: route.endpoint for route in routes if not route.param_convertors}
        self._plain = plain
        self._short = ProblemMiddleware(self._answer)
        self._with_request = BodyLimitMiddleware(self._answer_request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._routes
        if is_ours and not any(name == b"origin" for name, _ in scope["headers"]):
            scope["endpoint"] = self._routes[scope["path"]]
            await self._short(scope, receive, send)
        else:
            await self._framework(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._plain.get(scope["path"])
        if answer is None:
            await self._with_request(scope, receive, send)
            return
        body = await read_limited(scope, receive)
        if body is None:
            return
        shown = await answer(self._context, body)
        headers = [(b"content-length", b"%d" % len(shown)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": shown})

    async def _answer_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self._framework
        response = await scope["endpoint"](Request(scope, receive))
        await response(scope, receive, send)
