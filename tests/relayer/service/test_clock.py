"""The machine's clock leaps, is set back, or is right after a sleep: what the relayer's time does then."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cxdex.facts import Credited
from cxdex.order import Side
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer.clock import NEAR_SECONDS, BoundedClock
from relayer.engine.commands import ApplyFact, Expire, Place
from relayer.engine.core import Engine
from relayer.journal.journal import Journal
from relayer.sequencer import Sequencer
from relayer.settlement_watch import SettlementWatch
from relayer.settler.state import SettlerState
from relayer.settler.store import Store
from tests.relayer.service.running_engine import account, signed, until
from tests.relayer.service.test_parts import ACTIVE, LISTED

NOW, HOUR = 1_800_000_000, 3_600
ALICE = account(1)


class Machine:
    """Its clock, and what really passes. In seconds."""

    def __init__(self) -> None:
        self.wall = float(NOW)
        self.passed = 50.0
        self.clock = BoundedClock(lambda: int(self.wall * 10**9), lambda: int(self.passed * 10**9))

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds

    @property
    def now(self) -> float:
        return self.clock.now_ms() / 1_000 - NOW


def test_time_passes_as_the_machine_says() -> None:
    machine = Machine()
    assert machine.now == 0
    for _ in range(100):
        machine.wait(1)
        machine.wall += 0.01  # it runs a little fast
    assert machine.now == pytest.approx(101, abs=0.01)
    assert (machine.clock.is_doubted, machine.clock.off_seconds) == (False, 0)


def test_a_leap_is_not_believed_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.wall += HOUR
    for _ in range(5):
        machine.wait(1)
        machine.clock.now_ms()
    assert machine.now == 5
    assert machine.clock.is_doubted
    assert machine.clock.off_seconds == pytest.approx(HOUR)
    assert caplog.text.count("ALERT") == 1
    machine.wall -= HOUR
    machine.wait(1)
    assert machine.now == 6
    assert not machine.clock.is_doubted
    assert "believed again" in caplog.text


def test_after_a_sleep_the_chain_bears_the_clock_out() -> None:
    machine = Machine()
    machine.wall += HOUR
    machine.clock.confirm(NOW)
    assert machine.now == 0
    machine.clock.confirm(NOW + HOUR - NEAR_SECONDS - 1)
    assert machine.now == 0
    machine.clock.confirm(NOW + HOUR - NEAR_SECONDS)
    assert machine.now == HOUR
    assert not machine.clock.is_doubted


def test_a_clock_that_is_set_back_is_caught_up_with_at_half_the_pace(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.clock.start_at((NOW + 60) * 1_000)  # a command of the journal has this time
    assert machine.now == 60
    machine.wait(20)
    assert machine.now == 70
    assert machine.clock.off_seconds == -60
    told = []
    for _ in range(100):
        machine.wait(1)
        told.append(machine.now)
    assert told == sorted(told)
    assert told[-1] == machine.wall - NOW == 120
    assert caplog.text.count("ALERT") == 1


def test_a_leap_of_the_clock_expires_no_order(tmp_path: Path) -> None:
    """As the engine's own process stamps its commands."""
    machine = Machine()
    journal = Journal(tmp_path)
    list(journal.recover())
    engine = Engine()
    sequencer = Sequencer(engine, journal, None, lambda _: None, clock=machine.clock)  # type: ignore[arg-type]
    for number, fact in enumerate((LISTED, ACTIVE, Credited(ALICE, 2, 10**20)), 1):
        engine.apply(ApplyFact(sequencer.now_ms(), number, 0, number, False, fact))
    order = signed(ALICE, 0, Side.SELL, 1000, 9, expiry=NOW + HOUR)
    engine.apply(Place(sequencer.now_ms(), order.order, order.signature, order.digest))
    machine.wall += 2 * HOUR
    machine.wait(1)
    engine.apply(Expire(sequencer.now_ms()))
    state = engine.order_state(order.digest)
    assert state is not None
    assert state.status == "OPEN"
    machine.wait(HOUR)
    engine.apply(Expire(sequencer.now_ms()))
    state = engine.order_state(order.digest)
    assert state is not None
    assert state.status == "EXPIRED"
    journal.close()


async def test_a_leap_of_the_clock_makes_settlement_look_late_to_nobody(tmp_path: Path) -> None:
    """The settler's word is of a time that does not leap either."""
    machine = Machine()
    database = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    store = Store(database)
    store.open()
    watch = SettlementWatch(database, ThreadPoolExecutor(1), machine.clock.now_ms)
    machine.wait(10)
    store.write_state(SettlerState(machine.clock.now_ms(), machine.clock.now_ms(), 1, 60_000, 0))
    looking = asyncio.create_task(watch.run())
    machine.wait(70)
    refusal = await until("its first look", lambda: _said(watch))
    assert "the oldest of 1 fills" in refusal.detail or "nothing is known" in refusal.detail
    machine.wall += 2 * HOUR
    store.write_state(SettlerState(machine.clock.now_ms(), machine.clock.now_ms(), 1, 60_000, 0))
    await until("its next look", lambda: _goes_on(watch))
    looking.cancel()


async def _said(watch: SettlementWatch) -> Problem | None:
    return watch.refusal()


async def _goes_on(watch: SettlementWatch) -> bool:
    return watch.refusal() is None
