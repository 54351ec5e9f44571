"""What the engine process tells Prometheus."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cxdex.condition import Condition, Trigger
from cxdex.facts import Credited, NonceRaised, PriceUpdated
from cxdex.order import Side, TimeInForce
from relayer.engine.orders import SETTLEMENT_SECONDS
from relayer.wire import GuardState, ReduceStep
from scripts.stack.layout import free_port
from tests.relayer.service.running_engine import (
    MARKET,
    ChainFacts,
    RunningEngine,
    account,
    as_sent,
    signed,
    wait_for_market,
)
from tests.scraping import Scrape, scrape, scrape_until

ALICE, BOB, CAROL = account(1), account(2), account(3)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def measured(tmp_path: Path, port: int) -> Iterator[RunningEngine]:
    running = RunningEngine(tmp_path, "--metrics-port", str(port))
    yield running
    running.close()


async def test_orders_matches_and_the_journal_are_counted(
    measured: RunningEngine, facts: ChainFacts, port: int
) -> None:
    facts.open_market([ALICE, BOB])
    measured.start()
    async with measured.client() as client:
        await wait_for_market(client, [ALICE, BOB])
        before = await asyncio.to_thread(scrape, port)
        assert before["cxdex_orders_accepted_total"] == 0
        await client.subscribe(lambda _feed: None)
        await client.place([signed(ALICE, 0, Side.SELL, 1000, 10), signed(BOB, 0, Side.BUY, 1000, 4)])
        await client.place([signed(BOB, 1, Side.BUY, 1000, 1), signed(account(9), 0, Side.BUY, 1000, 1)])
        status = await client.status()
        seen = await asyncio.to_thread(scrape_until, port, lambda seen: seen["cxdex_projector_lag_commands"] == 0)
    assert seen["cxdex_orders_accepted_total"] == 3
    assert seen.of("cxdex_orders_rejected_total", code="BALANCE_INSUFFICIENT") == 1
    assert seen.labels("cxdex_orders_rejected_total", "code") == {"BALANCE_INSUFFICIENT"}
    assert seen["cxdex_matches_total"] == 2
    assert seen["cxdex_engine_fill_seconds_count"] == 2
    assert 0 <= seen["cxdex_engine_fill_seconds_sum"] < 10
    assert seen.of("cxdex_engine_fill_seconds_bucket", le="+Inf") == 2
    assert seen["cxdex_journal_sequence"] == status.journal_sequence
    assert seen["cxdex_journal_group_commands_sum"] == status.journal_sequence
    syncs = seen["cxdex_journal_sync_seconds_count"]
    assert 3 <= syncs <= status.journal_sequence
    assert 0 < seen["cxdex_journal_sync_seconds_sum"] < 10
    assert seen.of("cxdex_journal_sync_seconds_bucket", le="+Inf") == syncs
    assert seen["cxdex_engine_queue_commands"] == 0
    assert seen["cxdex_engine_chain_block"] == 6
    assert seen["cxdex_feed_subscribers"] == 1
    assert seen["cxdex_feed_subscribers_dropped_total"] == 0
    assert seen["process_resident_memory_bytes"] > 0
    assert measured.stop() == 0


async def test_cancels_are_counted_by_what_caused_them(measured: RunningEngine, facts: ChainFacts, port: int) -> None:
    facts.open_market([ALICE, BOB, CAROL])
    measured.start()
    async with measured.client() as client:
        await wait_for_market(client, [ALICE, BOB, CAROL])
        expires = signed(ALICE, 0, Side.SELL, 1002, 5, expiry=int(time.time()) + SETTLEMENT_SECONDS + 4)
        by_user, by_chain = signed(ALICE, 1, Side.SELL, 1001, 5), signed(ALICE, 2, Side.SELL, 1000, 5)
        await client.place([expires, by_user, by_chain, signed(BOB, 0, Side.BUY, 10, 1, TimeInForce.IOC)])
        await client.cancel(ALICE, [by_user.digest])
        facts.append(NonceRaised(ALICE, 2, 2))
        await client.set_guard(BOB, GuardState(MARKET, 60_000, lots=1))
        await client.place([signed(BOB, 1, Side.BUY, 900, 2), signed(BOB, 2, Side.BUY, 899, 2)])
        await client.place([signed(ALICE, 3, Side.SELL, 900, 1, TimeInForce.IOC)])  # BOB's protection trips
        await client.place([signed(CAROL, 0, Side.SELL, 2000, 1)])
        await client.end_watch(CAROL, b"c" * 16, lost=True)
        await client.place([signed(CAROL, 1, Side.SELL, 2000, 1)])
        await client.set_countdown(CAROL, 1)
        expected = {
            "USER": 1, "IOC": 1, "CHAIN_CANCEL": 1, "PROTECTION": 2, "DISCONNECTED": 1, "DEADMAN": 1, "EXPIRED": 1,
        }  # fmt: skip
        await asyncio.to_thread(scrape_until, port, lambda seen: cancelled(seen) == expected)


async def test_triggers_are_counted_by_what_came_of_them(measured: RunningEngine, facts: ChainFacts, port: int) -> None:
    facts.open_market([ALICE, BOB])
    facts.append(Credited(CAROL, 0, 1))
    measured.start()
    async with measured.client() as client:
        await wait_for_market(client, [ALICE, BOB])
        stop = Condition(Trigger.INDEX_AT_OR_BELOW, 900, int(time.time()) - 60)
        plain = [signed(CAROL, 0, Side.SELL, 800, 5), signed(ALICE, 0, Side.SELL, 800, 5)]
        plain.append(signed(ALICE, 1, Side.SELL, 800, 5, TimeInForce.IOC))
        sent = [as_sent(replace(one.order, condition=stop)) for one in plain]
        assert [result.problem for result in await client.place(sent)] == [None] * 3
        facts.append(PriceUpdated(2, 1, int(time.time())))
        name = "cxdex_order_triggers_total"
        where = {"trigger": "INDEX_AT_OR_BELOW"}
        seen = await asyncio.to_thread(scrape_until, port, lambda seen: seen.labels(name, "outcome"))
        assert seen.of(name, outcome="ENTERED", **where) == 2
        assert seen.of(name, outcome="BALANCE_INSUFFICIENT", **where) == 1
        await client.take([ReduceStep(ALICE, sent[1].digest, 9)])
        await asyncio.to_thread(scrape_until, port, lambda seen: refused(seen, "ORDER_AMEND_RAISES") == 1)


def refused(seen: Scrape, code: str) -> float:
    return seen.of("cxdex_orders_rejected_total", code=code)


def cancelled(seen: Scrape) -> dict[str, float]:
    name = "cxdex_orders_cancelled_total"
    return {reason: seen.of(name, reason=reason) for reason in seen.labels(name, "reason")}


def test_a_metrics_port_that_is_taken_is_one_clear_line(measured: RunningEngine, facts: ChainFacts, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(AssertionError, match="did not start"):
            measured.start()
    assert measured.process is not None
    assert measured.process.wait(10) == 1
    said = measured.log.read_text()
    assert f"PORT_UNAVAILABLE: cannot serve metrics on 127.0.0.1:{port}" in said
    assert "Traceback" not in said
