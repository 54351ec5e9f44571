"""Frames on the engine's socket: 4-byte big-endian length, then msgspec JSON (see `wire`).

Never: does I/O. Both ends use it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cxdex.problem import Problem
from relayer.wire import MAX_FRAME_BYTES, WireProblem

LENGTH_BYTES = 4

_encoder = msgspec.json.Encoder()


def encode_frame(message: msgspec.Struct) -> bytes:
    """Raises BODY_TOO_LARGE when the other end would refuse it."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise Problem(
            "BODY_TOO_LARGE",
            "the message does not fit into one frame; ask for less at a time",
            given=f"{len(body)} bytes",
            allowed=f"{MAX_FRAME_BYTES} bytes",
        )
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameReader:
    """Collects bytes as they come and hands out whole frames."""

    def __init__(self) -> None:
        self._rest = bytearray()  # of a frame that has not come whole
        self._wanted = 0  # bytes until it may be

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete now. Raises BODY_TOO_LARGE; the connection is useless after that."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start, size = 0, len(data)
        while True:
            body = start + LENGTH_BYTES
            if body > size:
                self._wanted = LENGTH_BYTES
                break
            length = int.from_bytes(data[start:body], "big")
            if length > MAX_FRAME_BYTES:
                raise Problem(
                    "BODY_TOO_LARGE", "the frame is too long", given=str(length), allowed=str(MAX_FRAME_BYTES)
                )
            if body + length > size:
                self._wanted = LENGTH_BYTES + length
                break
            start = body + length
            yield data[body:start]
        self._rest += data[start:]


def wire_problem(problem: Problem) -> WireProblem:
    return WireProblem(problem.code, problem.detail, problem.field, problem.given, problem.allowed)


def problem_from_wire(problem: WireProblem) -> Problem:
    return Problem(problem.code, problem.detail, field=problem.field, given=problem.given, allowed=problem.allowed)
