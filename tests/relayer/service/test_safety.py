"""Countdowns, lost connections, late orders and cancels by name, with a real engine process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from cxdex.order import Side
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.wire import OrderState, WireOrder
from tests.relayer.service.running_engine import (
    ROOT,
    Audit,
    ChainFacts,
    RunningEngine,
    account,
    signed,
    until,
    wait_for_market,
)

ALICE, BOB = account(1), account(2)
SOCKET = b"c" * 16

GATEWAY = """
import asyncio, sys
from relayer.client import EngineClient

async def watch(socket, account):
    async with EngineClient(socket) as client:
        await client.watch(bytes.fromhex(account), b"g" * 16)
        print("watching", flush=True)
        await asyncio.sleep(60)

asyncio.run(watch(*sys.argv[1:]))
"""


@pytest.fixture
async def client(engine: RunningEngine, facts: ChainFacts) -> AsyncIterator[EngineClient]:
    facts.open_market([ALICE, BOB])
    engine.start()
    async with engine.client() as connected:
        await wait_for_market(connected, [ALICE, BOB])
        yield connected


async def rest(client: EngineClient, order: WireOrder) -> WireOrder:
    (result,) = await client.place([order])
    assert result.state is not None, result.problem
    assert result.state.status == "OPEN"
    return order


async def closed(client: EngineClient, order: WireOrder) -> OrderState:
    async def is_closed() -> OrderState | None:
        state = await client.order(order.digest)
        return state if state is not None and state.status != "OPEN" else None

    return await until("the end of the order", is_closed)


async def test_names_and_sides_are_cancelled_each_on_its_own(client: EngineClient, engine: RunningEngine) -> None:
    first, second, third = [await rest(client, signed(ALICE, lane, Side.SELL, 1000, 1)) for lane in range(3)]
    bid = await rest(client, signed(ALICE, 3, Side.BUY, 900, 1))
    results = await client.cancel(ALICE, [first.digest, b"?" * 32], ["c1", "nothing", "c0"])
    shown = [(r.client_order_id, r.state.digest if r.state else None, r.problem and r.problem.code) for r in results]
    assert shown == [
        (None, first.digest, None),
        (None, None, "ORDER_UNKNOWN"),
        ("c1", second.digest, None),
        ("nothing", None, "ORDER_UNKNOWN"),
        ("c0", None, "ORDER_UNKNOWN"),
    ]
    (gone,) = await client.cancel_all(ALICE, None, Side.SELL)
    assert gone.digest == third.digest
    assert [state.digest for state in await client.open_orders(ALICE)] == [bid.digest]
    assert engine.stop() == 0
    Audit(engine).check()


async def test_an_order_after_its_cancel_or_its_time_limit_is_refused(client: EngineClient) -> None:
    late = signed(ALICE, 0, Side.SELL, 1000, 1)
    await client.cancel(ALICE, [late.digest])
    (blocked,) = await client.place([late])
    assert blocked.problem is not None
    assert blocked.problem.code == "ORDER_CANCELLED_BEFORE"
    slow = signed(ALICE, 1, Side.SELL, 1000, 1)
    (too_late,) = await client.place([WireOrder(slow.order, slow.signature, slow.digest, None, reject_after_ms=1)])
    assert too_late.problem is not None
    assert too_late.problem.code == "ORDER_TOO_LATE"
    far = int(time.time() * 1000) + 60_000
    (taken,) = await client.place([WireOrder(slow.order, slow.signature, slow.digest, None, reject_after_ms=far)])
    assert taken.state is not None
    (again,) = await client.place([WireOrder(slow.order, slow.signature, slow.digest, None, reject_after_ms=1)])
    assert again.state == taken.state, "an order that is known is answered with its state, however late it is sent"


async def test_a_countdown_fires_unless_it_is_renewed_or_ended(client: EngineClient) -> None:
    quote, other = (
        await rest(client, signed(ALICE, 0, Side.SELL, 1000, 1)),
        await rest(client, signed(BOB, 0, Side.SELL, 1000, 1)),
    )
    until = await client.set_countdown(ALICE, 600)
    assert (await client.account(ALICE)).countdown_ms == until
    assert await client.set_countdown(ALICE, 1) < until
    _, ended = await asyncio.gather(client.set_countdown(BOB, 1), client.set_countdown(BOB, 0))  # one after the other
    assert ended == 0
    state = await closed(client, quote)
    assert (state.status, state.reason) == ("CANCELLED", "DEADMAN")
    assert (await client.account(ALICE)).countdown_ms == 0
    assert [state.digest for state in await client.open_orders(BOB)] == [other.digest]
    for who, seconds, code in ((ALICE, 86_401, "FIELD_INVALID"), (account(9), 5, "ACCOUNT_UNKNOWN")):
        with pytest.raises(Problem, match=code):
            await client.set_countdown(who, seconds)


async def test_a_countdown_that_ends_while_the_engine_is_down_fires_at_its_start(
    client: EngineClient, engine: RunningEngine
) -> None:
    quote = await rest(client, signed(ALICE, 0, Side.SELL, 1000, 1))
    until = await client.set_countdown(ALICE, 1)
    engine.kill()
    await asyncio.sleep(max(0.0, until / 1000 - time.time()) + 0.1)
    engine.start()
    results = await client.place([signed(BOB, 0, Side.BUY, 1000, 1)])
    assert results[0].fills == [], "the dead man's order traded"
    assert (await closed(client, quote)).reason == "DEADMAN"
    assert engine.stop() == 0
    Audit(engine).check()


async def test_a_lost_connection_cancels_and_a_closed_watch_does_not(client: EngineClient) -> None:
    quote = await rest(client, signed(ALICE, 0, Side.SELL, 1000, 1))
    await client.watch(ALICE, SOCKET)
    await client.end_watch(ALICE, SOCKET, lost=False)
    assert len(await client.open_orders(ALICE)) == 1
    await client.watch(ALICE, SOCKET)
    await client.end_watch(ALICE, SOCKET, lost=True)
    assert (await closed(client, quote)).reason == "DISCONNECTED"


def start_gateway(engine: RunningEngine, owner: bytes) -> subprocess.Popen[str]:
    socket = str(engine.state / "engine.sock")
    command = [sys.executable, "-c", GATEWAY, socket, owner.hex()]
    gateway = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    assert gateway.stdout.readline() == "watching\n"
    return gateway


async def test_a_gateway_that_crashes_has_lost_its_connections(client: EngineClient, engine: RunningEngine) -> None:
    quote = await rest(client, signed(ALICE, 0, Side.SELL, 1000, 1))
    other = await rest(client, signed(BOB, 0, Side.SELL, 1000, 1))
    gateway = start_gateway(engine, ALICE)
    gateway.kill()
    gateway.communicate()
    assert (await closed(client, quote)).reason == "DISCONNECTED"
    assert [state.digest for state in await client.open_orders(BOB)] == [other.digest]


async def test_after_a_restart_a_watched_connection_comes_back_or_counts_as_lost(
    client: EngineClient, engine: RunningEngine
) -> None:
    """Alice's gateway outlives the engine, Bob's dies with it."""
    await client.watch(ALICE, SOCKET)
    kept = await rest(client, signed(ALICE, 0, Side.SELL, 1000, 1))
    lost = await rest(client, signed(BOB, 0, Side.SELL, 1000, 1))
    gateway = start_gateway(engine, BOB)
    engine.kill()
    gateway.kill()
    gateway.communicate()
    engine.start()
    assert (await closed(client, lost)).reason == "DISCONNECTED"
    assert [state.digest for state in await client.open_orders(ALICE)] == [kept.digest]
    await client.end_watch(ALICE, SOCKET, lost=True)
    assert (await closed(client, kept)).reason == "DISCONNECTED"
    assert engine.stop() == 0
    Audit(engine).check()
