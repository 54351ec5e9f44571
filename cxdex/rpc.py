"""A small JSON-RPC client for an Ethereum node, shared by every service that talks to one.

Owns:     `JsonRpc`: one connection pool, time limits, retries with back-off when the node does not answer.
Promises: a call ends in the node's result, in `RpcError` (the node answered with an error) or in
          Problem NODE_UNAVAILABLE (it did not answer, after every attempt). Safe to share between threads.
Never:    interprets results, holds a key, or shows more of the URL than its host (the path may be a secret).

Every request may be sent more than once. That is safe for reads and for `eth_sendRawTransaction`, whose
bytes name one transaction for ever; do not use it for methods that act anew each time.

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from cxdex.problem import Problem

Call = tuple[str, Sequence[Any]]

ATTEMPTS = 4
TIMEOUT_SECONDS = 15.0
CONNECT_SECONDS = 3.0
FIRST_DELAY_SECONDS = 0.2
BATCH_LIMIT = 500  # calls in one request; hosted nodes refuse much more
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})


class RpcError(Exception):
    """The node understood the request and refused it. `data` holds revert data when it sent any."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class JsonRpc:
    """One node by URL. Close it, or use it in a `with` statement.

    attempts       how often one request is tried before NODE_UNAVAILABLE; the delay doubles between them
    timeout        seconds to wait for one answer
    """

    def __init__(
        self,
        url: str,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT_SECONDS,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Problem("RPC_URL_INVALID", "the node's URL must be http:// or https://", allowed="http://host:port")
        self.name = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._url = url
        self._attempts = attempts
        self._sleep = sleep
        limits = httpx.Timeout(timeout, connect=CONNECT_SECONDS)
        headers = {"content-type": "application/json"}
        self._client = httpx.Client(timeout=limits, headers=headers, trust_env=not _is_local(parts.hostname))

    def __enter__(self) -> JsonRpc:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """The `result` of one call. Raises RpcError, or Problem NODE_UNAVAILABLE."""
        answer = self._post({"jsonrpc": "2.0", "id": 0, "method": method, "params": list(params)})
        return _result(method, answer)

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results in the order of the calls. Raises the first call's error as RpcError.

        The node may answer the calls at different blocks: name the block in the parameters where it matters.
        """
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_LIMIT):
            results += self._batch_once(calls[start : start + BATCH_LIMIT])
        return results

    def _batch_once(self, calls: Sequence[Call]) -> list[Any]:
        answers = self._post(
            [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
                for number, (method, params) in enumerate(calls)
            ]
        )
        if isinstance(answers, dict):  # a refusal of the whole batch is one object
            _result("batch", answers)
        by_id = {answer.get("id"): answer for answer in answers}
        return [_result(method, by_id.get(number)) for number, (method, _) in enumerate(calls)]

    def _post(self, body: Any) -> Any:
        content = msgspec.json.encode(body)
        delay = FIRST_DELAY_SECONDS
        reason = ""
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(delay)
                delay *= 2
            try:
                response = self._client.post(self._url, content=content)
            except httpx.HTTPError as error:
                reason = type(error).__name__
                continue
            if response.status_code in RETRIED_STATUSES:
                reason = f"HTTP {response.status_code}"
                continue
            try:
                return msgspec.json.decode(response.content)
            except msgspec.DecodeError:
                reason = f"HTTP {response.status_code}, not JSON"
        raise Problem(
            "NODE_UNAVAILABLE",
            f"the node at {self.name} does not answer ({reason}, {self._attempts} attempts)",
            allowed="start the node, or pass the URL of a running one with --rpc",
        )


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise RpcError(method, -32603, "the node left this call unanswered")
    error = answer.get("error")
    if error is not None:
        raise RpcError(method, int(error.get("code", -32603)), str(error.get("message", "")), error.get("data"))
    return answer.get("result")


def _is_local(host: str) -> bool:
    """A proxy in the environment is for the outside world, not for a node on this machine."""
    return host in ("localhost", "127.0.0.1", "::1")
