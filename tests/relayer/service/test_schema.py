"""The relayer's tables: those that are migrated and those that are made are the same, and rows stay what they were."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, inspect, text

from cxdex.nonce import MAX_LANE
from cxdex.order import Side, SignedOrder
from cxdex.order_word import order_word
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer import schema
from relayer.journal.journal import Journal
from relayer.journal.segment import segment_name
from relayer.order_table import ORDERS, TRADES, OrderTables
from relayer.projection import NEW_ORDER, NEW_TRADE
from relayer.recovery import recover
from relayer.settler.store import Store
from tests.relayer.service.running_engine import account, signed

NAMES = {str(model.__tablename__) for model in schema.MODELS}


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'exchange.db'}")


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return ScriptDirectory.from_config(config)


def first_tables(engine: Engine) -> MetaData:
    """As they were before they had versions."""
    first = scripts().get_revision(schema.FIRST_REVISION)
    assert first is not None
    tables: MetaData = first.module.SCHEMA
    tables.create_all(engine)
    return tables


def test_the_newest_migration_is_what_the_program_expects() -> None:
    assert scripts().get_current_head() == schema.REVISION
    assert scripts().get_base() == schema.FIRST_REVISION


@pytest.mark.parametrize("is_old", [True, False])
def test_the_tables_are_the_models_however_they_came_about(database: Engine, is_old: bool) -> None:
    """A model that changes needs a migration: a new file in relayer/migrations/versions."""
    if is_old:
        first_tables(database)
    schema.prepare(database)
    schema.prepare(database)
    wanted = MetaData()
    for model in schema.MODELS:
        model.metadata.tables[str(model.__tablename__)].to_metadata(wanted)
    with database.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in NAMES}
        )
        assert compare_metadata(context, wanted) == []
        assert set(inspect(connection).get_table_names()) == NAMES | {schema.VERSION_TABLE}


def order_of_before(engine: Engine) -> SignedOrder:
    """An open order in tables of the first version."""
    order = first_tables(engine).tables["order"]
    sent = signed(account(1), 0, Side.BUY, 1_000, 9)
    row: dict[str, Any] = {
        column.name: getattr(sent.order, column.name) for column in order.columns if hasattr(sent.order, column.name)
    }
    row |= {"digest": sent.digest, "signature": sent.signature, "signature_kind": 0, "accepted": 1, "status": "OPEN"}
    row |= {"filled": 0, "remaining": 9, "version": 1, "created_ms": 5, "updated_ms": 5}
    with engine.begin() as connection:
        connection.execute(order.insert().values(**row))
    return sent


def test_orders_of_before_are_read_as_they_were(database: Engine) -> None:
    sent = order_of_before(database)
    tables = OrderTables(database)
    tables.open()
    found = tables.find(sent.digest)
    assert found is not None
    assert (found.order, found.replaces, found.replaced_by, found.filled_before) == (sent.order, b"", b"", 0)


def trades_of_before(engine: Engine) -> tuple[bytes, bytes]:
    """Three trades of two orders, of a low lane and of the last one, in tables of the first version. Returns the
    orders' words."""
    tables = first_tables(engine).tables
    made, taken = signed(account(1), 3, Side.SELL, 1_000, 9), signed(account(2), MAX_LANE, Side.BUY, 1_000, 9)
    with engine.begin() as connection:
        for number, sent in enumerate((made, taken), 1):
            row = {
                column.name: getattr(sent.order, column.name)
                for column in tables["order"].columns
                if hasattr(sent.order, column.name)
            }
            row |= {"digest": sent.digest, "signature": sent.signature, "signature_kind": 0, "accepted": number}
            row |= {"status": "FILLED", "filled": 9, "remaining": 0, "version": 2, "created_ms": 5, "updated_ms": 5}
            connection.execute(tables["order"].insert().values(**row))
        for number in range(1, 4):
            trade = {"match_id": number, "market": made.order.market, "sequence": number, "taker_is_buyer": True}
            trade |= {"maker_digest": made.digest, "taker_digest": taken.digest, "maker": made.order.account}
            trade |= {"taker": taken.order.account, "price": 1_000, "quantity": 3, "maker_fee": 0, "taker_fee": 0}
            connection.execute(tables["trade"].insert().values(**trade, time_ms=5, voided=False))
    made_word, taken_word = (order_word(one.order.account, one.order.nonce, one.digest) for one in (made, taken))
    return made_word, taken_word


def names_of_trades(engine: Engine) -> list[tuple[bytes, bytes]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT maker_order, taker_order FROM trade ORDER BY match_id")).all()
    return [(bytes(maker), bytes(taker)) for maker, taker in rows]


def test_trades_of_before_get_the_names_of_their_orders(database: Engine) -> None:
    words = trades_of_before(database)
    schema.prepare(database)
    assert names_of_trades(database) == [words] * 3


def test_tables_of_a_newer_version_are_refused_by_both_who_use_them(database: Engine) -> None:
    schema.prepare(database)
    with database.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    for opening in (OrderTables(database).open, Store(database).open):
        with pytest.raises(Problem, match=r"DATABASE_FORMAT.*9999"):
            opening()


def test_a_journal_that_cannot_be_read_leaves_older_tables_to_the_version_that_wrote_both(
    database: Engine, tmp_path: Path
) -> None:
    first_tables(database)
    before = {name: [column["name"] for column in inspect(database).get_columns(name)] for name in ("order", "trade")}
    for opening in (Store(database).open, lambda: recover(old_journal(tmp_path), OrderTables(database))):
        with pytest.raises(Problem) as refused:
            opening()
        seen = inspect(database)
        assert {name: [column["name"] for column in seen.get_columns(name)] for name in before} == before
        assert schema.VERSION_TABLE not in seen.get_table_names()
    assert refused.value.code == "JOURNAL_FORMAT"
    assert "To go back" in refused.value.detail
    assert "To go on" in refused.value.detail
    assert [path.name for path in (tmp_path / "journal").iterdir()] == [segment_name(1)]


def old_journal(folder: Path) -> Path:
    directory = folder / "journal"
    if not directory.exists():
        directory.mkdir()
        journal = Journal(directory)
        list(journal.recover())
        journal.append([b'["CancelAll",1,"oaGhoaGhoaGhoaGhoaGhoaGhoaE=",null]'])  # as format 1 wrote it
        journal.close()
    return directory


def test_the_settler_waits_until_the_engine_has_brought_the_tables_up_to_date(database: Engine) -> None:
    first_tables(database)
    with pytest.raises(Problem, match="DATABASE_FORMAT"):
        Store(database).open()
    OrderTables(database).open()
    Store(database).open()


def test_engine_and_settler_may_come_together(database: Engine) -> None:
    problems: list[Exception] = []

    def open_it(opening: Any) -> None:
        try:
            opening()
        except Exception as error:
            problems.append(error)

    threads = [Thread(target=open_it, args=[opening]) for opening in (OrderTables(database).open, Store(database).open)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_new_row_says_every_column() -> None:
    assert set(NEW_ORDER) == set(ORDERS.columns.keys())
    assert set(NEW_TRADE) == set(TRADES.columns.keys())
