"""What strangers, a full disk and a locked database must not do, with a real engine process."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from cxdex.nonce import unpack_nonce
from cxdex.order import Side
from cxdex.problem import Problem
from relayer.chain_feed import ChainFeed
from relayer.client import EngineClient
from relayer.engine.commands import Expire
from relayer.journal.journal import Journal
from relayer.journal.record import decode_command, encode_command
from relayer.journal.segment import segment_name
from relayer.order_table import OrderTables
from relayer.projector import project
from relayer.request_handler import RequestHandler
from relayer.wire import CancelOrders, CancelReply, GuardState, OrderState, PlaceOrders
from tests.relayer.service.running_engine import (
    MARKET,
    Audit,
    ChainFacts,
    RunningEngine,
    account,
    signed,
    until,
    wait_for_market,
)
from tests.relayer.service.test_parts import Parts

ALICE, BOB, STRANGER = account(1), account(2), account(9)
SOCKET = b"c" * 16


@pytest.fixture
async def client(engine: RunningEngine, facts: ChainFacts) -> AsyncIterator[EngineClient]:
    facts.open_market([ALICE, BOB])
    engine.start()
    async with engine.client() as connected:
        await wait_for_market(connected, [ALICE, BOB])
        yield connected


async def test_whoever_asks_for_anothers_nonces_pushes_it_up_a_bounded_way(client: EngineClient) -> None:
    for _ in range(100):
        await client.next_nonces(ALICE, 50)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        (nonce,) = await client.next_nonces(ALICE)
        seconds.append(time.perf_counter() - started)
        assert unpack_nonce(nonce).lane < 400
    assert min(seconds) < 0.05, "whatever else the machine does"
    devices = [*await client.next_nonces(ALICE, 20), *await client.next_nonces(ALICE, 20)]
    assert len(set(devices)) == 40, "two devices still get different ones"


async def test_an_account_without_a_deposit_leaves_nothing_in_the_engine(
    client: EngineClient, engine: RunningEngine
) -> None:
    with pytest.raises(Problem, match="ACCOUNT_UNKNOWN"):
        await client.set_guard(STRANGER, GuardState(MARKET, 1_000, 1))
    assert await client.next_nonces(STRANGER, 3) == await client.next_nonces(STRANGER, 3), "nothing is leased"
    engine.stop()
    assert not Audit(engine).engine.knows(STRANGER)


async def test_a_connection_that_is_lost_while_the_disk_is_full_still_cancels(
    client: EngineClient, engine: RunningEngine
) -> None:
    await client.watch(ALICE, SOCKET)
    order, *others = [signed(ALICE, lane, Side.SELL, 1_000, 1) for lane in range(100)]
    await client.place([order, *others])
    journal = (engine.state / "journal" / segment_name(1)).stat().st_size
    assert journal > 2 * engine.log.stat().st_size, "no room for the journal leaves room for the log"
    assert engine.process is not None
    old = resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (journal, resource.RLIM_INFINITY))
    losing = asyncio.create_task(client.end_watch(ALICE, SOCKET, lost=True))

    async def has_failed() -> bool:
        return "orders of 1 lost connections are cancelled later" in engine.log.read_text()

    await until("a write that fails", has_failed)
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, old)
    await losing
    state = await client.order(order.digest)
    assert state is not None
    assert (state.status, state.reason) == ("CANCELLED", "DISCONNECTED")


async def test_cancels_go_on_while_the_database_is_locked_and_old_orders_come_again(
    client: EngineClient, engine: RunningEngine
) -> None:
    """Each of them may be one that was accepted once, which only the database knows: they must not pile up."""
    order = signed(ALICE, 0, Side.SELL, 1_000, 1)
    await client.place([order])
    with closing(sqlite3.connect(engine.database, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        old = [signed(BOB, lane, Side.BUY, 900, 1, expiry=1_000) for lane in range(4_500)]
        flood = [asyncio.create_task(client.place([one])) for one in old]
        await asyncio.sleep(0.5)
        started = time.monotonic()
        (result,) = await client.cancel(ALICE, [order.digest])
        waited = time.monotonic() - started
        answers = await asyncio.gather(*flood)
        lock.execute("ROLLBACK")
    assert result.problem is None
    assert waited < 15, "it did not stand behind those that wait for the database"
    assert {a.problem.code for (a,) in answers if a.problem} <= {"ORDER_EXPIRED", "ENGINE_UNAVAILABLE"}


class SlowTables(OrderTables):
    """Looks something up only when it is told to."""

    gate: asyncio.Event
    loop: asyncio.AbstractEventLoop

    def find(self, digest: bytes) -> OrderState | None:
        asyncio.run_coroutine_threadsafe(self.gate.wait(), self.loop).result(10)
        return super().find(digest)


async def test_a_cancel_that_meets_its_order_on_the_way_in_cancels_it(tmp_path: Path, facts: ChainFacts) -> None:
    """The order is accepted and stored while the cancel looks whether the tables know it."""
    parts = Parts(tmp_path)
    running = [asyncio.create_task(part.run()) for part in (parts.sequencer, parts.projector)]
    facts.open_market([ALICE])
    await ChainFeed(parts.database, parts.sequencer, parts.thread).poll()
    slow = SlowTables(parts.database)
    slow.gate, slow.loop = asyncio.Event(), asyncio.get_running_loop()
    handler = RequestHandler(parts.sequencer, parts.projector, slow, ThreadPoolExecutor(1), "e")
    order = signed(ALICE, 0, Side.SELL, 1_000, 1)
    cancelling = asyncio.create_task(handler.answer(CancelOrders(1, ALICE, [order.digest])))
    await asyncio.sleep(0.05)
    await handler.answer(PlaceOrders(2, [order]))
    parts.tables.open()
    project(parts.tables, [(one.sequence, one.events) for one in parts.applied])
    slow.gate.set()
    reply = await cancelling
    assert isinstance(reply, CancelReply)
    assert [result.problem for result in reply.results] == [None]
    view = parts.sequencer.engine.order_state(order.digest)
    assert view is not None
    assert view.status == "CANCELLED"
    for task in running:
        task.cancel()


async def test_time_does_not_run_backwards_over_a_clean_stop(engine: RunningEngine, facts: ChainFacts) -> None:
    """The clock was ahead and was set back while the engine was down; its journal says how far it has come."""
    ahead = 5_000_000_000_000
    (engine.state / "journal").mkdir()
    journal = Journal(engine.state / "journal")
    list(journal.recover())
    journal.append([encode_command(Expire(ahead))])
    journal.close()
    for _ in range(2):
        engine.start()
        assert engine.stop() == 0
    facts.open_market([ALICE])
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, [ALICE])
    engine.stop()
    journal = Journal(engine.state / "journal")
    times = [decode_command(record.payload).time_ms for record in journal.recover()]
    journal.close()
    assert len(times) > 1
    assert min(times) == ahead
