"""Requests and responses in the terms of httpx, for both clients alike.

Promises: whatever fails below HTTP is `Unreachable` (the API) or Problem NODE_UNAVAILABLE (the node).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from cxdex.client.errors import Unreachable
from cxdex.client.steps import Answer, Call, NodeCall
from cxdex.problem import Problem

DEFAULT_API = "http://127.0.0.1:8000"
TIMEOUT_SECONDS = 10.0
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=60.0)  # the exchange's: 75


def api_base(url: str) -> str:
    """``http://host:port`` with or without /v1 behind it. Raises Problem API_URL_INVALID."""
    if not url.startswith(("http://", "https://")):
        raise Problem("API_URL_INVALID", "the API's URL must start with http:// or https://", given=url[:200])
    return url.rstrip("/").removesuffix("/v1") + "/v1"


def api_request(base: str, call: Call) -> dict[str, Any]:
    headers = {"accept": "application/json"}
    if call.body is not None:
        headers["content-type"] = "application/json"
    if call.token is not None:
        headers["authorization"] = f"Bearer {call.token}"
    return {
        "method": call.method,
        "url": base + call.path,
        "params": dict(call.query) or None,
        "content": call.body,
        "headers": headers,
    }


def read_api(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.content)


def node_request(rpc_url: str | None, call: NodeCall) -> tuple[str, dict[str, Any]]:
    if rpc_url is None:
        raise Problem(
            "NODE_MISSING", "this needs an Ethereum node", allowed="Exchange(..., rpc_url=...), --rpc or CXDEX_RPC_URL"
        )
    return rpc_url, {"jsonrpc": "2.0", "id": 1, "method": call.method, "params": list(call.params)}


def read_node(response: httpx.Response) -> dict[str, Any]:
    answer = response.json()
    if not isinstance(answer, dict):
        raise ValueError("not a JSON-RPC answer")
    return answer


@contextmanager
def api_failures(base: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{base} does not answer: {str(error) or type(error).__name__}") from None


@contextmanager
def node_failures(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        detail = f"the node at {url} does not answer: {str(error) or type(error).__name__}"
        raise Problem("NODE_UNAVAILABLE", detail) from None
