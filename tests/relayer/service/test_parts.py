"""The parts around the engine, one by one, where a whole process would hide what is tested."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from cxdex.condition import Condition, Trigger
from cxdex.facts import Credited, FillSkipped, MarketStatusChanged, PriceUpdated
from cxdex.market import MarketStatus
from cxdex.nonce import pack_nonce
from cxdex.order import Side, SignedOrder
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer import placements, recovery
from relayer.chain_feed import ChainFeed
from relayer.client import EngineClient
from relayer.engine import state
from relayer.engine.commands import ApplyFact, Expire, Place
from relayer.engine.core import Engine
from relayer.engine.events import FillRestored, FillVoided, OrderAccepted
from relayer.gateway_server import GatewayServer
from relayer.journal.journal import Journal
from relayer.journal.record import encode_command
from relayer.nonce_leases import LEASE_SECONDS, NonceLeases
from relayer.order_table import OrderTables
from relayer.projector import Projector, project
from relayer.recovery import recover
from relayer.request_handler import RequestHandler
from relayer.sequencer import Applied, Sequencer
from relayer.settler.store import Store
from relayer.wire import CancelOrders, Feed, GetOrder, OrderReply, PlaceOrders
from tests.relayer.service.running_engine import LISTED, MARKET, ChainFacts, account, signed

ALICE, BOB = account(1), account(2)
ACTIVE = MarketStatusChanged(MARKET, MarketStatus.ACTIVE, MarketStatus.PAUSED)


class Parts:
    """A sequencer on a real journal, inside the test's loop."""

    def __init__(self, state: Path) -> None:
        self.database = open_database(f"sqlite:///{state / 'exchange.db'}")
        self.tables = OrderTables(self.database)
        self.tables.open()
        self.thread = ThreadPoolExecutor(1)
        self.journal = Journal(state)
        list(self.journal.recover())
        self.applied: list[Applied] = []
        self.sequencer = Sequencer(Engine(), self.journal, self.thread, self.applied.extend)
        self.projector = Projector(self.tables, self.thread)
        self.handler = RequestHandler(self.sequencer, self.projector, self.tables, self.thread, "e")


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


async def test_an_order_that_is_forgotten_and_not_stored_yet_is_not_called_unknown(
    parts: Parts, facts: ChainFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "CLOSED_ORDERS_KEPT", 0)
    monkeypatch.setattr(placements, "LONGEST_LOOK_SECONDS", 0.2)
    running = asyncio.create_task(parts.sequencer.run())
    facts.open_market([ALICE])
    await ChainFeed(parts.database, parts.sequencer, parts.thread).poll()
    order = signed(ALICE, 0, Side.SELL, 1_000, 1)
    await parts.handler.answer(PlaceOrders(1, [order]))
    await parts.handler.answer(CancelOrders(2, ALICE, [order.digest]))
    await parts.handler.answer(PlaceOrders(3, [signed(ALICE, 1, Side.SELL, 1_000, 1)]))
    assert parts.sequencer.engine.order_state(order.digest) is None, "forgotten"
    with pytest.raises(Problem, match="ENGINE_UNAVAILABLE"):
        await parts.handler.answer(GetOrder(4, order.digest))
    monkeypatch.setattr(placements, "LONGEST_LOOK_SECONDS", 60.0)
    monkeypatch.setattr(placements, "MOST_LOOKING", 2)
    asked = [asyncio.create_task(parts.handler.answer(GetOrder(5, digest))) for digest in (order.digest, b"n" * 32)]
    await asyncio.sleep(0.05)
    with pytest.raises(Problem, match="ENGINE_UNAVAILABLE"):  # strangers do not pile up
        await parts.handler.answer(GetOrder(6, order.digest))
    for one in parts.applied:
        parts.projector.enqueue(one.sequence, one.events)
    projecting = asyncio.create_task(parts.projector.run())
    found, unknown = await asyncio.gather(*asked)
    assert isinstance(found, OrderReply)
    assert found.state is not None
    assert found.state.status == "CANCELLED"
    assert isinstance(unknown, OrderReply)
    assert unknown.state is None
    for task in (running, projecting):
        task.cancel()


async def test_facts_are_read_once_and_again_from_a_table_made_anew(parts: Parts, facts: ChainFacts) -> None:
    running = asyncio.create_task(parts.sequencer.run())
    feed = ChainFeed(parts.database, parts.sequencer, parts.thread)
    assert await feed.poll() == 0, "no table yet"
    facts.append(LISTED, Credited(ALICE, 0, 5))
    assert await feed.poll() == 2
    assert await feed.poll() == 0
    facts.forget()
    facts.say(1, LISTED)
    facts.reach(1, 100)
    assert await feed.poll() == 0, "it waits until the table reaches as far as what it has applied"
    facts.say(2, Credited(ALICE, 0, 5))
    facts.say(9, Credited(ALICE, 0, 7))
    facts.reach(9, 100)
    assert await feed.poll() == 1, "only what is missing"
    assert parts.sequencer.engine.balances(ALICE) == {0: (12, 0)}, "what was applied before is not applied twice"
    restarted = ChainFeed(parts.database, parts.sequencer, parts.thread)
    assert await restarted.poll() == 0
    assert parts.sequencer.engine.outbox_position == (9, 0, 3)
    running.cancel()


async def test_attack_60_a_table_made_anew_on_another_fork_takes_back_what_no_longer_stands(
    parts: Parts, facts: ChainFacts
) -> None:
    running = asyncio.create_task(parts.sequencer.run())
    feed = ChainFeed(parts.database, parts.sequencer, parts.thread)
    facts.append(LISTED, Credited(ALICE, 0, 5), Credited(ALICE, 0, 70))
    assert await feed.poll() == 3
    facts.forget()
    facts.say(1, LISTED)
    facts.say(2, Credited(ALICE, 0, 6), fork=1)
    facts.reach(3, 100)
    assert await feed.poll() == 3, "two are taken back, one is new"
    assert parts.sequencer.engine.balances(ALICE) == {0: (6, 0)}
    assert await feed.poll() == 0
    facts.say(4, Credited(ALICE, 0, 1), fork=1)
    assert await feed.poll() == 1
    assert parts.sequencer.engine.balances(ALICE) == {0: (7, 0)}
    replayed = Engine()
    for applied in parts.applied:
        replayed.apply(applied.command)
    assert replayed.state_hash() == parts.sequencer.engine.state_hash()
    running.cancel()


async def test_a_table_of_another_chain_is_refused(parts: Parts, facts: ChainFacts) -> None:
    running = asyncio.create_task(parts.sequencer.run())
    feed = ChainFeed(parts.database, parts.sequencer, parts.thread)
    facts.append(LISTED)
    assert await feed.poll() == 1
    facts.forget()
    facts.say(1, LISTED, fork=1)
    facts.reach(5, 100)
    with pytest.raises(Problem, match="CHAIN_UNKNOWN"):
        await feed.poll()
    running.cancel()


async def test_commands_that_wait_for_a_sync_go_together_and_in_order(parts: Parts) -> None:
    fact = Credited(ALICE, 0, 1)
    first = parts.sequencer.submit([ApplyFact(1, 1, 0, 1, False, fact)])
    others = [parts.sequencer.submit([ApplyFact(1, n, 0, n, False, fact)]) for n in (2, 3)]
    running = asyncio.create_task(parts.sequencer.run())
    await asyncio.gather(first, *others)
    assert [applied.sequence for applied in parts.applied] == [1, 2, 3]
    assert parts.sequencer.offset == parts.journal.end
    parts.sequencer.close()
    await running
    with pytest.raises(Problem, match="stopping"):
        parts.sequencer.submit([])


async def test_a_gateway_that_does_not_read_is_dropped(
    parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = GatewayServer(parts.handler, list, max_unread_bytes=100_000)
    path = tmp_path / "s"
    listening = await asyncio.get_running_loop().create_unix_server(server.connect, str(path))
    complete = asyncio.Event()
    async with EngineClient(path) as quick:
        await quick.subscribe(lambda feed: complete.set() if feed.seq == 299 else None)
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(path))
            body = b'{"msg":"Subscribe","id":1}'
            slow.sendall(len(body).to_bytes(4, "big") + body)
            slow.setblocking(False)
            assert b"SubscribedReply" in await asyncio.get_running_loop().sock_recv(slow, 4096)
            with caplog.at_level(logging.WARNING):
                for seq in range(300):
                    data = b'"' + b"x" * 2_000 + b'"'
                    server.broadcast([Feed("trades", MARKET, "e", seq, seq - 1, 1, "event", msgspec.Raw(data))])
                    await asyncio.sleep(0)
            assert len(server.subscribers) == 1
            assert "does not read" in caplog.text
            assert server.dropped == 1
        async with asyncio.timeout(60):
            await complete.wait()
    listening.close()


def test_a_lane_is_leased_until_its_order_arrives_or_time_is_up() -> None:
    leases = NonceLeases(Engine().free_nonces)
    lane = [pack_nonce(0, number, 1) for number in range(4)]
    assert leases.lease(ALICE, 2, now=0.0) == lane[:2]
    assert leases.lease(ALICE, 1, now=1.0) == [lane[2]]
    assert leases.lease(BOB, 1, now=1.0) == [lane[0]]
    leases.release(ALICE, lane[0])
    assert leases.lease(ALICE, 1, now=2.0) == [lane[0]]
    assert leases.lease(ALICE, 2, now=LEASE_SECONDS + 0.5) == [lane[1], lane[3]]
    leases.sweep(now=100.0)
    assert leases.lease(ALICE, 1, now=100.0) == [lane[0]]


def _play(tables: OrderTables) -> tuple[Engine, list[tuple[int, list[object]]]]:
    """A trade that the chain skips, and a reorg that takes the skip back."""
    engine = Engine()
    maker, taker = signed(ALICE, 0, Side.SELL, 1000, 9), signed(BOB, 0, Side.BUY, 1000, 4)
    facts = [LISTED, ACTIVE, Credited(ALICE, 2, 10**20), Credited(BOB, 0, 10**12)]
    commands = [ApplyFact(1, n, 0, n, False, fact) for n, fact in enumerate(facts, 1)]
    commands += [Place(2, sent.order, sent.signature, sent.digest) for sent in (maker, taker)]
    skip = FillSkipped(MARKET, 0, 6)
    commands += [ApplyFact(3, 20, 0, 20, False, skip), ApplyFact(4, 20, 0, 21, True, skip)]
    return engine, [(n, engine.apply(command)) for n, command in enumerate(commands, 1)]


def test_a_skipped_fill_is_voided_in_the_table_and_the_order_stays_as_the_engine_has_it(tmp_path: Path) -> None:
    for merged in (True, False):
        database = open_database(f"sqlite:///{tmp_path / str(merged)}.db")
        tables = OrderTables(database)
        tables.open()
        engine, played = _play(tables)
        assert isinstance(played[-2][1][0], FillVoided)
        assert isinstance(played[-1][1][0], FillRestored)
        if merged:
            project(tables, played[:-1])
        else:
            for one in played[:-1]:
                project(tables, [one])
        assert _voided(database) == [1]
        project(tables, played)
        assert _voided(database) == [0]
        assert tables.cursor == len(played)
        for sent in (signed(ALICE, 0, Side.SELL, 1000, 9), signed(BOB, 0, Side.BUY, 1000, 4)):
            row, view = tables.find(sent.digest), engine.order_state(sent.digest)
            assert row is not None
            assert view is not None
            assert [getattr(row, name) for name in view._fields] == [getattr(view, name) for name in view._fields]


def test_the_row_of_a_conditional_order_follows_it_through_its_trigger_and_a_reorg(tmp_path: Path) -> None:
    placed = signed(ALICE, 0, Side.SELL, 1000, 9)
    order = dataclasses.replace(placed.order, condition=Condition(Trigger.INDEX_FALLS_BY, 10, 0))
    facts = [LISTED, ACTIVE, Credited(ALICE, 2, 10**20), PriceUpdated(2, 10**9, 5)]
    commands = [ApplyFact(1, n, 0, n, False, fact) for n, fact in enumerate(facts, 1)]
    commands.append(Place(2, order, placed.signature, placed.digest))
    commands.append(ApplyFact(3, 20, 0, 20, False, PriceUpdated(2, 1, 6)))
    commands.append(ApplyFact(4, 20, 0, 21, True, PriceUpdated(2, 1, 6)))
    proofs = {"PENDING": (0, 0), "OPEN": (5, 6)}
    for stored in range(5, len(commands) + 1):
        for merged in (True, False):
            database = open_database(f"sqlite:///{tmp_path / f'{stored}{merged}.db'}")
            tables, engine = OrderTables(database), Engine()
            tables.open()
            played = [(n, engine.apply(command)) for n, command in enumerate(commands[:stored], 1)]
            for batch in [played] if merged else [[one] for one in played]:
                project(tables, batch)
            row, view = tables.find(placed.digest), engine.order_state(placed.digest)
            assert row is not None
            assert view is not None
            assert [getattr(row, name) for name in view._fields] == [getattr(view, name) for name in view._fields]
            assert view.status == ["PENDING", "OPEN", "PENDING"][stored - 5]
            if stored < len(commands):
                sent = Store(database).signed_orders([placed.digest])[placed.digest]
                assert sent.proof == proofs[view.status]


@pytest.mark.parametrize("merged", [True, False])
def test_the_row_of_a_filled_order_gets_the_new_proof_and_nothing_else(tmp_path: Path, merged: bool) -> None:
    """A reorg has taken the first one; the settler reads the row."""
    stop, taker = signed(ALICE, 0, Side.SELL, 1000, 4), signed(BOB, 0, Side.BUY, 1000, 4)
    order = dataclasses.replace(stop.order, condition=Condition(Trigger.INDEX_AT_OR_BELOW, 10, 0))
    facts = [LISTED, ACTIVE, Credited(ALICE, 2, 10**20), Credited(BOB, 0, 10**12), PriceUpdated(2, 1, 5)]
    commands = [ApplyFact(1, n, 0, n, False, fact) for n, fact in enumerate(facts, 1)]
    commands += [
        Place(2, one, stop.signature, digest) for one, digest in ((order, stop.digest), (taker.order, taker.digest))
    ]
    commands.append(ApplyFact(3, 5, 0, 6, True, facts[-1]))
    commands.append(ApplyFact(4, 21, 0, 7, False, PriceUpdated(2, 1, 8)))
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    tables, engine = OrderTables(database), Engine()
    tables.open()
    played = [(n, engine.apply(command)) for n, command in enumerate(commands, 1)]
    for batch in [played] if merged else [[one] for one in played]:
        project(tables, batch)
    row, view = tables.find(stop.digest), engine.order_state(stop.digest)
    assert row is not None
    assert view is not None
    assert [getattr(row, name) for name in view._fields] == [getattr(view, name) for name in view._fields]
    assert (row.status, row.reason, row.updated_ms, row.proof) == ("FILLED", "FILLED", 4, (8, 0))
    assert Store(database).signed_orders([stop.digest])[stop.digest].proof == (8, 0)


def test_the_rows_of_a_pair_follow_the_fills_of_either_leg(tmp_path: Path) -> None:
    target, taker = signed(ALICE, 0, Side.SELL, 1000, 9), signed(BOB, 0, Side.BUY, 1000, 4)
    stop = dataclasses.replace(target.order, condition=Condition(Trigger.INDEX_AT_OR_BELOW, 10, 0))
    facts = [LISTED, ACTIVE, Credited(ALICE, 2, 10**20), Credited(BOB, 0, 10**12)]
    commands = [ApplyFact(1, n, 0, n, False, fact) for n, fact in enumerate(facts, 1)]
    digests = [target.digest, b"s" * 32, taker.digest]
    orders = [target.order, stop, taker.order]
    commands += [Place(2, order, target.signature, digest) for order, digest in zip(orders, digests, strict=True)]
    for merged in (True, False):
        tables, engine = OrderTables(open_database(f"sqlite:///{tmp_path / str(merged)}.db")), Engine()
        tables.open()
        played = [(n, engine.apply(command)) for n, command in enumerate(commands, 1)]
        for batch in [played] if merged else [[one] for one in played]:
            project(tables, batch)
        for digest in digests:
            row, view = tables.find(digest), engine.order_state(digest)
            assert row is not None
            assert view is not None
            assert [getattr(row, name) for name in view._fields] == [getattr(view, name) for name in view._fields]
        assert view.status == "FILLED"
        second = engine.order_state(digests[1])
        assert second is not None
        assert (second.status, second.filled_before, second.remaining) == ("PENDING", 4, 5)


@pytest.mark.parametrize("condition", [None, Condition(Trigger.LAST_RISES_BY, 2**64 - 1, 2**40 - 2)])
def test_the_settler_reads_the_order_that_was_signed(tmp_path: Path, condition: Condition | None) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    tables, store = OrderTables(database), Store(database)
    tables.open()
    placed = signed(ALICE, 0, Side.SELL, 1000, 9)
    order = dataclasses.replace(placed.order, expiry=2**40 - 1, condition=condition)
    project(tables, [(1, [OrderAccepted(1, order, placed.signature, placed.digest, None)])])
    assert store.signed_orders([placed.digest]) == {placed.digest: SignedOrder(order, placed.signature, placed.digest)}
    found = tables.find(placed.digest)
    assert found is not None
    assert found.order == order


def test_a_second_writer_of_the_tables_is_found_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    mine, other = OrderTables(open_database(url)), OrderTables(open_database(url))
    mine.open()
    other.open()
    project(mine, [(1, [])])
    with pytest.raises(Problem, match="PROJECTOR_CONFLICT"):
        project(other, [(1, [])])


def _voided(database) -> list[int]:
    with database.connect() as connection:
        return [row[0] for row in connection.execute(text("SELECT voided FROM trade"))]


def test_a_journal_of_an_earlier_version_is_refused_with_the_way_on(tmp_path: Path) -> None:
    tables = OrderTables(open_database(f"sqlite:///{tmp_path / 'x.db'}"))
    journal = Journal(tmp_path)
    list(journal.recover())
    journal.append([b'["CancelAll",1,"oaGhoaGhoaGhoaGhoaGhoaGhoaE=",null]'])  # as format 1 wrote it
    journal.close()
    with pytest.raises(Problem, match=r"JOURNAL_FORMAT.*make reset"):
        recover(tmp_path, tables)


def test_a_long_replay_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recovery, "SECONDS_BETWEEN_REPORTS", 0.0)
    caplog.set_level(logging.INFO)
    journal = Journal(tmp_path)
    list(journal.recover())
    for first in range(100_000, 104_000, 1_000):  # all of one size
        journal.append([encode_command(Expire(time_ms)) for time_ms in range(first, first + 1_000)])
    journal.close()
    recover(tmp_path, OrderTables(open_database(f"sqlite:///{tmp_path / 'x.db'}"))).journal.close()
    said = [record.args for record in caplog.records if record.message.startswith("replaying: command")]
    assert [args[:2] for args in said if isinstance(args, tuple)] == [(k * 1_000, 25 * k) for k in range(1, 5)]
    assert "replayed commands 1 to 4000" in caplog.text


def test_tables_of_an_earlier_version_are_refused_with_the_way_on(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    OrderTables(database).open()
    with database.begin() as connection:
        connection.execute(text('ALTER TABLE "order" DROP COLUMN signature_kind'))
    with pytest.raises(Problem, match=r"DATABASE_FORMAT.*lacks signature_kind.*make reset"):
        OrderTables(database).open()


async def test_what_could_not_be_synced_is_called_neither_accepted_nor_refused(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may be on the disk. The process ends, and the next one reads what is there."""
    running = asyncio.create_task(parts.sequencer.run())
    now = parts.sequencer.now_ms()
    await parts.sequencer.submit([ApplyFact(now, 1, 0, 1, False, LISTED)])

    def lost(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lost)
        with pytest.raises(Problem, match=r"ENGINE_UNAVAILABLE.*ask again what was accepted"):
            await parts.sequencer.submit([ApplyFact(now, 2, 0, 2, False, ACTIVE)])
        with pytest.raises(Problem, match="JOURNAL_BROKEN"):
            await running
    parts.journal.close()
    recovered = recover(tmp_path, parts.tables)
    recovered.journal.close()
    assert recovered.journal.sequence == 2, "this time it was there"
    assert recovered.engine.markets()[0].status == MarketStatus.ACTIVE
