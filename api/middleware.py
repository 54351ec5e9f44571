"""What every request passes through: the body limit, and the last line of defence against our own faults.

Promises: a body over the limit is refused while it streams in, and the rest is not read. An unexpected error is
          logged with a trace id and answered with that id only.
Never:    looks into a body.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import new_trace_id, problem_response
from cxdex.problem import Problem

MAX_BODY_BYTES = 256 * 1024

log = logging.getLogger("api")


class ProblemMiddleware:
    """Problems raised anywhere inside become problem+json; anything else becomes INTERNAL."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Problem as problem:
            if started:
                raise
            await problem_response(problem)(scope, receive, send)
        except Exception:
            trace_id = new_trace_id()
            log.exception("traceId %s: %s %s failed", trace_id, scope["method"], scope["path"])
            if started:
                raise
            fault = Problem("INTERNAL", "something went wrong on our side")
            await problem_response(fault, trace_id)(scope, receive, send)


class BodyLimitMiddleware:
    """Reads the body of a POST up to the limit and hands it on in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        body = await read_limited(scope, receive)
        if body is None:
            return
        handed_over = False

        async def replay() -> Message:
            nonlocal handed_over
            if handed_over:
                return await receive()
            handed_over = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


async def read_limited(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, or None when the client went away. Raises BODY_TOO_LARGE."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if declared.isdigit() and (len(declared) > 12 or int(declared) > MAX_BODY_BYTES):
        raise _too_large(declared[:12].decode())
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large(f"more than {MAX_BODY_BYTES}")
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(given: str) -> Problem:
    return Problem(
        "BODY_TOO_LARGE", "the body is too large", given=f"{given} bytes", allowed=f"at most {MAX_BODY_BYTES} bytes"
    )
