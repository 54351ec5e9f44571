"""The engine process as its gateways and its operator meet it."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any
from zlib import crc32

import pytest

from cxdex.order import Side, TimeInForce
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.engine.orders import SETTLEMENT_SECONDS
from relayer.framing import FrameReader
from relayer.journal.segment import segment_name
from relayer.wire import SOCKET_NAME, Feed
from tests.relayer.service.running_engine import (
    MARKET,
    PATIENCE_SECONDS,
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


@pytest.fixture
async def client(engine: RunningEngine, facts: ChainFacts) -> AsyncIterator[EngineClient]:
    facts.open_market([ALICE, BOB])
    engine.start()
    async with engine.client() as connected:
        await wait_for_market(connected, [ALICE, BOB])
        yield connected


async def test_a_batch_trades_and_every_order_is_answered(client: EngineClient, engine: RunningEngine) -> None:
    maker = signed(ALICE, 0, Side.SELL, 1000, 10)
    poor = signed(account(9), 0, Side.BUY, 1000, 1)
    taker = signed(BOB, 0, Side.BUY, 1001, 4)
    results = await client.place([maker, poor, taker, maker])
    assert [result.digest for result in results] == [maker.digest, poor.digest, taker.digest, maker.digest]
    assert results[1].problem is not None
    assert results[1].problem.code == "BALANCE_INSUFFICIENT"
    assert results[2].state is not None
    assert results[2].state.status == "FILLED"
    (fill,) = results[2].fills
    assert (fill.match_id, fill.price, fill.quantity, fill.is_maker) == (1, 1000, 4, False)
    rested = await client.order(maker.digest)
    assert rested is not None
    assert (rested.status, rested.filled, rested.remaining) == ("OPEN", 4, 6)
    assert await client.open_orders(ALICE) == [rested]
    assert [b.reserved for b in (await client.account(ALICE)).balances] == [0, 6 * 10**14]
    assert engine.stop() == 0
    Audit(engine).check()


async def test_the_same_order_twice_is_the_same_order(client: EngineClient, engine: RunningEngine) -> None:
    order = signed(ALICE, 0, Side.SELL, 1000, 10)
    first, again = await asyncio.gather(client.place([order]), client.place([order]))
    assert first[0].state == again[0].state
    status = await client.status()
    third = await client.place([order, order])
    assert [result.state for result in third] == [first[0].state] * 2
    assert (await client.status()).journal_sequence == status.journal_sequence, "a known order is not journaled again"


async def test_callers_who_ask_at_once_get_their_own_answers(client: EngineClient) -> None:
    """Their orders travel in one message, ahead of what is asked behind them."""
    sells = [signed(ALICE, lane, Side.SELL, 1000 + lane, 1) for lane in range(5)]
    poor = signed(account(9), 0, Side.BUY, 1000, 1)
    leaver = asyncio.create_task(client.place([sells[4]]))
    asking = asyncio.gather(
        client.place(sells[:2]), client.place([poor]), client.place([sells[2], sells[0]]), client.place([sells[3]])
    )
    cancelling = asyncio.create_task(client.cancel_all(ALICE))
    await asyncio.sleep(0)
    leaver.cancel()
    first, second, third, fourth = await asyncio.wait_for(asking, 10.0)
    asked = [sells[0], sells[1], poor, sells[2], sells[0], sells[3]]
    assert [result.digest for result in (*first, *second, *third, *fourth)] == [order.digest for order in asked]
    assert second[0].problem is not None
    assert second[0].problem.code == "BALANCE_INSUFFICIENT"
    cancelled = {result.digest for result in await cancelling}
    assert cancelled == {order.digest for order in sells}, "also the one whose caller went away, and none came later"


async def test_an_order_the_engine_has_forgotten_is_answered_from_the_table(client: EngineClient) -> None:
    first = signed(ALICE, 0, Side.SELL, 1000, 1)
    (placed,) = await client.place([first])
    (cancelled,) = await client.cancel(ALICE, [first.digest])
    assert placed.state is not None
    for start in range(1, 4_200, 700):  # the engine remembers 4,096 closed orders
        orders = [signed(ALICE, lane, Side.SELL, 1000, 1, TimeInForce.IOC) for lane in range(start, start + 700)]
        await client.place(orders)
    stored = await until("the tables", lambda: client.order(first.digest))
    assert stored == cancelled.state
    (again,) = await client.place([first])
    assert again.problem is None
    assert again.state == cancelled.state


async def test_cancelling_says_what_was_not_there(client: EngineClient) -> None:
    mine, theirs = signed(ALICE, 0, Side.SELL, 1000, 1), signed(BOB, 0, Side.SELL, 1000, 1)
    await client.place([mine, theirs])
    results = await client.cancel(ALICE, [mine.digest, theirs.digest, b"\x01" * 32])
    assert [r.problem.code if r.problem else r.state and r.state.status for r in results] == [
        "CANCELLED", "ORDER_UNKNOWN", "ORDER_UNKNOWN",
    ]  # fmt: skip
    (twice,) = await client.cancel(ALICE, [mine.digest])
    assert twice.problem is not None
    assert twice.problem.code == "ORDER_NOT_OPEN"
    await client.place([signed(ALICE, lane, Side.SELL, 1000, 1) for lane in (1, 2)])
    assert len(await client.cancel_all(ALICE, MARKET)) == 2
    assert await client.cancel_all(ALICE) == []
    assert len(await client.open_orders(BOB)) == 1


async def test_nonces_are_leased_to_one_device_at_a_time(client: EngineClient) -> None:
    phone, laptop = await client.next_nonces(ALICE, 2), await client.next_nonces(ALICE)
    assert len({*phone, *laptop}) == 3
    await client.place([signed(ALICE, 0, Side.SELL, 1000, 1, TimeInForce.IOC)])
    assert await client.next_nonces(ALICE) == [2], "the lane is free again as soon as its order has arrived and closed"


async def test_orders_expire_on_time(client: EngineClient) -> None:
    order = signed(ALICE, 0, Side.SELL, 1000, 1, expiry=int(time.time()) + SETTLEMENT_SECONDS + 3)
    closed = asyncio.Event()
    await client.subscribe(lambda feed: closed.set() if b'"EXPIRED"' in bytes(feed.data) else None)
    await client.place([order])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await closed.wait()
    found = await client.order(order.digest)
    assert found is not None
    assert (found.status, found.reason) == ("EXPIRED", "EXPIRED")


def rebuilt(messages: list[Feed]) -> tuple[dict[str, dict[str, str]], int]:
    """The book a reader has after these messages, and how many checksums it could verify."""
    book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    checked = 0
    last: int | None = None
    for message in messages:
        data: dict[str, Any] = json.loads(bytes(message.data))
        assert last is None or message.prev == last
        last = message.seq
        for side, levels in data.items():
            for price, quantity in levels:
                book[side].pop(price, None)
                if quantity != "0":
                    book[side][price] = quantity
        if message.crc is not None:
            best = sorted(book["bids"].items(), key=lambda level: -float(level[0]))[:10]
            best += sorted(book["asks"].items(), key=lambda level: float(level[0]))[:10]
            assert crc32("|".join(f"{price}:{quantity}" for price, quantity in best).encode()) == message.crc
            checked += 1
    return book, checked


async def test_a_reader_of_the_feed_has_the_same_book_as_a_late_one(
    client: EngineClient, engine: RunningEngine
) -> None:
    early: list[Feed] = []
    await client.subscribe(early.append)
    for lane in range(0, 220, 2):
        side = (Side.BUY, Side.SELL)[lane // 2 % 2]
        await client.place([signed(ALICE, lane, side, 1000 + lane // 20 - 3 * (side is Side.BUY), 1 + lane % 3)])
        await client.place([signed(BOB, lane, side.opposite, 1000 + lane // 25, 1, TimeInForce.IOC)])
    late: list[Feed] = []
    async with engine.client() as other:
        await other.subscribe(late.append)
    book, checked = rebuilt([message for message in early if message.channel == "book"])
    (snapshot,) = [message for message in late if message.channel == "book"]
    assert snapshot.type == "snapshot"
    assert snapshot.seq == early_last(early)
    assert rebuilt([snapshot])[0] == book
    assert checked >= 2
    channels = {message.channel for message in early}
    assert channels == {"book", "bbo", "ticker", "trades", "orders", "balances"}


def early_last(messages: list[Feed]) -> int:
    return max(message.seq for message in messages if message.channel == "book")


async def test_malformed_frames_are_answered_and_do_not_harm(client: EngineClient, engine: RunningEngine) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(engine.state / SOCKET_NAME))
        bad_order = b'{"msg":"PlaceOrders","id":7,"orders":[{"order":{"account":"AA=="}}]}'
        for body in (b"{", b'{"msg":"Nonsense","id":5}', bad_order, b'{"msg":"GetStatus","id":8}'):
            raw.sendall(len(body).to_bytes(4, "big") + body)
        replies: list[dict[str, Any]] = []
        reader = FrameReader()
        while len(replies) < 4:
            replies += [json.loads(body) for body in reader.feed(raw.recv(65536))]
        assert [(reply["msg"], reply["id"]) for reply in replies] == [
            ("ErrorReply", 0), ("ErrorReply", 5), ("ErrorReply", 7), ("StatusReply", 8),
        ]  # fmt: skip
        raw.sendall((2**31).to_bytes(4, "big"))
        assert b"BODY_TOO_LARGE" in raw.recv(65536)
        assert raw.recv(1) == b""
    assert (await client.status()).markets[0].symbol == MARKET


async def test_a_full_disk_refuses_orders_and_loses_none(engine: RunningEngine, facts: ChainFacts) -> None:
    facts.open_market([ALICE])
    limit = 600_000

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    engine.start(small_disk)
    taken = []
    refusal = None
    async with engine.client() as client:
        await wait_for_market(client, [ALICE])
        for start in range(0, 4_000, 200):
            orders = [signed(ALICE, lane, Side.SELL, 1000, 1) for lane in range(start, start + 200)]
            try:
                taken += [result.digest for result in await client.place(orders) if result.state is not None]
            except Problem as problem:
                refusal = problem
                refused = orders[0].digest
                break
        assert refusal is not None
        assert refusal.code == "ENGINE_UNAVAILABLE"
        assert "File too large" in refusal.detail
        assert len(taken) >= 200
        assert (await client.order(taken[-1])) is not None, "questions are still answered"
        engine.kill()
        await asyncio.to_thread(engine.start)
        assert await client.order(refused) is None
        assert all([await client.order(digest) is not None for digest in taken])
    assert engine.stop() == 0
    Audit(engine).check()


async def test_a_damaged_snapshot_and_a_torn_tail_cost_nothing_acknowledged(
    client: EngineClient, engine: RunningEngine
) -> None:
    orders = [signed(ALICE, lane, Side.SELL, 1000, 1) for lane in range(10)]
    await client.place(orders[:5])
    assert await asyncio.to_thread(engine.stop) == 0
    (snapshot,) = (engine.state / "journal").glob("snapshot-*.bin")
    await asyncio.to_thread(engine.start)
    await client.place(orders[5:])
    await asyncio.to_thread(engine.kill)
    snapshot.write_bytes(snapshot.read_bytes()[:-1])
    with (engine.state / "journal" / segment_name(1)).open("ab") as journal:
        journal.write(b"CXR2 half a rec")
    await asyncio.to_thread(engine.start)
    assert len(await client.open_orders(ALICE)) == 10
    assert "is damaged; using the one before it" in engine.log.read_text()
    assert "15 bytes cut" in engine.log.read_text()
    assert await asyncio.to_thread(engine.stop) == 0
    Audit(engine).check()
    Audit(engine).check_snapshot()


def refused(*arguments: str) -> str:
    """What the operator reads when the engine does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "relayer", "engine", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_what_an_operator_can_get_wrong_is_one_clear_line(engine: RunningEngine) -> None:
    database = f"sqlite:///{engine.database}"
    engine.start()
    assert "another engine" in refused("--state", str(engine.state), "--database", database)
    engine.stop()
    assert "/dev/null" in refused("--state", "/dev/null/state", "--database", database)
    assert "unable to open" in refused("--state", str(engine.state), "--database", "sqlite:////nowhere/at/all.db")
    assert "no_driver" in refused("--state", str(engine.state), "--database", "postgresql+no_driver://h/x")
    deep = engine.state / ("d" * 120)
    assert "SOCKET_UNUSABLE" in refused("--state", str(deep), "--database", f"sqlite:///{engine.state}/other.db")


async def test_a_journal_older_than_the_database_is_refused(client: EngineClient, engine: RunningEngine) -> None:
    await client.place([signed(ALICE, 0, Side.SELL, 1000, 1)])
    await asyncio.to_thread(engine.stop)
    for file in (engine.state / "journal").iterdir():
        file.unlink()
    line = await asyncio.to_thread(refused, "--state", str(engine.state), "--database", f"sqlite:///{engine.database}")
    assert "JOURNAL_BEHIND_DATABASE" in line


async def test_no_engine_is_a_clear_problem(engine: RunningEngine) -> None:
    async with engine.client(timeout=0.2) as client:
        with pytest.raises(Problem, match="ENGINE_UNAVAILABLE"):
            await client.status()
        orders = [signed(ALICE, lane, Side.SELL, 1000, 1) for lane in range(2)]
        answers = await asyncio.gather(*(client.place([order]) for order in orders), return_exceptions=True)
        assert [answer.code for answer in answers if isinstance(answer, Problem)] == ["ENGINE_UNAVAILABLE"] * 2
        assert answers[0] is not answers[1], "each caller raises an exception of its own"
