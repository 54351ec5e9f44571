"""The server's side of an HTTP connection, with bounds on what may come before an application sees it.

Owns:     what uvicorn's protocol lacks: how large a request may be before it is whole, and how long it may take.
Promises: memory that a connection holds is bounded from its first byte on. One on which a request does not come whole
          in time, or whose client does not read an answer, is closed. A request that comes in one piece, as those of
          programs do, costs two comparisons more.
Never:    looks into a request, or cuts an answer short that is still being made.
"""

from __future__ import annotations

from asyncio import TimerHandle
from asyncio.transports import Transport

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.middleware import MAX_BODY_BYTES
from api.problems import MEDIA_TYPE, problem_document
from cxdex.problem import Problem

MAX_HEAD_BYTES = 64 * 1024  # what comes in one piece with the last of it, some 100 KiB, may be more
MAX_REQUEST_BYTES = MAX_HEAD_BYTES + 4 * MAX_BODY_BYTES  # as it travels: a body may come in small chunks
REQUEST_SECONDS = 30.0
UNREAD_SECONDS = 60.0  # for the client to read some of what is more than the kernel keeps


class RequestSocket(HttpToolsProtocol):
    """For `uvicorn.Config(http=...)`."""

    _is_coming = False  # some of a request is here, and not all
    _is_head = False
    _has_begun = False
    _size = 0
    _late: TimerHandle | None = None
    _unread: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self._is_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_begun = False
        super().data_received(data)
        if self._is_coming:
            self._take(len(data))
        elif self._late is not None:
            self._rest()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_coming = self._is_head = self._has_begun = True
        self._size = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_coming = False

    def handle_websocket_upgrade(self) -> None:
        self._is_coming = False
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_read()

    def _take(self, size: int) -> None:
        if not self._has_begun:  # else nobody knows how much of it is of the request before
            self._size += size
        most = MAX_HEAD_BYTES if self._is_head else MAX_REQUEST_BYTES
        if self._size > most:
            code = "HEAD_TOO_LARGE" if self._is_head else "BODY_TOO_LARGE"
            self._refuse(Problem(code, "the request is too large", allowed=f"at most {most} bytes"))
        elif self._late is None:
            self._expect()

    def _expect(self) -> None:
        self._late = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _rest(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        self._late = None
        if self.flow.read_paused or (self._is_head and self._is_answering):
            self._expect()  # it is we who are slow
        elif self._is_coming:
            allowed = f"{REQUEST_SECONDS:g} s for the whole of it"
            self._refuse(Problem("REQUEST_TIMEOUT", "the request did not come to its end", allowed=allowed))
        else:
            self.transport.close()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """Ends the connection, with the reason where an answer would stand."""
        if self.transport.is_closing():
            return
        if not (self._is_answering if self._is_head else self.cycle.response_started):
            document = problem_document(problem)
            body = msgspec.json.encode(document)
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[document["status"]] + head.encode() + body)
        self.transport.close()
