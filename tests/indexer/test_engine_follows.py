"""The real engine behind the real outbox: whatever the chain does, it arrives at what accounts may use.

Only the journal between them is left out: commands are applied as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine as Database

from cxdex.problem import Problem
from cxdex.storage import open_database
from indexer.snapshot import read_snapshot
from indexer.source import Block
from indexer.store import Store
from relayer.chain_feed import ChainFeed
from relayer.clock import BoundedClock
from relayer.engine.commands import AnyCommand
from relayer.engine.core import Engine
from tests.indexer.event_logs import BASE, DEPLOYMENT, chain, chunk
from tests.indexer.exchange_model import ACCOUNTS, ExchangeModel

Totals = dict[tuple[bytes, int], int]
SIZES = [6, 0, 9, 7, 0, 8, 6]
NOW_MS = 1_800_000_000_000


class Follower:
    """An engine that reads outboxes, and keeps what it knows when they change."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.engine = Engine()
        self.clock = BoundedClock(wall=lambda: NOW_MS * 10**6, counter=lambda: 0)
        self._thread = thread

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def submit(self, commands: Sequence[AnyCommand]) -> asyncio.Future[None]:
        for command in commands:
            self.engine.apply(command)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def read(self, database: Database) -> None:
        """All that the outbox says. A feed is made each time, as after a restart."""

        async def all_of_it() -> None:
            feed = ChainFeed(database, self, self._thread)  # type: ignore[arg-type]
            while await feed.poll():
                pass

        asyncio.run(all_of_it())

    @property
    def totals(self) -> Totals:
        return {
            (account, asset): total
            for account in ACCOUNTS
            for asset, (total, _) in self.engine.balances(account).items()
            if total
        }


@pytest.fixture(scope="module")
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def usable(database: Database) -> Totals:
    """Balances less what is announced to leave."""
    tables = read_snapshot(database, None).tables
    totals = {key: row.amount for key, row in tables["account_balance"].items()}
    for key, row in tables["announced_balance"].items():
        totals[key] -= row.amount
    return {key: total for key, total in totals.items() if total}


def index(path: Path, blocks: Sequence[Block]) -> Store:
    """A database made anew."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    store = Store(open_database(f"sqlite:///{path}"), DEPLOYMENT)
    store.begin(BASE, BASE.number)
    store.append(chunk(blocks), blocks[-1].header.number)
    return store


def forks(seed: int, keep: int) -> tuple[list[Block], list[Block]]:
    """Two chains that share `keep` blocks."""
    model = ExchangeModel(seed)
    first = chain([model.opening(), *(model.operations(size) for size in SIZES)])
    model = ExchangeModel(seed)
    _, _ = model.opening(), [model.operations(size) for size in SIZES[: keep - 1]]
    sizes = (9, 0, 5, *[0] * len(SIZES))  # and then as far as the other one
    rest = chain([model.operations(size) for size in sizes], after=first[keep - 1].header, fork=b"other")
    return first, [*first[:keep], *rest]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), keep=st.integers(1, 8))
def test_the_engine_follows_a_reorg(tmp_path: Path, thread: ThreadPoolExecutor, seed: int, keep: int) -> None:
    lost, won = forks(seed, keep)
    store = index(tmp_path / "exchange.db", lost)
    engine = Follower(thread)
    engine.read(store.engine)
    assert engine.totals == usable(store.engine)
    store.rollback(lost[keep - 1].header)
    store.append(chunk(won[keep:]), won[-1].header.number)
    engine.read(store.engine)
    assert engine.totals == usable(store.engine)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), keep=st.integers(1, 8))
def test_the_engine_survives_a_deleted_database_and_a_reorg_meanwhile(
    tmp_path: Path, thread: ThreadPoolExecutor, seed: int, keep: int
) -> None:
    lost, won = forks(seed, keep)
    engine, fresh = Follower(thread), Follower(thread)
    engine.read(index(tmp_path / "lost.db", lost).engine)
    rebuilt = index(tmp_path / "won.db", won)
    engine.read(rebuilt.engine)
    fresh.read(rebuilt.engine)
    assert engine.totals == fresh.totals == usable(rebuilt.engine)
    for account in ACCOUNTS:
        assert engine.engine.epoch(account) == fresh.engine.epoch(account)
        assert engine.engine.sessions(account) == fresh.engine.sessions(account)
    assert engine.engine.outbox_position == fresh.engine.outbox_position


def test_the_engine_waits_until_the_new_database_is_as_far(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    lost, won = forks(5, 4)
    engine = Follower(thread)
    engine.read(index(tmp_path / "lost.db", lost).engine)
    before = engine.totals
    rebuilt = index(tmp_path / "won.db", won[:5])
    engine.read(rebuilt.engine)  # shorter than what it has seen: nothing to conclude from
    assert engine.totals == before
    rebuilt.append(chunk(won[5:]), won[-1].header.number)
    engine.read(rebuilt.engine)
    assert engine.totals == usable(rebuilt.engine)


def test_the_engine_does_not_guess_about_another_chain(tmp_path: Path, thread: ThreadPoolExecutor) -> None:
    lost, _ = forks(5, 4)
    model = ExchangeModel(5)
    elsewhere = chain([model.opening(), *(model.operations(size) for size in SIZES)], fork=b"elsewhere")
    engine = Follower(thread)
    engine.read(index(tmp_path / "lost.db", lost).engine)
    before = engine.totals
    with pytest.raises(Problem, match="CHAIN_UNKNOWN"):
        engine.read(index(tmp_path / "other.db", elsewhere).engine)
    assert engine.totals == before
