"""Tables that are migrated and tables that are made are the same, and nothing that was told is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, inspect, text
from sqlmodel import SQLModel

from cxdex import outbox
from cxdex.storage import open_database
from indexer import schema, tables
from indexer.halt import Halt
from indexer.rebuild import fold_stored_logs
from indexer.store import PROJECTION_VERSION, Store
from tests.indexer.event_logs import BASE, DEPLOYMENT, chain, chunk
from tests.indexer.exchange_model import ExchangeModel


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'exchange.db'}")


def test_the_newest_migration_is_what_the_program_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == schema.REVISION
    assert script.get_base() == schema.FIRST_REVISION


def test_migrated_tables_are_the_models(database: Engine) -> None:
    first_tables(database)
    schema.prepare(database)
    ours = {getattr(tables, name).__tablename__ for name in tables.__all__}
    wanted = MetaData()
    for name in ours:
        SQLModel.metadata.tables[name].to_metadata(wanted)
    with database.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in ours}
        )
        assert compare_metadata(context, wanted) == []
        assert set(inspect(connection).get_table_names()) == ours | {schema.VERSION_TABLE}


def test_a_migrated_table_orders_its_columns_as_a_made_one(database: Engine, tmp_path: Path) -> None:
    first_tables(database)
    schema.prepare(database)
    fresh = open_database(f"sqlite:///{tmp_path / 'fresh.db'}")
    schema.prepare(fresh)
    assert columns(database) == columns(fresh)


def columns(engine: Engine) -> dict[str, list[Any]]:
    inspected = inspect(engine)
    return {
        name: [(column["name"], column["nullable"]) for column in inspected.get_columns(name)]
        for name in sorted(inspected.get_table_names())
    }


def test_what_was_told_stays_told_and_gets_its_hash(database: Engine) -> None:
    """A database from before: its facts keep their places, and a rebuild from its logs says nothing twice."""
    model = ExchangeModel(3)
    blocks = chain([model.opening(), model.operations(6), model.operations(6)])
    store = Store(database, DEPLOYMENT)
    store.begin(BASE, BASE.number)
    store.append(chunk(blocks), blocks[-1].header.number)
    with database.connect() as connection:
        told = outbox.rows_after(connection, 0, 10_000)
    as_it_was(database)

    with pytest.raises(Halt, match="PROJECTION_VERSION") as halted:
        Store(database, DEPLOYMENT)
    assert "rebuild --from-raw" in (halted.value.allowed or "")
    migrated = Store(database, DEPLOYMENT, any_version=True)
    fold_stored_logs(migrated, DEPLOYMENT)
    with database.connect() as connection:
        assert outbox.rows_after(connection, 0, 10_000) == told


def as_it_was(engine: Engine) -> None:
    """The same logs and facts in the first schema."""
    with engine.begin() as connection:
        kept = {
            name: [tuple(row) for row in connection.execute(text(f"SELECT {what} FROM {name}"))]
            for name, what in (
                ("chain_block", "number, hash, parent, timestamp"),
                ("raw_log", "block, log_index, address, topics, data, tx_hash"),
                ("outbox", "seq, block, log_index, reverted, payload"),
                (
                    "checkpoint",
                    "id, block, hash, timestamp, emitted_block, head, undo_floor, chain_id, settlement, "
                    f"{PROJECTION_VERSION - 1}",
                ),
            )
        }
        for name in inspect(connection).get_table_names():
            connection.execute(text(f"DROP TABLE {name}"))
    first_tables(engine)
    with engine.begin() as connection:
        for name, rows in kept.items():
            marks = ", ".join("?" * len(rows[0]))
            connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", rows)


def first_tables(engine: Engine) -> None:
    """As the first version made them: without a revision."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    first = script.get_revision(schema.FIRST_REVISION)
    assert first is not None
    first.module.SCHEMA.create_all(engine)


def test_tables_of_a_newer_version_are_refused(database: Engine) -> None:
    schema.prepare(database)
    with database.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(Halt, match="SCHEMA_UNKNOWN"):
        schema.prepare(database)
