"""Tables of the first versions, with rows in them, are brought up to date on PostgreSQL as on SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, inspect

from cxdex.storage import open_database
from indexer import schema as indexer_schema
from relayer import schema as relayer_schema
from relayer.order_table import OrderTables
from tests.indexer.test_schema import assert_fills_are_named, fills_of_before
from tests.postgres.conftest import Make
from tests.relayer.service.test_schema import first_tables, names_of_trades, order_of_before, trades_of_before


def test_fills_and_trades_of_before_are_named_as_the_chain_names_them(postgres: Make) -> None:
    """Both programs' tables in one database, as they are installed."""
    database = open_database(postgres())
    fills_of_before(database)
    words = trades_of_before(database)
    indexer_schema.prepare(database)
    relayer_schema.prepare(database)
    assert_fills_are_named(database)
    assert names_of_trades(database) == [words] * 3


def test_orders_of_before_are_read_as_they_were(postgres: Make) -> None:
    database = open_database(postgres())
    sent = order_of_before(database)
    tables = OrderTables(database)
    tables.open()
    found = tables.find(sent.digest)
    assert found is not None
    assert (found.order, found.replaces, found.replaced_by, found.filled_before) == (sent.order, b"", b"", 0)


def test_migrated_tables_are_the_made_ones(postgres: Make) -> None:
    """Columns (the relayer names them whenever it writes or reads), keys and indexes."""
    migrated, made = open_database(postgres()), open_database(postgres())
    fills_of_before(migrated)
    first_tables(migrated)
    for database in (migrated, made):
        indexer_schema.prepare(database)
        relayer_schema.prepare(database)
    assert shape(migrated) == shape(made)


def shape(database: Engine) -> dict[str, Any]:
    seen = inspect(database)
    return {
        name: (
            sorted((column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(name)),
            seen.get_pk_constraint(name)["constrained_columns"],
            sorted((index["name"] or "", *index["column_names"], index["unique"]) for index in seen.get_indexes(name)),
        )
        for name in seen.get_table_names()
    }
