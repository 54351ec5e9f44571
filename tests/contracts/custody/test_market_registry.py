"""Markets: terms for ever, a status that only some may change and that ends at DELISTED."""

from __future__ import annotations

import pytest
from custody_world import ADMIN, ALICE, CORE, GATEWAY, GUARDIAN, SBTC, SETH, STRANGER, World

from cxdex.eip712 import market_hash
from cxdex.market import MarketKind, MarketStatus
from scripts.storage_layout import FOLDER, checked_in

PAUSED, ACTIVE, DELISTED, SETTLED = (
    MarketStatus.PAUSED,
    MarketStatus.ACTIVE,
    MarketStatus.DELISTED,
    MarketStatus.SETTLED,
)
TERMS = ("sBTC-NEW", MarketKind.SPOT, SBTC, 14, 10, 3, 20, 30)
NEW = market_hash("sBTC-NEW")
TIMELOCK = b"the Timelock"  # stands for its address, which a World knows
HOUR = 3600
MAX_PAUSE = 72 * HOUR
PAUSE_INTERVAL = 30 * 24 * HOUR


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
    world.registry.send(world.timelock.address, "setStatus", NEW, DELISTED)
    with refuses("M:LISTED"):
        world.registry.send(GATEWAY, "listMarket", *TERMS)


def test_there_is_room_for_65535_markets(world: World, refuses) -> None:
    (count,) = [one for one in checked_in(FOLDER)["MarketRegistry"] if one["name"] == "marketCount"]
    world.evm.set_storage(world.registry.address, int(count["slot"], 16), 2**16 - 2)
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    assert world.registry.call("marketAt", 2**16 - 1) == NEW
    with refuses("M:FULL"):
        world.registry.send(GATEWAY, "listMarket", *terms_with(symbol="sBTC-MORE"))


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
        (GUARDIAN, ACTIVE, PAUSED, None),
        (TIMELOCK, PAUSED, ACTIVE, None),
        (TIMELOCK, ACTIVE, PAUSED, None),
        (TIMELOCK, PAUSED, DELISTED, None),
        (TIMELOCK, ACTIVE, DELISTED, None),
        (ADMIN, ACTIVE, PAUSED, "M:ROLE"),
        (ADMIN, PAUSED, DELISTED, "M:ROLE"),
        (ADMIN, ACTIVE, DELISTED, "M:ROLE"),
        (GUARDIAN, PAUSED, ACTIVE, "M:ROLE"),
        (GUARDIAN, ACTIVE, DELISTED, "M:ROLE"),
        (GUARDIAN, PAUSED, DELISTED, "M:ROLE"),
        (GATEWAY, ACTIVE, PAUSED, "M:ROLE"),
        (CORE, ACTIVE, PAUSED, "M:ROLE"),
        (ALICE, ACTIVE, PAUSED, "M:ROLE"),
        (ADMIN, ACTIVE, ACTIVE, "M:STATUS"),
        (GUARDIAN, PAUSED, PAUSED, "M:STATUS"),
        (TIMELOCK, PAUSED, PAUSED, "M:STATUS"),
        (TIMELOCK, ACTIVE, ACTIVE, "M:STATUS"),
        (TIMELOCK, ACTIVE, 0, "M:STATUS"),
        (TIMELOCK, ACTIVE, SETTLED, "M:STATUS"),
        (TIMELOCK, ACTIVE, 257, "M:STATUS"),
        (TIMELOCK, DELISTED, ACTIVE, "M:STATUS"),
        (TIMELOCK, DELISTED, PAUSED, "M:STATUS"),
        (ADMIN, DELISTED, ACTIVE, "M:STATUS"),
        (GUARDIAN, DELISTED, PAUSED, "M:STATUS"),
    ],
)
def test_the_status_machine(world: World, refuses, caller: bytes, start: int, to: int, code: str | None) -> None:
    timelock = world.timelock.address
    sender = timelock if caller == TIMELOCK else caller
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    if start != PAUSED:
        world.registry.send(timelock, "setStatus", NEW, start)
    if code is not None:
        with refuses(code):
            world.registry.send(sender, "setStatus", NEW, to)
        assert world.registry.call("statusOf", NEW) == start
        return
    logs = world.registry.send(sender, "setStatus", NEW, to)
    assert world.events(logs)[-1] == ("MarketStatusChanged", {"market": NEW, "previous": start, "status": to})
    assert world.registry.call("statusOf", NEW) == to


# ------------------------------------------------------------------ a pause that cannot last


@pytest.fixture
def open_market(world: World) -> bytes:
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    world.registry.send(ADMIN, "setStatus", NEW, ACTIVE)
    return NEW


def pause(world: World, sender: bytes = GUARDIAN) -> list:
    return world.events(world.registry.send(sender, "setStatus", NEW, PAUSED))


def test_anyone_reopens_72_hours_after_guardians_pause_and_not_a_second_earlier(
    world: World, open_market: bytes, refuses
) -> None:
    now = world.evm.now
    (name, fields), _ = pause(world)
    assert name == "MarketPaused"
    assert fields == {"market": NEW, "endsAt": now + MAX_PAUSE, "nextPauseFrom": now + PAUSE_INTERVAL}
    assert world.registry.call("marketPauseEndsAt", NEW) == now + MAX_PAUSE
    world.evm.advance(MAX_PAUSE - 1)
    with refuses("M:EARLY"):
        world.registry.send(STRANGER, "reopen", NEW)
    world.evm.advance(1)
    logs = world.events(world.registry.send(STRANGER, "reopen", NEW))
    assert logs[-1] == ("MarketStatusChanged", {"market": NEW, "previous": PAUSED, "status": ACTIVE})
    assert world.registry.call("marketPauseEndsAt", NEW) == 0
    with refuses("M:STATUS"):
        world.registry.send(STRANGER, "reopen", NEW)


def test_guardian_pauses_a_market_once_in_thirty_days(world: World, open_market: bytes, refuses) -> None:
    pause(world)
    world.registry.send(ADMIN, "setStatus", NEW, ACTIVE)  # early
    assert world.registry.call("marketPauseEndsAt", NEW) == 0
    world.evm.advance(PAUSE_INTERVAL - 1)
    with refuses("M:SOON"):
        pause(world)
    world.evm.advance(1)
    pause(world)


def test_the_pause_of_one_market_is_not_that_of_another(world: World, open_market: bytes) -> None:
    pause(world)
    world.registry.send(GUARDIAN, "setStatus", market_hash("sBTC-USDC"), PAUSED)


def test_admin_lets_guardian_pause_again(world: World, open_market: bytes, refuses) -> None:
    pause(world)
    world.registry.send(ADMIN, "setStatus", NEW, ACTIVE)
    for caller in (GUARDIAN, STRANGER):
        with refuses("R:ADMIN"):
            world.registry.send(caller, "allowMarketPause", NEW)
    logs = world.registry.send(ADMIN, "allowMarketPause", NEW)
    assert world.events(logs) == [("MarketPauseAllowed", {"market": NEW})]
    assert world.registry.call("nextMarketPauseFrom", NEW) == 0
    pause(world)


def test_only_the_timelock_keeps_a_market_closed(world: World, open_market: bytes, refuses) -> None:
    """GUARDIAN's pause has an end; the Timelock takes the end away, a day after it said so."""
    pause(world)
    timelock = world.timelock.address
    world.registry.send(timelock, "setStatus", NEW, PAUSED)
    world.evm.advance(2 * MAX_PAUSE)
    with refuses("M:STATUS"):
        world.registry.send(STRANGER, "reopen", NEW)
    with refuses("M:STATUS"):
        world.registry.send(timelock, "setStatus", NEW, PAUSED)
    world.registry.send(ADMIN, "setStatus", NEW, ACTIVE)


def test_a_market_that_was_never_opened_is_opened_by_admin_alone(world: World, refuses) -> None:
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    world.evm.advance(2 * MAX_PAUSE)
    with refuses("M:STATUS"):
        world.registry.send(STRANGER, "reopen", NEW)


def test_delisting_ends_a_pause_for_good(world: World, open_market: bytes, refuses) -> None:
    pause(world)
    world.registry.send(world.timelock.address, "setStatus", NEW, DELISTED)
    world.evm.advance(MAX_PAUSE)
    with refuses("M:STATUS"):
        world.registry.send(STRANGER, "reopen", NEW)


def test_guardian_stops_listings_for_a_while(world: World, refuses) -> None:
    for duration in (0, MAX_PAUSE + 1):
        with refuses("B:RANGE"):
            world.registry.send(GUARDIAN, "pause", duration)
    world.registry.send(GUARDIAN, "pause", MAX_PAUSE)
    world.evm.advance(MAX_PAUSE - 1)
    with refuses("B:PAUSED"):
        world.registry.send(GATEWAY, "listMarket", *TERMS)
    world.evm.advance(1)
    world.registry.send(GATEWAY, "listMarket", *TERMS)
    with refuses("B:SOON"):
        world.registry.send(GUARDIAN, "pause", 1)


def test_admin_ends_a_pause_of_listings(world: World, refuses) -> None:
    with refuses("B:GUARDIAN"):
        world.registry.send(ADMIN, "pause", 1)
    world.registry.send(GUARDIAN, "pause", MAX_PAUSE)
    with refuses("B:RELEASER"):
        world.registry.send(GATEWAY, "resume")
    world.registry.send(ADMIN, "resume")
    world.registry.send(GATEWAY, "listMarket", *TERMS)


def test_a_market_that_does_not_exist_has_no_status(world: World, refuses) -> None:
    assert world.registry.call("statusOf", NEW) == MarketStatus.UNLISTED
    with refuses("M:UNKNOWN"):
        world.registry.send(ADMIN, "setStatus", NEW, ACTIVE)
    with refuses("M:UNKNOWN"):
        world.registry.send(STRANGER, "reopen", NEW)
