"""SIGKILL at any moment loses no acknowledged order and repeats no fill."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from cxdex.condition import Condition, Trigger
from cxdex.order import Side, TimeInForce
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.wire import CancelAndPlaceStep, OrderState, ReduceStep, ReplaceStep, WireFill, WireOrder
from tests.relayer.service.running_engine import (
    Audit,
    ChainFacts,
    RunningEngine,
    account,
    as_sent,
    backup,
    remove,
    restore,
    signed,
    until,
    wait_for_market,
)

NOT_AS_HOPED = ("ORDER_NOT_OPEN", "ORDER_AMEND_RAISES", "ORDER_FILLED_BEFORE")
STOPS = {
    Side.SELL: (Trigger.LAST_AT_OR_BELOW, Trigger.LAST_FALLS_BY),
    Side.BUY: (Trigger.LAST_AT_OR_ABOVE, Trigger.LAST_RISES_BY),
}
TRADERS = [account(number) for number in range(3)]


@dataclass
class Acknowledged:
    """What the traders were told."""

    states: dict[bytes, OrderState] = field(default_factory=dict)
    fills: dict[int, WireFill] = field(default_factory=dict)
    cancelled: set[bytes] = field(default_factory=set)

    def note(self, state: OrderState) -> None:
        known = self.states.get(state.digest)
        if known is None or known.version < state.version:
            self.states[state.digest] = state


@dataclass
class Trader:
    owner: bytes
    client: EngineClient
    told: Acknowledged
    dice: random.Random
    lane: int = 0

    async def trade(self) -> None:
        """Places and cancels until cancelled; goes on through restarts."""
        while True:
            try:
                await self._place()
                if self.dice.random() < 0.4:
                    await self._cancel()
                await self._amend()
                await self._wait_for_prices()
            except Problem as problem:
                if problem.code != "ENGINE_UNAVAILABLE":
                    raise

    async def _place(self) -> None:
        orders = []
        for _ in range(self.dice.choice((1, 1, 4))):
            self.lane += 1
            tif = self.dice.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC))
            side = self.dice.choice((Side.BUY, Side.SELL))
            orders.append(
                signed(self.owner, self.lane, side, self.dice.randint(995, 1005), self.dice.randint(1, 9), tif)
            )
        await self._send(orders)

    async def _wait_for_prices(self) -> None:
        """A bracket: a target that shows a part of itself, and a stop; the stops of all set each other off."""
        self.lane += 1
        side = self.dice.choice((Side.BUY, Side.SELL))
        away = 1 if side is Side.SELL else -1
        target = signed(self.owner, self.lane, side, 1000 + 9 * away, 6)
        trigger = self.dice.choice(STOPS[side])
        level = 2 if trigger.trails else 1000 - self.dice.randint(0, 4) * away
        condition = Condition(trigger, level, 1)
        stop = replace(target.order, limit_price=1000 - 20 * away, condition=condition)
        await self._send([msgspec.structs.replace(target, display_quantity=2), as_sent(stop)])

    async def _send(self, orders: list[WireOrder]) -> None:
        for result in await self.client.place(orders):
            assert result.problem is None or result.problem.code == "ORDER_NONCE_USED", result.problem
            if result.problem is not None:  # the other leg of its pair was filled or triggered meanwhile
                continue
            assert result.state is not None
            self.told.note(result.state)
            for fill in result.fills:
                assert fill.match_id not in self.told.fills
                self.told.fills[fill.match_id] = fill

    async def _cancel(self) -> None:
        mine = [state for state in self.told.states.values() if state.order.account == self.owner][-5:]
        for result in await self.client.cancel(self.owner, [state.digest for state in mine]):
            if result.state is not None:
                self.told.note(result.state)
                if result.problem is None:
                    self.told.cancelled.add(result.digest)

    async def _amend(self) -> None:
        """Lowers one, replaces one, and cancels one with another in its place."""
        mine = [s for s in self.told.states.values() if s.order.account == self.owner and s.status == "OPEN"]
        if len(mine) < 3:
            return
        lowered, old, gone = self.dice.sample(mine, 3)
        self.lane += 1
        price, quantity = self.dice.choice((old.order.limit_price, 1000)), self.dice.randint(1, 9)
        newer = as_sent(replace(old.order, limit_price=price, quantity=quantity, expiry=old.order.expiry + 1))
        fresh = signed(self.owner, self.lane, gone.order.side, self.dice.randint(995, 1005), quantity)
        steps = [
            ReduceStep(self.owner, lowered.digest, self.dice.randint(1, 9)),
            ReplaceStep(newer, old.digest),
            CancelAndPlaceStep(fresh, gone.digest),
        ]
        for result in await self.client.take(steps):
            assert result.problem is None or result.problem.code in NOT_AS_HOPED, result.problem
            for state in (*result.cancelled, *([result.state] if result.state else [])):
                self.told.note(state)
            self.told.cancelled |= {state.digest for state in result.cancelled}
            for fill in result.fills:
                assert fill.match_id not in self.told.fills
                self.told.fills[fill.match_id] = fill


async def check_acknowledged(client: EngineClient, told: Acknowledged) -> None:
    for digest, state in told.states.items():
        found = await client.order(digest)
        assert found is not None, "an acknowledged order is lost"
        assert found.order == state.order
        assert found.version >= state.version
        assert found.filled >= state.filled
        if digest in told.cancelled:
            assert found.status == "CANCELLED"


def has_grown(told: Acknowledged, orders: int) -> Callable[[], Awaitable[bool]]:
    """There is load: a slow machine gets as many orders done as a fast one, only later."""

    async def holds() -> bool:
        return len(told.states) >= orders

    return holds


def triggered(client: EngineClient, told: Acknowledged, wanted: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        waited = [digest for digest, state in told.states.items() if state.order.condition is not None]
        now = [await client.order(digest) for digest in waited]
        return sum(state is not None and state.status in ("OPEN", "FILLED") for state in now) >= wanted

    return holds


def check_tables(engine: RunningEngine, told: Acknowledged) -> None:
    audit = Audit(engine)
    audit.check()
    for match_id, fill in told.fills.items():
        assert audit.trades[match_id]["quantity"] == fill.quantity
        assert audit.trades[match_id]["sequence"] == fill.sequence


@pytest.mark.parametrize("seed", [1, 2])
async def test_kills_under_load(engine: RunningEngine, facts: ChainFacts, seed: int) -> None:
    engine.options = ("--snapshot-every", "150")
    dice = random.Random(seed)
    facts.open_market(TRADERS)
    engine.start()
    told = Acknowledged()
    clients = [engine.client() for _ in TRADERS]
    for client in clients:
        client.start()
    await wait_for_market(clients[0], TRADERS)
    traders = [
        Trader(o, c, told, random.Random(seed * 100 + i)) for i, (o, c) in enumerate(zip(TRADERS, clients, strict=True))
    ]
    tasks = [asyncio.create_task(trader.trade()) for trader in traders]
    for killed in range(3):
        await until("orders", has_grown(told, 30 * (killed + 1)))
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        engine.kill()
        await asyncio.to_thread(engine.start)
        await check_acknowledged(clients[0], Acknowledged(dict(told.states), dict(told.fills), set(told.cancelled)))
    await until("stops that were set off", triggered(clients[0], told, 11))
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    await check_acknowledged(clients[0], told)
    for client in clients:
        await client.close()
    assert await asyncio.to_thread(engine.stop) == 0
    assert told.fills
    check_tables(engine, told)
    audit = Audit(engine)
    audit.check_snapshot()
    assert audit.triggered > 10


async def test_tables_from_an_older_copy_are_brought_up_to_date(engine: RunningEngine, facts: ChainFacts) -> None:
    engine.options = ("--snapshot-every", "20")
    facts.open_market(TRADERS)
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, TRADERS)
        told = Acknowledged()
        trader = Trader(TRADERS[0], client, told, random.Random(3))
        other = Trader(TRADERS[1], client, told, random.Random(4))
        for _ in range(15):
            await trader._place()
            await other._place()
        copy = engine.state / "copy.db"
        backup(engine.database, copy)
        for _ in range(15):
            await trader._place()
            await other._cancel()
            await other._place()
        engine.kill()
        restore(copy, engine.database)
        await asyncio.to_thread(engine.start)
        await check_acknowledged(client, told)
    assert engine.stop() == 0
    check_tables(engine, told)
    Audit(engine).check_snapshot()


async def test_an_empty_database_is_filled_again_from_the_journal(engine: RunningEngine, facts: ChainFacts) -> None:
    facts.open_market(TRADERS)
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, TRADERS)
        told = Acknowledged()
        for number in (0, 1):
            for _ in range(10):
                await Trader(TRADERS[number], client, told, random.Random(number), len(told.states))._place()
    assert engine.stop() == 0
    remove(engine.database)
    engine.start()
    assert engine.stop() == 0
    check_tables(engine, told)
    Audit(engine).check_snapshot()
