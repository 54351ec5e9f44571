"""The events of Settlement, decoded by types written here a second time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import decode

from cxdex.keccak import keccak


@dataclass(frozen=True)
class Event:
    name: str
    fields: dict[str, Any]


EVENT_TYPES: dict[bytes, tuple[str, list[tuple[str, str, bool]]]] = {}


def _event(signature: str, names: str) -> None:
    name, _, body = signature.rstrip(")").partition("(")
    kinds = [kind.split(" ") for kind in body.split(",")]
    plain = f"{name}({','.join(kind[0] for kind in kinds)})"
    fields = [(word, kind[0], len(kind) > 1) for word, kind in zip(names.split(), kinds, strict=True)]
    EVENT_TYPES[keccak(plain.encode())] = (name, fields)


_event("Fill(uint256,uint256,uint256)", "maker taker terms")
_event("FillSkipped(uint256,uint256,uint256,uint256)", "maker taker terms reason")
_event("SequenceVoided(bytes32 indexed,uint256,uint256)", "market firstSequence count")
_event("NonceRaised(address indexed,uint256,uint256,uint256)", "account lane seq effectiveAt")
_event("EpochRaised(address indexed,uint256,uint256)", "account epoch effectiveAt")
_event("SessionSet(address indexed,address indexed,bytes32,uint256,uint256)", "account key market notional expiry")
_event("SessionRevoked(address indexed,address indexed)", "account key")
_event("SessionUsed(address indexed,address indexed,uint256)", "account key notionalLeft")
_event("Heartbeat(uint256)", "time")
_event("ProceedsLocked(address indexed,uint256,uint256,uint256)", "account amount balance total")
FILL_EVENTS = ("Fill", "FillSkipped")


def decode_event(topics: Sequence[bytes], data: bytes) -> Event:
    name, fields = EVENT_TYPES[bytes(topics[0])]
    indexed = [f for f in fields if f[2]]
    plain = [f for f in fields if not f[2]]
    values = {word: decode([kind], bytes(topic))[0] for (word, kind, _), topic in zip(indexed, topics[1:], strict=True)}
    values |= dict(zip((f[0] for f in plain), decode([f[1] for f in plain], data), strict=True))
    return Event(name, values)
