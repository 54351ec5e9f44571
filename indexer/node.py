"""The Ethereum node, seen through the few questions the indexer asks. Bytes and integers come out, never hex.

Owns:     JSON-RPC over HTTP, with batches.
Promises: NodeAway when there is no answer (worth asking again), NodeRefused when the answer is an error.
Never:    retries, sleeps, or decides what an answer means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

from indexer.events import Log

TIMEOUT_SECONDS = 20.0
BATCH_CALLS = 200  # calls in one HTTP request

T = TypeVar("T")


class NodeAway(Exception):
    """No usable answer: connection refused, timeout, a gateway's error page."""


class NodeRefused(Exception):
    """The node answered with an error."""


class Header(NamedTuple):
    """A block's header. `timestamp` in unix seconds."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int


class _WireError(msgspec.Struct):
    message: str = ""
    code: int = 0


class _WireHeader(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str


class _WireLog(msgspec.Struct, rename="camel", gc=False):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str


class _HeaderAnswer(msgspec.Struct):
    id: int | None = None
    result: _WireHeader | None = None
    error: _WireError | None = None


class _LogsAnswer(msgspec.Struct):
    id: int | None = None
    result: list[_WireLog] | None = None
    error: _WireError | None = None


class _TextAnswer(msgspec.Struct):
    id: int | None = None
    result: str | None = None
    error: _WireError | None = None


Answer = TypeVar("Answer", _HeaderAnswer, _LogsAnswer, _TextAnswer)


def _decoders(kind: type[Answer]) -> tuple[msgspec.json.Decoder[Answer], msgspec.json.Decoder[list[Answer]]]:
    return msgspec.json.Decoder(kind), msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]


_HEADERS, _LOGS, _TEXTS = _decoders(_HeaderAnswer), _decoders(_LogsAnswer), _decoders(_TextAnswer)


class Node:
    """One node. Not for several threads at once."""

    def __init__(self, url: str, addresses: Sequence[bytes], *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.url = url
        self._addresses = ["0x" + address.hex() for address in addresses]
        self._http = httpx.Client(timeout=timeout, headers={"content-type": "application/json"})
        self._ids = count(1)

    def close(self) -> None:
        self._http.close()

    def chain_id(self) -> int:
        return int(self._texts([("eth_chainId", [])])[0], 16)

    def latest(self) -> Header:
        header = self._headers(["latest"])[0]
        if header is None:
            raise NodeAway("the node has no latest block")
        return header

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Headers by number; None where the node has no such block."""
        return self._headers([hex(number) for number in numbers])

    def logs_of_blocks(self, headers: Sequence[Header]) -> list[list[Log]]:
        """Our logs of each block, asked for by its hash: exactly that block's or an error, whatever reorgs."""
        calls = [
            ("eth_getLogs", [{"address": self._addresses, "blockHash": "0x" + header.hash.hex()}]) for header in headers
        ]
        return [[log for log, _ in _logs(answer)] for answer in self._ask(calls, _LOGS)]

    def logs_of_range(self, first: int, last: int) -> list[tuple[Log, bytes]]:
        """Our logs of first..last, both included, each with its block's hash."""
        query = {"address": self._addresses, "fromBlock": hex(first), "toBlock": hex(last)}
        return _logs(self._ask([("eth_getLogs", [query])], _LOGS)[0])

    def calls(self, calls: Sequence[tuple[bytes, bytes]], block: int) -> list[bytes]:
        """`eth_call` of (contract, calldata) pairs at a block. Raises NodeRefused for a revert or pruned state."""
        at = hex(block)
        asked = [("eth_call", [{"to": "0x" + to.hex(), "data": "0x" + data.hex()}, at]) for to, data in calls]
        return [bytes.fromhex(text[2:]) for text in self._texts(asked)]

    def storage(self, contract: bytes, slot: int, block: int) -> bytes:
        """The address in a storage slot at a block."""
        text = self._texts([("eth_getStorageAt", ["0x" + contract.hex(), f"0x{slot:064x}", hex(block)])])[0]
        return bytes.fromhex(text[2:]).rjust(32, b"\0")[-20:]

    # ------------------------------------------------------------------ transport

    def _headers(self, names: Sequence[str]) -> list[Header | None]:
        answers = self._ask([("eth_getBlockByNumber", [name, False]) for name in names], _HEADERS)
        return [
            None
            if wire is None
            else Header(
                int(wire.number, 16),
                bytes.fromhex(wire.hash[2:]),
                bytes.fromhex(wire.parent_hash[2:]),
                int(wire.timestamp, 16),
            )
            for wire in (answer.result for answer in answers)
        ]

    def _texts(self, calls: Sequence[tuple[str, list[Any]]]) -> list[str]:
        texts = [answer.result for answer in self._ask(calls, _TEXTS)]
        if None in texts:
            raise NodeAway("the node answered without a result")
        return [text for text in texts if text is not None]

    def _ask(
        self,
        calls: Sequence[tuple[str, list[Any]]],
        decoders: tuple[msgspec.json.Decoder[Answer], msgspec.json.Decoder[list[Answer]]],
    ) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(calls), BATCH_CALLS):
            answers += self._batch(calls[start : start + BATCH_CALLS], decoders)
        return answers

    def _batch(
        self,
        calls: Sequence[tuple[str, list[Any]]],
        decoders: tuple[msgspec.json.Decoder[Answer], msgspec.json.Decoder[list[Answer]]],
    ) -> list[Answer]:
        body = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params} for method, params in calls
        ]
        content = self._post(msgspec.json.encode(body[0] if len(body) == 1 else body))
        one, many = decoders
        try:
            # A node refuses a whole batch with a single object.
            answers = many.decode(content) if content.lstrip()[:1] == b"[" else [one.decode(content)]
        except msgspec.MsgspecError as error:
            raise NodeAway(f"the node's answer is not JSON-RPC: {error}") from error
        for answer in answers:
            if answer.error is not None:
                raise NodeRefused(answer.error.message or f"error {answer.error.code}")
        order = {answer.id: answer for answer in answers}
        try:
            return [order[call["id"]] for call in body]  # type: ignore[index]
        except KeyError:
            raise NodeAway("the node left out answers of a batch") from None

    def _post(self, body: bytes) -> bytes:
        try:
            response = self._http.post(self.url, content=body)
        except httpx.HTTPError as error:
            raise NodeAway(str(error) or type(error).__name__) from error
        if response.status_code != httpx.codes.OK:
            raise NodeAway(f"HTTP {response.status_code}")
        return response.content


def _logs(answer: _LogsAnswer) -> list[tuple[Log, bytes]]:
    if answer.result is None:
        raise NodeAway("the node answered without a list of logs")
    unhex = bytes.fromhex
    return [
        (
            Log(
                int(wire.block_number, 16),
                int(wire.log_index, 16),
                unhex(wire.address[2:]),
                b"".join([unhex(topic[2:]) for topic in wire.topics]),
                unhex(wire.data[2:]),
                unhex(wire.transaction_hash[2:]),
            ),
            unhex(wire.block_hash[2:]),
        )
        for wire in answer.result
    ]
