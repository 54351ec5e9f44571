"""Events written as logs, the other way round than the decoder: by the ABIs and eth-abi. And chains made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eth_abi import encode

from cxdex.abi import load_abi
from cxdex.deployment import CONTRACTS, Deployment
from cxdex.eip712 import market_hash
from cxdex.keccak import keccak
from indexer import events
from indexer.decode import SOURCES
from indexer.event_list import EVENTS, PROXIES
from indexer.events import Event, Log
from indexer.node import Header
from indexer.source import Block, Chunk

DEPLOYMENT = Deployment(31337, 1, {name: keccak(name.encode())[:20] for name in CONTRACTS})
BASE = Header(0, keccak(b"base"), bytes(32), 1_800_000_000)
SECONDS_PER_BLOCK = 7


def abi_events() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every event of the contracts that the indexer reads, with those of the proxies that they stand behind."""
    for contract in SOURCES:
        for entry in [*load_abi(contract), *(load_abi("Proxy") if contract in PROXIES else [])]:
            if entry["type"] == "event":
                yield contract, entry


def abi_log(contract: str, entry: dict[str, Any], values: Sequence[Any], block: int = 1, log_index: int = 0) -> Log:
    """A log with these values in ABI order. Addresses and hashes are bytes."""
    types = [item["type"] for item in entry["inputs"]]
    texts = ["0x" + v.hex() if t == "address" else v for t, v in zip(types, values, strict=True)]
    topics = keccak(f"{entry['name']}({','.join(types)})".encode())
    plain_types, plain_values = [], []
    for item, value in zip(entry["inputs"], texts, strict=True):
        if item["indexed"]:
            topics += encode([item["type"]], [value])
        else:
            plain_types.append(item["type"])
            plain_values.append(value)
    data = encode(plain_types, plain_values)
    return Log(block, log_index, DEPLOYMENT.contracts[contract], topics, data, keccak(b"%d/%d" % (block, log_index)))


_ENTRIES = {(contract, entry["name"]): entry for contract, entry in abi_events()}
_CONTRACT_OF = {kind: contract for contract, kind, _ in EVENTS}


def event_log(event: Event, block: int, log_index: int) -> Log:
    name = event.name if isinstance(event, events.Notice) else type(event).__name__
    contract = event.contract if isinstance(event, events.Notice) else _CONTRACT_OF[type(event)]
    return abi_log(contract, _ENTRIES[contract, name], abi_values(event), block, log_index)


def abi_values(event: Event) -> list[Any]:
    """The event's fields in ABI order; a fill's are packed into its words."""
    if isinstance(event, events.Notice):
        return [value for _, value in event.values]
    if not isinstance(event, events.Fill | events.FillSkipped):
        return [getattr(event, field) for field in event.__struct_fields__]
    terms = (
        event.quantity
        | event.price << 39
        | event.sequence << 103
        | event.market_index << 143
        | int(event.taker_is_buyer) << 159
    )
    orders = [int.from_bytes(word, "big") for word in (event.maker_order, event.taker_order)]
    if isinstance(event, events.Fill):
        return [*orders, terms | event.taker_fee << 160 | event.maker_fee << 208]
    return [*orders, terms, event.reason]


def chain(blocks: Sequence[Sequence[Event]], after: Header = BASE, fork: bytes = b"") -> list[Block]:
    """Blocks holding these events, on top of `after`. Another `fork` gives other hashes."""
    made: list[Block] = []
    parent = after
    for content in blocks:
        number = parent.number + 1
        header = Header(
            number, keccak(parent.hash + fork + b"block"), parent.hash, parent.timestamp + SECONDS_PER_BLOCK
        )
        made.append(Block(header, [event_log(event, number, index) for index, event in enumerate(content)]))
        parent = header
    return made


def chunk(blocks: Sequence[Block]) -> Chunk:
    return Chunk(list(blocks), blocks[-1].header)


def listing(symbol: str = "sBTC-USDC", index: int = 1, asset: int = 2) -> list[Event]:
    """A synth and its market, open. Lots of 1e14, 10 units of quote per lot and tick, 25 bps each side."""
    name = symbol.partition("-")[0]
    return [
        events.SynthRegistered(asset, keccak(name.encode())[:20]),
        events.SynthCreated(keccak(name.encode())[:20], asset, "Synthetic " + name, name),
        events.MarketListed(market_hash(symbol), symbol, index, 0, asset, 14, 10, 1, 25, 25),
        events.MarketStatusChanged(market_hash(symbol), 1, 2),
    ]
