"""A door between the settler and its node that stays shut at a chosen call: where a crash is to happen, exactly."""

from __future__ import annotations

import json
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class Gate:
    """`shut(method, forward)`: the next call of the method never gets its answer.

    forward  whether the node gets the call before the silence
    """

    def __init__(self, node_url: str) -> None:
        self.reached = Event()
        self._method = ""
        self._forward = False
        self._open = Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                calls = json.loads(body)
                names = {call["method"] for call in (calls if isinstance(calls, list) else [calls])}
                if gate._method in names:
                    if gate._forward:
                        _forward(node_url, body)
                    gate.reached.set()
                    gate._open.wait(120)
                    self.close_connection = True
                    return
                answer = _forward(node_url, body)
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def shut(self, method: str, *, forward: bool) -> None:
        self._method, self._forward = method, forward

    def close(self) -> None:
        self._open.set()
        self._server.shutdown()
        self._server.server_close()


def _forward(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        answer: bytes = response.read()
    return answer
