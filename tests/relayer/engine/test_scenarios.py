"""Plays `scenarios.feature`: each command must have exactly the outcomes written under it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trading_desk import BTC, FAR, TRADERS, Desk

from cxdex.condition import Condition, Trigger
from cxdex.facts import PriceUpdated
from cxdex.order import OrderType, SelfTrade, Side, TimeInForce
from relayer.engine.commands import ApplyFact
from relayer.engine.events import (
    AnyEvent,
    OrderClosed,
    OrderProven,
    OrderRearmed,
    OrderReduced,
    OrderRejected,
    OrderTriggered,
    Traded,
)
from relayer.engine.orders import SETTLEMENT_SECONDS

FEATURE = Path(__file__).with_name("scenarios.feature").read_text()
SCENARIOS = {
    title: [line for line in body.splitlines() if line.strip()]
    for title, body in re.findall(r"^Scenario: (.+)\n((?:  .*\n|\n)*)", FEATURE, re.MULTILINE)
}
NAMES = {account: name for name, account in TRADERS.items()}
CONDITION = re.compile(r" when (index|last) (<=|>=|falls by|rises by) (\d+)")
MOVES = {"<=": "at_or_below", ">=": "at_or_above", "falls by": "falls_by", "rises by": "rises_by"}
TICK = 10_000  # 1e-6 USDC a whole sBTC
PLACE = re.compile(r"(\w+) (buys|sells) (\d+) at (\d+)(.*)")


def words(event: AnyEvent) -> str | None:
    match event:
        case Traded():
            verb, preposition = ("sells", "to") if event.taker_is_buyer else ("buys", "from")
            maker, taker = NAMES[event.maker], NAMES[event.taker]
            return f"{maker} {verb} {event.quantity} {preposition} {taker} at {event.price}"
        case OrderClosed():
            return f"{NAMES[event.account]}'s order closed {event.status} {event.reason}, {event.remaining} left"
        case OrderReduced():
            return f"{NAMES[event.account]}'s order lowered to {event.remaining}"
        case OrderTriggered():
            return f"{NAMES[event.account]}'s order triggered"
        case OrderRearmed():
            return f"{NAMES[event.account]}'s order waits again, {event.remaining} left"
        case OrderProven():
            return f"{NAMES[event.account]}'s closed order proved"
        case OrderRejected():
            return f"refused {event.code}"
    return None


def place(desk: Desk, name: str, verb: str, quantity: str, price: str, options: str) -> list[AnyEvent]:
    changes, display = {}, 0
    condition = CONDITION.search(options)
    if condition:
        options = options.replace(condition.group(), "")
        source, move, ticks = condition.groups()
        changes["condition"] = Condition(Trigger[f"{source}_{MOVES[move]}".upper()], int(ticks), desk.now_ms // 1000)
    if " too" in options:
        options = options.replace(" too", "")
        changes["nonce"] = [order.nonce for order in desk.orders.values() if order.account == TRADERS[name]][-1]
    shown = re.search(r" showing (\d+)", options)
    if shown:
        options, display = options.replace(shown.group(), ""), int(shown.group(1))
    lifetime = re.search(r" for (\d+)s", options)
    if lifetime:
        options = options.replace(lifetime.group(), "")
        changes["expiry"] = desk.now_ms // 1000 + SETTLEMENT_SECONDS + int(lifetime.group(1))
    for word in options.split():
        if word in OrderType.__members__:
            changes["order_type"] = OrderType[word]
        elif word in TimeInForce.__members__:
            changes["time_in_force"] = TimeInForce[word]
        else:
            changes["self_trade"] = SelfTrade[word]
    side = Side.BUY if verb == "buys" else Side.SELL
    order = desk.order(TRADERS[name], side, int(quantity), int(price), **{"expiry": FAR, **changes})
    return desk.send(order, display_quantity=display)[1]


def command(desk: Desk, line: str) -> list[AnyEvent]:
    placed = PLACE.fullmatch(line)
    if placed:
        return place(desk, *placed.groups())
    if line.startswith("clock +"):
        desk.now_ms += 1000 * int(line.removeprefix("clock +").removesuffix("s"))
        return []
    if line == "sweep":
        return desk.expire()
    if line.startswith("index "):
        desk.now_ms += 1000
        return desk.fact(PriceUpdated(BTC.base_asset, int(line.removeprefix("index ")) * TICK, desk.now_ms // 1000))
    if line == "reorg":
        newest = desk.commands[-1]
        assert isinstance(newest, ApplyFact), "only what has just happened is taken back"
        return desk.fact(newest.fact, at=(newest.block, newest.log_index), reverted=True)
    name, _, rest = line.partition(" ")
    assert rest == "cancels all", f"not a command: {line}"
    return desk.cancel_all(TRADERS[name])


def book(desk: Desk) -> str:
    sides = desk.engine.levels(BTC.symbol, 10)
    return " | ".join(" ".join(f"{price}x{quantity}" for price, quantity in side) or "-" for side in sides)


@pytest.mark.parametrize("title", SCENARIOS)
def test_scenario(title: str) -> None:
    desk = Desk()
    said: list[str] = []
    for line in SCENARIOS[title]:
        text = line.strip()
        if text.startswith("book:"):
            said.append(f"  book: {book(desk)}")
        elif line.startswith("    "):
            continue
        else:
            said.append(line)
            said += [f"    {outcome}" for event in command(desk, text) if (outcome := words(event))]
    assert said == SCENARIOS[title]


def test_every_scenario_is_played() -> None:
    assert len(SCENARIOS) == FEATURE.count("Scenario:") >= 15
