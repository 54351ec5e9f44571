"""The settlement log says everything that happens to a fill, once and in order, whatever dies in between."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from progress_tables import ACCOUNTS, MARKETS, Tables, tx
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from api.database import Database
from api.reads.settlement import settlements_of
from relayer.settlement_log import keeper, rows
from relayer.settlement_log.keeper import KEEP_DAYS, Keeper

BTC = MARKETS[0]
DAY_MS = 86_400_000
PATIENCE_SECONDS = 60.0


def keeper_of(tables: Tables, now_ms: int = 7) -> Keeper:
    return Keeper(tables.database, lambda: now_ms)


def look(keeper: Keeper) -> None:
    while keeper.look():
        pass


def changes(tables: Tables) -> list[Any]:
    table = SQLModel.metadata.tables["settlement_change"]
    with tables.database.connect() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def notices(tables: Tables) -> list[Any]:
    table = SQLModel.metadata.tables["settlement_notice"]
    with tables.database.connect() as connection:
        return list(connection.execute(select(table).order_by(table.c.account, table.c.number)))


def story(tables: Tables, sequence: int = 0, market: str = BTC) -> list[tuple[str, int | None, int | None]]:
    """(status, number of its transaction, block) as the log tells them of one fill."""
    return [
        (row.status, row.tx_hash and int.from_bytes(row.tx_hash, "big"), row.block)
        for row in changes(tables)
        if row.market == market and row.first_sequence <= sequence <= row.last_sequence
    ]


def number(tx_hash: bytes) -> int:
    return int.from_bytes(tx_hash, "big")


def test_the_whole_way_of_a_fill(tables: Tables) -> None:
    keeper = keeper_of(tables)
    tables.match()
    look(keeper)
    batch = tables.send((BTC, 0, 0))
    look(keeper)
    sent = number(tables.hash_of(batch))
    block = tables.mine(BTC, 0, 0, tables.hash_of(batch))
    look(keeper)
    tables.empty_blocks(tables.finality)
    look(keeper)
    assert story(tables) == [
        ("matched", None, None),
        ("submitted", sent, None),
        ("mined", sent, block),
        ("final", sent, block),
    ]
    assert keeper.open_fills == 0


def test_nothing_is_passed_over_by_one_look_at_the_end(tables: Tables) -> None:
    """Replaced, reverted, sent again, mined, final: all before the log is kept for the first time."""
    tables.match()
    first = tables.send((BTC, 0, 0))
    cheap = number(tables.hash_of(first))
    dear = number(tables.replace(first))
    tables.fail(first, in_block=True)
    second = tables.send((BTC, 0, 0))
    block = tables.mine(BTC, 0, 0, tables.hash_of(second))
    keeper = keeper_of(tables)
    with tables.database.begin() as connection:
        rows.begin(connection, {}, 0)
    look(keeper)
    assert story(tables) == [
        ("matched", None, None),
        ("submitted", cheap, None),
        ("submitted", dear, None),
        ("reverted", dear, 0),
        ("submitted", number(tables.hash_of(second)), None),
        ("mined", number(tables.hash_of(second)), block),
    ]


@pytest.mark.parametrize("in_between", [True, False])
def test_a_reorg_leads_through_submitted_into_another_block(tables: Tables, in_between: bool) -> None:
    keeper = keeper_of(tables)
    tables.match()
    batch = tables.send((BTC, 0, 0))
    first = tables.mine(BTC, 0, 0, tables.hash_of(batch))
    look(keeper)
    before = tables.hash_of(batch)
    tables.reorg(1)
    if in_between:
        look(keeper)
    tables.empty_blocks(1)
    second = tables.mine(BTC, 0, 0, tables.replace(batch))
    look(keeper)
    after = number(tables.hash_of(batch))
    told = story(tables)
    assert told[-1] == ("mined", after, second)
    was = told.index(("mined", number(before), first))
    assert {status for status, _, _ in told[was + 1 : -1]} == {"submitted"}


def test_a_skipped_fill_has_its_reason_and_splits_the_run(tables: Tables) -> None:
    keeper = keeper_of(tables)
    for _ in range(3):
        tables.match()
    batch = tables.send((BTC, 0, 2))
    tables.mine(BTC, 0, 0, tables.hash_of(batch))
    tables.mine(BTC, 1, 1, tables.hash_of(batch), reason=5)
    tables.mine(BTC, 2, 2, tables.hash_of(batch))
    look(keeper)
    assert [row.reason for row in changes(tables) if row.status == "skipped"] == ["BUYER_BALANCE"]
    assert [entry[0] for entry in story(tables, 1)] == ["matched", "submitted", "skipped"]
    assert changes(tables)[0][3:5] == (0, 2)


def test_what_somebody_else_settled_is_told_too(tables: Tables) -> None:
    keeper = keeper_of(tables)
    tables.match()
    look(keeper)
    tables.mine(BTC, 0, 0, tx(999))
    look(keeper)
    assert [(entry[0], entry[1]) for entry in story(tables)] == [("matched", None), ("mined", 999)]
    tables.reorg(1)
    look(keeper)
    assert story(tables)[-1][0] == "matched"


def test_a_number_that_others_used_up_is_a_fill_passed_over(tables: Tables) -> None:
    keeper = keeper_of(tables)
    tables.match()
    tables.mine(BTC, 0, 0, tx(999), others=True)
    look(keeper)
    assert [(entry[0], entry[1]) for entry in story(tables)] == [("matched", None), ("skipped", 999)]
    assert changes(tables)[-1].reason == "VOIDED"


def test_an_indexer_that_begins_anew_takes_nothing_back(tables: Tables) -> None:
    keeper = keeper_of(tables)
    tables.match()
    tables.mine(BTC, 0, 0, tx(999))
    tables.empty_blocks(1)
    look(keeper)
    told = story(tables)
    with tables.database.begin() as connection:
        for name in ("settled_fill", "checkpoint"):
            connection.execute(SQLModel.metadata.tables[name].delete())
    look(keeper)
    look(keeper_of(tables))
    assert story(tables) == told


def test_each_account_has_numbers_of_its_own_without_a_hole(tables: Tables) -> None:
    keeper = keeper_of(tables)
    tables.match(maker=0, taker=1)
    tables.match(maker=0, taker=2)
    tables.match(MARKETS[1], maker=1, taker=1)
    look(keeper)
    tables.send((BTC, 0, 1))
    look(keeper)
    told = defaultdict(list)
    for row in notices(tables):
        told[row.account].append(row.number)
    assert dict(told) == {ACCOUNTS[0]: [1, 2], ACCOUNTS[1]: [1, 2, 3], ACCOUNTS[2]: [1, 2]}
    assert [(row.market, row.number) for row in changes(tables)] == [(BTC, 1), (MARKETS[1], 1), (BTC, 2)]


def test_an_exchange_that_has_traded_before_begins_with_its_open_fills(tables: Tables) -> None:
    for _ in range(3):
        tables.match()
    tables.mine(BTC, 0, 1, tx(5))
    tables.empty_blocks(tables.finality)
    tables.mine(BTC, 2, 2, tx(6))
    look(keeper_of(tables))
    assert [(row.first_sequence, row.status) for row in changes(tables)] == [(2, "matched"), (2, "mined")]


def test_two_keepers_do_not_both_say_it(tables: Tables) -> None:
    """Somebody started two settlers: the one that comes second reads again, and has nothing to add."""
    one, other = keeper_of(tables), keeper_of(tables)
    look(one), look(other)
    tables.match()
    look(one)
    with pytest.raises(IntegrityError):
        other.look()
    look(other)
    assert story(tables) == [("matched", None, None)]


def test_a_fault_does_not_end_it(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settler would go on, and nobody would be told anything any more."""
    monkeypatch.setattr(keeper, "PAUSE_SECONDS", 0.01)
    faults, stop = iter([RuntimeError("a fault of ours")]), Event()

    def now_ms() -> int:
        for fault in faults:
            raise fault
        return 7

    running = Thread(target=Keeper(tables.database, now_ms).run, args=[stop])
    running.start()
    tables.match(BTC)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not changes(tables) and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    running.join()
    assert [change.status for change in changes(tables)] == ["matched"]


def test_what_is_old_and_final_goes_and_numbers_go_on(tables: Tables) -> None:
    keeper = keeper_of(tables)
    look(keeper)
    tables.match()
    tables.mine(BTC, 0, 0, tx(5))
    tables.empty_blocks(tables.finality)
    tables.match()
    look(keeper)
    before = changes(tables)
    with tables.database.begin() as connection:
        gone = rows.cut(connection, 7 + KEEP_DAYS * DAY_MS)
    left = changes(tables)
    assert gone == len(before) - len(left) > 0
    assert [row.status for row in left] == ["matched", "final"]  # of an open fill, and the last of the market
    tables.match()
    look(keeper_of(tables))
    assert changes(tables)[-1].number == before[-1].number + 1
    assert [row.number for row in notices(tables) if row.account == ACCOUNTS[0]][-1] == before[-1].number + 1


class LifeOfFills(RuleBasedStateMachine):
    """Anything may happen in any order, and the keeper may die and look whenever it wants."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.tables = Tables(Path(self.folder.name))
        self.database = Database(str(self.tables.database.url))
        self.keeper = keeper_of(self.tables)
        self.waiting: int | None = None  # the batch that was sent and is not in a block
        look(self.keeper)

    @rule(market=st.sampled_from(MARKETS), maker=st.integers(0, 2), taker=st.integers(0, 2))
    def trades(self, market: str, maker: int, taker: int) -> None:
        self.tables.match(market, maker, taker)

    @precondition(lambda self: self.waiting is None and self.spans())
    @rule(is_sent=st.booleans())
    def plans(self, is_sent: bool) -> None:
        spans = self.spans()
        self.waiting = self.tables.send(*spans) if is_sent else self.tables.prepare(*spans)
        if not is_sent:
            self.tables.store.mark_sent(self.waiting, 3)

    @precondition(lambda self: self.waiting is not None)
    @rule(what=st.sampled_from(["replaced", "lost", "reverted", "mined", "mined", "skipped"]))
    def resolves(self, what: str) -> None:
        assert self.waiting is not None
        if what == "replaced":
            self.tables.replace(self.waiting)
            return
        batch, self.waiting = self.waiting, None
        if what in ("lost", "reverted"):
            self.tables.fail(batch, in_block=what == "reverted")
            return
        tx_hash = self.tables.hash_of(batch)
        for market, first, last in self.spans():
            self.tables.mine(market, first, min(last, first + 2), tx_hash, 5 if what == "skipped" else None)
        self.tables.store.mark_mined(batch, tx_hash, self.tables.block, 1, 5)

    @precondition(lambda self: self.spans())
    @rule(others=st.booleans())
    def a_stranger_settles(self, others: bool) -> None:
        market, first, _ = self.spans()[0]
        self.tables.mine(market, first, first, tx(10**6 + self.tables.block), others=others)

    @rule(blocks=st.integers(1, 3))
    def time_passes(self, blocks: int) -> None:
        self.tables.empty_blocks(blocks)

    @precondition(lambda self: self.tables.reversible > 0)
    @rule(depth=st.integers(1, 3))
    def reorg(self, depth: int) -> None:
        self.tables.reorg(min(depth, self.tables.reversible))

    @rule()
    def looks(self) -> None:
        look(self.keeper)
        self.agrees_with_rest()

    @rule()
    def dies(self) -> None:
        self.keeper = keeper_of(self.tables)

    def spans(self) -> list[tuple[str, int, int]]:
        """What is not on the chain."""
        last = self.tables.sequences
        return [(m, self.tables.settled(m), last[m] - 1) for m in MARKETS if last[m] > self.tables.settled(m)]

    def agrees_with_rest(self) -> None:
        with self.database.snapshot() as reader:
            trades = reader.rows(select(SQLModel.metadata.tables["trade"]))
            shown = settlements_of(reader, trades)
        for trade, settlement in zip(trades, shown, strict=True):
            status, number_of_tx, _ = story(self.tables, trade.sequence, trade.market)[-1]
            transaction = settlement["transaction"]
            assert (status, number_of_tx) == (settlement["status"], transaction and int(transaction, 16)), trade

    @invariant()
    def is_in_order(self) -> None:
        if not hasattr(self, "tables"):
            return
        told = changes(self.tables)
        assert [row.id for row in told] == list(range(1, len(told) + 1))
        last: dict[tuple[str, int], Any] = {}
        for row in told:
            for sequence in range(row.first_sequence, row.last_sequence + 1):
                before = last.get((row.market, sequence))
                now = (row.status, row.tx_hash, row.block)
                assert now != before, "said twice"
                assert (before is None) == (row.status == "matched" and before is None)
                if before is not None and row.status == "final":
                    assert before == ("mined", row.tx_hash, row.block)
                if before is not None and before[0] in ("mined", "skipped") and row.status in ("mined", "skipped"):
                    pytest.fail("it left no block before it entered another")
                last[row.market, sequence] = now

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.database.close()
            self.tables.database.dispose()
            self.folder.cleanup()


LifeOfFills.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
test_any_life_is_told_truly = LifeOfFills.TestCase
