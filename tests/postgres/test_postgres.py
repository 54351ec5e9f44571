"""The same on PostgreSQL as on SQLite: the indexer's rows, the relayer's tables, and an exchange as a whole."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from cxdex.facts import Credited, FillSkipped, MarketStatusChanged
from cxdex.market import MarketStatus
from cxdex.order import Side
from cxdex.storage import open_database
from indexer.digest import table_digests
from indexer.store import Store
from relayer.chain_feed import ChainFeed
from relayer.engine.commands import ApplyFact, Place
from relayer.engine.core import Engine
from relayer.engine.events import AnyEvent
from relayer.journal.journal import Journal
from relayer.order_table import OrderTables
from relayer.projector import project
from relayer.sequencer import Sequencer
from relayer.settler.state import SettlerState, read_state
from relayer.settler.store import Store as SettlerStore
from scripts.stack.layout import Layout, free_port
from scripts.stack.run import Stack
from tests.e2e.test_spine import (
    MARKET,
    PATIENCE_SECONDS,
    agrees,
    best_ask,
    exchange_of,
    order_or_none,
    raised,
    wait_for,
)
from tests.indexer.event_logs import BASE, DEPLOYMENT, chain, chunk
from tests.indexer.exchange_model import ExchangeModel
from tests.postgres.conftest import Make
from tests.relayer.service.running_engine import LISTED, account, signed
from tests.relayer.service.test_schema import first_tables

ALICE, BOB = account(1), account(2)


def test_the_indexers_rows_are_the_same_also_after_a_reorg(postgres: Make, tmp_path: Path) -> None:
    model = ExchangeModel(7)
    blocks = chain([model.opening(), *(model.operations(12) for _ in range(8))])
    model = ExchangeModel(7)
    opening, first = model.opening(), [model.operations(12) for _ in range(4)]
    kept = chain([opening, *first])
    won = [*kept, *chain([model.operations(9) for _ in range(5)], after=kept[-1].header, fork=b"other")]
    digests, outboxes = [], []
    for url in (postgres(), f"sqlite:///{tmp_path / 'exchange.db'}"):
        store = Store(open_database(url), DEPLOYMENT)
        store.begin(BASE, BASE.number)
        store.append(chunk(blocks), blocks[-1].header.number)
        store.rollback(kept[-1].header)
        store.append(chunk(won[len(kept) :]), won[-1].header.number)
        with store.engine.connect() as connection:
            digests.append(table_digests(connection))
            rows = connection.execute(text("SELECT seq, block, log_index, reverted, payload FROM outbox ORDER BY seq"))
            outboxes.append([(*map(int, row[:4]), row[4]) for row in rows])
    assert digests[0] == digests[1]
    assert outboxes[0] == outboxes[1]
    assert len(outboxes[0]) > 20


async def test_the_engine_follows_the_indexers_facts(postgres: Make, tmp_path: Path) -> None:
    url = postgres()
    model = ExchangeModel(3)
    blocks = chain([model.opening(), *(model.operations(15) for _ in range(5))])
    journal = Journal(tmp_path)
    list(journal.recover())
    thread = ThreadPoolExecutor(1)
    sequencer = Sequencer(Engine(), journal, thread, lambda _: None)
    running = asyncio.create_task(sequencer.run())
    feed = ChainFeed(open_database(url), sequencer, thread)
    assert await feed.poll() == 0, "no table yet"
    store = Store(open_database(url), DEPLOYMENT)
    store.begin(BASE, BASE.number)
    store.append(chunk(blocks), blocks[-1].header.number)
    while await feed.poll():
        pass
    with store.engine.connect() as connection:
        rows = connection.execute(text("SELECT account, asset, amount FROM account_balance")).all()
    assert len(rows) > 3
    for row in rows:
        assert sequencer.engine.balances(bytes(row.account)).get(row.asset, (0, 0))[0] <= int(row.amount)
    assert sequencer.engine.outbox_position[2] > 20
    running.cancel()


def played() -> list[tuple[int, list[AnyEvent]]]:
    engine = Engine()
    active = MarketStatusChanged(LISTED.symbol, MarketStatus.ACTIVE, MarketStatus.PAUSED)
    facts = [LISTED, active, Credited(ALICE, 2, 10**30), Credited(BOB, 0, 2**128)]
    sell = signed(ALICE, 0, Side.SELL, 2**64 - 1, 9)
    commands = [ApplyFact(1, number, 0, number, False, fact) for number, fact in enumerate(facts, 1)]
    orders = [sell, signed(BOB, 0, Side.BUY, 2**64 - 1, 4), signed(BOB, 1, Side.BUY, 900, 2)]
    commands += [Place(2, one.order, one.signature, one.digest, one.client_order_id) for one in orders]
    commands.append(ApplyFact(3, 9, 0, 9, False, FillSkipped(LISTED.symbol, 0, 1)))
    return [(number, engine.apply(command)) for number, command in enumerate(commands, 1)]


def test_the_relayers_tables_hold_the_largest_values(postgres: Make, tmp_path: Path) -> None:
    found = []
    for url in (postgres(), f"sqlite:///{tmp_path / 'exchange.db'}"):
        database = open_database(url)
        tables, settler = OrderTables(database), SettlerStore(database)
        tables.open()
        settler.open()
        project(tables, played())
        settler.write_state(SettlerState(2**53, None, 3, 120_000, 2**40, "node", "trouble"))
        assert OrderTables(database).open() == tables.cursor
        digests = [signed(ALICE, 0, Side.SELL, 2**64 - 1, 9).digest, signed(BOB, 0, Side.BUY, 2**64 - 1, 4).digest]
        trades = settler.trades({LISTED.symbol: 0}, 10)
        orders = settler.signed_orders(digests)
        found.append(([tables.find(digest) for digest in digests], trades, orders, read_state(database)))
    assert found[0] == found[1]
    assert found[0][1][0].voided


def test_the_relayers_older_tables_are_migrated(postgres: Make) -> None:
    database = open_database(postgres())
    first_tables(database)
    OrderTables(database).open()
    SettlerStore(database).open()
    with database.connect() as connection:
        assert "proof_second" in {column["name"] for column in inspect(connection).get_columns("order")}


@pytest.mark.e2e
def test_a_whole_exchange_on_postgres(postgres: Make, tmp_path: Path) -> None:
    layout = Layout(
        state=tmp_path, api_port=free_port(), node_port=free_port(), settle_seconds=1.0, withdrawal_delay=2,
        database=postgres(),
    )  # fmt: skip
    stack = Stack(layout)
    stack.start()
    try:
        alice, bob = exchange_of(layout, "alice"), exchange_of(layout, "bob")
        ask = wait_for("a book with both sides", lambda: best_ask(alice))
        order = alice.buy(MARKET, "0.01", price=raised(ask), time_in_force="IOC")
        fills = alice.wait_until_settled(order, within=PATIENCE_SECONDS)
        assert (order.status, len(fills) > 0) == ("FILLED", True)
        assert alice.wait_settled(fills[0], within=PATIENCE_SECONDS).transaction == fills[0].settlement.transaction
        resting = bob.buy(MARKET, "0.01", price="1000")
        for victim in ("engine", "indexer"):
            stack.child(victim).kill()
            stack.child(victim).restart()
        kept = wait_for("the order", lambda: order_or_none(bob, resting.id))
        assert kept.status == "OPEN"
        wait_for("database, chain and engine to agree", lambda: agrees(layout))
        assert {"order", "trade", "account_balance"} <= set(
            inspect(open_database(layout.database_url)).get_table_names()
        )
        assert not (tmp_path / "exchange.db").exists()
    finally:
        stack.stop()
