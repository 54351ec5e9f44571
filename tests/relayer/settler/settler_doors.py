"""Doors to one node that can be shut, or show the chain as it was: several nodes of one chain, at will."""

from __future__ import annotations

import json
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cxdex.batch import encode_settle_batch

_SETTLE = "0x" + encode_settle_batch([])[:4].hex()


def _is_rehearsal(call: dict[str, Any]) -> bool:
    """Whether it asks what a batch would do."""
    return call["method"] in ("eth_call", "eth_estimateGas") and call["params"][0]["data"].startswith(_SETTLE)


class Door:
    """`sent`: the transactions that came through here. Shut: 503. Frozen: blocks above `frozen_at` are not there.

    claims: the number of the newest block, whatever the node says. flatters: every batch simulates well here."""

    def __init__(self, node_url: str) -> None:
        self.is_shut = False
        self.frozen_at: int | None = None
        self.claims: int | None = None
        self.flatters = False
        self.sent: list[str] = []
        self._node_url = node_url
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = (503, b"") if door.is_shut else (200, door._answer(body))
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def freeze(self) -> None:
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
        self.frozen_at = int(json.loads(self._forward(call))["result"], 16)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, body: bytes) -> bytes:
        parsed = json.loads(body)
        calls = parsed if isinstance(parsed, list) else [parsed]
        self.sent += [call["params"][0] for call in calls if call["method"] == "eth_sendRawTransaction"]
        if self.flatters and not isinstance(parsed, list) and _is_rehearsal(parsed):
            return json.dumps({"jsonrpc": "2.0", "id": parsed["id"], "result": hex(3_000_000)}).encode()
        if self.claims is not None and not isinstance(parsed, list) and parsed["params"][:1] == ["latest"]:
            answer: dict[str, Any] = json.loads(self._forward(body))
            if parsed["method"] == "eth_getBlockByNumber":
                answer["result"]["number"] = hex(self.claims)
            return json.dumps(answer).encode()
        if self.frozen_at is None:
            return self._forward(body)
        answers = [self._as_it_was(call) for call in calls]
        return json.dumps(answers if isinstance(parsed, list) else answers[0]).encode()

    def _as_it_was(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self.frozen_at is not None
        old = [hex(self.frozen_at) if one in ("latest", "pending") else one for one in call["params"]]
        answer: dict[str, Any] = json.loads(self._forward(json.dumps(call | {"params": old}).encode()))
        result = answer.get("result")
        if call["method"] == "eth_blockNumber":
            answer["result"] = hex(self.frozen_at)
        elif isinstance(result, dict) and int(result.get("blockNumber") or result.get("number") or "0x0", 16) > (
            self.frozen_at
        ):
            answer["result"] = None
        return answer

    def _forward(self, body: bytes) -> bytes:
        request = urllib.request.Request(self._node_url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as response:
            answer: bytes = response.read()
        return answer
