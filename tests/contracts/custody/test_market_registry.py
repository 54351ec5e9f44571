"""Markets: terms for ever, a status that only some may change and that ends at DELISTED."""

from __future__ import annotations

import pytest
from custody_world import ADMIN, ALICE, CORE, GATEWAY, GUARDIAN, SBTC, SETH, World

from cxdex.eip712 import market_hash
from cxdex.market import MarketKind, MarketStatus

PAUSED, ACTIVE, DELISTED, SETTLED = (
    MarketStatus.PAUSED,
    MarketStatus.ACTIVE,
    MarketStatus.DELISTED,
    MarketStatus.SETTLED,
)
TERMS = ("sBTC-NEW", MarketKind.SPOT, SBTC, 14, 10, 3, 20, 30)
NEW = market_hash("sBTC-NEW")


def terms_with(**changes: object) -> list[object]:
    names = ("symbol", "kind", "asset", "lot", "tick", "min_lots", "maker_fee", "taker_fee")
    return [changes.get(name, value) for name, value in zip(names, TERMS, strict=True)]


def test_a_listing_says_its_terms_and_starts_paused(world: World) -> None:
    name, fields = world.events(world.registry.send(GATEWAY, "listMarket", *TERMS))[-1]

    assert name == "MarketListed"
    assert fields == {
        "market": NEW,
        "symbol": "sBTC-NEW",
        "index": 3,
        "kind": 0,
        "baseAsset": SBTC,
        "lotExponent": 14,
        "quotePerLotTick": 10,
        "minLots": 3,
        "makerFeeBps": 20,
        "takerFeeBps": 30,
    }
    assert world.registry.call("statusOf", NEW) == PAUSED
    assert world.registry.call("marketAt", 3) == NEW
    assert world.registry.call("marketCount") == 3


def test_the_packed_word_holds_the_terms_where_settlement_reads_them(world: World) -> None:
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    word = world.settlement.call("marketWord", NEW)
    fields = {}
    for name, bits in (
        ("fees", 80), ("sequence", 40), ("tick", 32), ("min_lots", 24), ("lot", 8),
        ("asset", 16), ("index", 16), ("taker_fee", 16), ("maker_fee", 16), ("status", 8),
    ):  # fmt: skip
        fields[name], word = word & (2**bits - 1), word >> bits
    assert fields == {
        "fees": 0, "sequence": 0, "tick": 10, "min_lots": 3, "lot": 14,
        "asset": SBTC, "index": 3, "taker_fee": 30, "maker_fee": 20, "status": PAUSED,
    }  # fmt: skip


def test_attack_73_a_symbol_is_listed_once_and_never_with_other_terms(world: World, refuses) -> None:
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    for terms in (TERMS, terms_with(asset=SETH)):
        with refuses("M:LISTED"):
            world.registry.send(GATEWAY, "listMarket", *terms)
    world.registry.send(ADMIN, "setStatus", NEW, DELISTED)
    with refuses("M:LISTED"):
        world.registry.send(GATEWAY, "listMarket", *TERMS)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": ""}, "M:SYMBOL"),
        ({"symbol": "sBTC USDC"}, "M:SYMBOL"),
        ({"symbol": "sBTC-USD\u0421"}, "M:SYMBOL"),
        ({"symbol": "sBTC-USDC\n"}, "M:SYMBOL"),
        ({"symbol": "sBTC\x7f"}, "M:SYMBOL"),
        ({"kind": 1}, "M:KIND"),
        ({"asset": 0}, "M:ASSET"),
        ({"asset": 1}, "M:ASSET"),
        ({"asset": 4}, "M:ASSET"),
        ({"asset": 2**16 + SBTC}, "M:ASSET"),
        ({"lot": 19}, "M:LOT"),
        ({"min_lots": 0}, "M:LOT"),
        ({"min_lots": 2**24}, "M:LOT"),
        ({"tick": 0}, "M:TICK"),
        ({"tick": 2**32}, "M:TICK"),
        ({"maker_fee": 26, "taker_fee": 25}, "M:FEE"),
        ({"maker_fee": 2**256 - 1, "taker_fee": 2}, "M:FEE"),
        ({"maker_fee": 2, "taker_fee": 2**256 - 1}, "M:FEE"),
    ],
)
def test_terms_that_make_no_market_are_refused(world: World, refuses, changes: dict, code: str) -> None:
    with refuses(code):
        world.registry.send(GATEWAY, "listMarket", *terms_with(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "s" * 32},
        {"lot": 0, "tick": 2**32 - 1},
        {"lot": 18},
        {"min_lots": 2**24 - 1},
        {"maker_fee": 50, "taker_fee": 0},
        {"maker_fee": 0, "taker_fee": 50},
    ],
)
def test_the_extremes_that_fit_are_accepted(world: World, changes: dict) -> None:
    world.registry.send(GATEWAY, "listMarket", *terms_with(**changes))


@pytest.mark.parametrize(
    ("caller", "start", "to", "code"),
    [
        (ADMIN, PAUSED, ACTIVE, None),
        (ADMIN, ACTIVE, PAUSED, None),
        (ADMIN, PAUSED, DELISTED, None),
        (ADMIN, ACTIVE, DELISTED, None),
        (GUARDIAN, ACTIVE, PAUSED, None),
        (GUARDIAN, PAUSED, ACTIVE, "M:ROLE"),
        (GUARDIAN, ACTIVE, DELISTED, "M:ROLE"),
        (GUARDIAN, PAUSED, DELISTED, "M:ROLE"),
        (GATEWAY, ACTIVE, PAUSED, "M:ROLE"),
        (CORE, ACTIVE, PAUSED, "M:ROLE"),
        (ALICE, ACTIVE, PAUSED, "M:ROLE"),
        (ADMIN, PAUSED, PAUSED, "M:STATUS"),
        (ADMIN, ACTIVE, ACTIVE, "M:STATUS"),
        (ADMIN, ACTIVE, 0, "M:STATUS"),
        (ADMIN, ACTIVE, SETTLED, "M:STATUS"),
        (ADMIN, ACTIVE, 257, "M:STATUS"),
        (ADMIN, DELISTED, ACTIVE, "M:STATUS"),
        (ADMIN, DELISTED, PAUSED, "M:STATUS"),
        (GUARDIAN, DELISTED, PAUSED, "M:STATUS"),
    ],
)
def test_the_status_machine(world: World, refuses, caller: bytes, start: int, to: int, code: str | None) -> None:
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    if start != PAUSED:
        world.registry.send(ADMIN, "setStatus", NEW, start)
    if code is not None:
        with refuses(code):
            world.registry.send(caller, "setStatus", NEW, to)
        assert world.registry.call("statusOf", NEW) == start
        return
    logs = world.registry.send(caller, "setStatus", NEW, to)
    assert world.events(logs)[-1] == ("MarketStatusChanged", {"market": NEW, "previous": start, "status": to})
    assert world.registry.call("statusOf", NEW) == to


def test_a_market_that_does_not_exist_has_no_status(world: World, refuses) -> None:
    assert world.registry.call("statusOf", NEW) == MarketStatus.UNLISTED
    with refuses("M:UNKNOWN"):
        world.registry.send(ADMIN, "setStatus", NEW, ACTIVE)
