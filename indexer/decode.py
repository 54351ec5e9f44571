"""Logs to events: byte slices at fixed offsets, because a general ABI decoder costs ten times as much.

Owns:     which event each (contract, topic) is, and where each field stands in its words.
Promises: `Decoder.decode` agrees with the ABIs in cxdex/abi (tests hold it to eth-abi, field by field). A log
          with a wrong length, or of an event nobody has told us about, is a Halt and never a guess.
Never:    does I/O or keeps state.

Fields stand right-aligned in 32-byte words. Those of a fill are packed: the words `maker` and `taker` are kept as they
are (`cxdex.order_word`), `terms` is laid out as `cxdex.batch.unpack_fill` says. Its two fees are whole bytes and read
as such; the rest, the lowest 20 bytes, is a number to shift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cxdex.deployment import Deployment
from cxdex.keccak import keccak
from indexer import events
from indexer.event_list import EVENTS, NOTICES, PROXIES, PROXY_NOTICES
from indexer.events import Event, Log
from indexer.halt import Halt

WORD = 32

# Where a part of a fill's terms begins, in bits, and how wide it is.
_PRICE, _SEQUENCE, _MARKET, _TAKER_BUYS = 39, 103, 143, 159
_MASK_39, _MASK_40, _MASK_64 = 2**39 - 1, 2**40 - 1, 2**64 - 1

Read = Callable[[bytes, bytes], Event]  # (topics, data) -> event

_int = int.from_bytes


class Reader(NamedTuple):
    """How the logs of one event are read: bytes of topics, least bytes of data."""

    topic_bytes: int
    data_bytes: int
    read: Read


class _TooShort(Exception):
    """A dynamic value reaches past the data."""


def _fill(_topics: bytes, d: bytes) -> Event:
    terms = _int(d[76:96], "big")
    return events.Fill(
        d[0:32],
        d[32:64],
        terms >> _MARKET & 0xFFFF,
        terms >> _SEQUENCE & _MASK_40,
        terms >> _TAKER_BUYS != 0,
        terms >> _PRICE & _MASK_64,
        terms & _MASK_39,
        _int(d[64:70], "big"),
        _int(d[70:76], "big"),
    )


def _fill_skipped(_topics: bytes, d: bytes) -> Event:
    terms = _int(d[76:96], "big")
    return events.FillSkipped(
        d[0:32],
        d[32:64],
        terms >> _MARKET & 0xFFFF,
        terms >> _SEQUENCE & _MASK_40,
        terms >> _TAKER_BUYS != 0,
        terms >> _PRICE & _MASK_64,
        terms & _MASK_39,
        _int(d[96:128], "big"),
    )


_PACKED: dict[type[Event], Read] = {events.Fill: _fill, events.FillSkipped: _fill_skipped}


# ------------------------------------------------------------------ fields


def _uint(words: bytes, at: int) -> int:
    return _int(words[at : at + WORD], "big")


def _address(words: bytes, at: int) -> bytes:
    return words[at + 12 : at + WORD]


def _bytes32(words: bytes, at: int) -> bytes:
    return words[at : at + WORD]


def _bool(words: bytes, at: int) -> bool:
    return words[at + WORD - 1] != 0


def _bytes(words: bytes, at: int) -> bytes:
    """A dynamic value whose offset stands in the word."""
    start = _uint(words, at) + WORD
    length = _int(words[start - WORD : start], "big")
    if start + length > len(words):
        raise _TooShort
    return words[start : start + length]


def _string(words: bytes, at: int) -> str:
    return _bytes(words, at).decode()


_FIELDS: dict[str, Callable[[bytes, int], Any]] = {
    "uint256": _uint,
    "address": _address,
    "bytes32": _bytes32,
    "bool": _bool,
    "bytes": _bytes,
    "string": _string,
}


class Field(NamedTuple):
    """One parameter of an event."""

    type: str
    indexed: bool
    name: str


def parse(text: str) -> list[Field]:
    """Fields of "account address*, amount uint256": name, type, and a star for an indexed one."""
    fields = []
    for part in filter(None, text.split(", ")):
        name, kind = part.split(" ")
        fields.append(Field(kind.rstrip("*"), kind.endswith("*"), name))
    return fields


def signature(name: str, fields: list[Field]) -> str:
    return f"{name}({','.join(field.type for field in fields)})"


def _reader(fields: list[Field], make: Callable[..., Event]) -> Reader:
    """Reads the fields in the order of the ABI and makes an event of them."""
    topics = [(number, field) for number, field in enumerate(fields) if field.indexed]
    words = [(number, field) for number, field in enumerate(fields) if not field.indexed]
    from_topics = [(number, _FIELDS[field.type], place * WORD) for place, (number, field) in enumerate(topics, 1)]
    from_data = [(number, _FIELDS[field.type], place * WORD) for place, (number, field) in enumerate(words)]
    count = len(fields)

    def read(topic_bytes: bytes, data: bytes) -> Event:
        values: list[Any] = [None] * count
        for number, field, at in from_topics:
            values[number] = field(topic_bytes, at)
        for number, field, at in from_data:
            values[number] = field(data, at)
        return make(*values)

    dynamic = sum(field.type in ("bytes", "string") for _, field in words)
    return Reader((1 + len(topics)) * WORD, (len(words) + dynamic) * WORD, read)


def _notice(contract: str, name: str, fields: list[Field]) -> Callable[..., Event]:
    names = [field.name for field in fields]
    return lambda *values: events.Notice(contract, name, tuple(zip(names, values, strict=True)))


def _readers() -> Iterator[tuple[str, str, Reader]]:
    """(contract, signature, reader) of every event that the contracts have."""
    for contract, kind, text in EVENTS:
        fields = parse(text)
        reader = _reader(fields, kind)
        if kind in _PACKED:
            reader = reader._replace(read=_PACKED[kind])
        yield contract, signature(kind.__name__, fields), reader
    proxied = [(contract, name, text) for contract in PROXIES for name, text in PROXY_NOTICES]
    for contract, name, text in (*NOTICES, *proxied):
        fields = parse(text)
        yield contract, signature(name, fields), _reader(fields, _notice(contract, name, fields))


_READERS = tuple(_readers())

SOURCES = tuple(dict.fromkeys(contract for contract, *_ in _READERS))


class Decoder:
    """Decodes the logs of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.addresses = tuple(deployment.contracts[name] for name in SOURCES)
        self._names = {deployment.contracts[name]: name for name in SOURCES}
        self._readers = {
            deployment.contracts[contract] + keccak(text.encode()): reader for contract, text, reader in _READERS
        }

    def knows(self, address: bytes, topic: bytes) -> bool:
        """Whether the contract at the address has this event. `topic`: the first one, 32 bytes."""
        return address + topic in self._readers

    def decode(self, log: Log) -> Event:
        """The event. Raises Halt EVENT_UNKNOWN or EVENT_MALFORMED."""
        known = self._readers.get(log.address + log.topics[:WORD])
        if known is None:
            raise Halt(
                "EVENT_UNKNOWN",
                f"{self._names.get(log.address, 'an unknown contract')} at 0x{log.address.hex()} emitted an event that "
                f"this indexer does not know (block {log.block}, log {log.log_index}, 0x{log.topics[:WORD].hex()})",
                allowed="update the indexer, then run `python -m indexer rebuild --from-raw`",
            )
        topic_bytes, data_bytes, read = known
        if len(log.topics) != topic_bytes or len(log.data) < data_bytes:
            raise Halt(
                "EVENT_MALFORMED",
                f"block {log.block}, log {log.log_index}: {len(log.topics)} bytes of topics and {len(log.data)} "
                f"of data, not {topic_bytes} and at least {data_bytes}",
            )
        try:
            return read(log.topics, log.data)
        except (_TooShort, UnicodeDecodeError) as error:
            raise Halt(
                "EVENT_MALFORMED", f"block {log.block}, log {log.log_index}: a text or bytes that ends nowhere"
            ) from error
