"""Tables that are migrated and tables that are made are the same, and nothing that was told is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, inspect, select, text
from sqlmodel import SQLModel

from cxdex import outbox
from cxdex.keccak import keccak
from cxdex.order_word import order_word
from cxdex.storage import open_database
from indexer import rebuild, schema, tables
from indexer.follow import Follower
from indexer.halt import Halt
from indexer.node import Node
from indexer.rebuild import fold_stored_logs
from indexer.run import Runner
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


def first_tables(engine: Engine) -> MetaData:
    """As the first version made them: without a revision."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    first = script.get_revision(schema.FIRST_REVISION)
    assert first is not None
    made: MetaData = first.module.SCHEMA
    made.create_all(engine)
    return made


def test_tables_of_a_newer_version_are_refused(database: Engine) -> None:
    schema.prepare(database)
    with database.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(Halt, match="SCHEMA_UNKNOWN"):
        schema.prepare(database)


FILLS, ORDERS = (SQLModel.metadata.tables[name] for name in ("settled_fill", "order_fill"))
MAKER, TAKER = bytes([1] * 20), bytes([2] * 20)
MADE, TAKEN = keccak(b"made"), keccak(b"taken")  # digests


def old_fill(sequence: int, **described: Any) -> dict[str, Any]:
    place = {"block": 5, "log_index": sequence, "sequence": sequence, "market": "sBTC-USDC"}
    return {**place, "tx_hash": bytes(32), "timestamp": 7, **described}


def fills_of_before(engine: Engine) -> None:
    """The three kinds of rows, as the event of six words left them: settled, skipped (no nonces), voided (nothing)."""
    old = first_tables(engine).tables
    match = {"maker_order": MADE, "taker_order": TAKEN, "maker": MAKER, "taker": TAKER, "price": 2**63}
    match |= {"quantity": 4, "taker_is_buyer": True}
    fees = {"maker_fee": 1, "taker_fee": 2**40, "maker_nonce": 2**63 + 9, "taker_nonce": 8}
    with engine.begin() as connection:
        for row in (
            old_fill(0, **match, **fees),
            old_fill(1, **match, **fees),
            old_fill(2, **match, reason=5),
            old_fill(3, reason=255),
        ):
            connection.execute(old["settled_fill"].insert().values(**row))
        connection.execute(old["order_fill"].insert().values(digest=MADE, account=MAKER, market="sBTC-USDC", filled=8))
        connection.execute(old["undo"].insert().values(block=5, images=b"of before"))
        place = {"id": 1, "block": 5, "hash": b"", "timestamp": 0, "emitted_block": 5, "head": 5, "undo_floor": 0}
        place |= {"chain_id": 31337, "settlement": b"", "projection_version": 2}
        connection.execute(old["checkpoint"].insert().values(**place))


def assert_fills_are_named(engine: Engine) -> None:
    """Every row of `fills_of_before` is there, by the chain's names, and each of their fields is what it was."""
    made, taken = order_word(MAKER, 2**63 + 9, MADE), order_word(TAKER, 8, TAKEN)
    with engine.connect() as connection:
        rows = connection.execute(select(FILLS).order_by(FILLS.c.sequence)).all()
        totals = connection.execute(select(ORDERS).order_by(ORDERS.c.order_word)).all()
        assert connection.execute(text("SELECT count(*) FROM undo")).scalar() == 0
        assert connection.execute(text("SELECT undo_floor FROM checkpoint")).scalar() == 5
    named = {"maker_order": made, "taker_order": taken, "maker": MAKER, "taker": TAKER, "price": 2**63, "quantity": 4}
    named |= {"taker_is_buyer": True, "maker_fee": 1, "taker_fee": 2**40, "reason": None}
    skipped = {"maker_order": order_word(MAKER, 0, MADE), "taker_order": order_word(TAKER, 0, TAKEN), "reason": 5}
    assert [row._asdict() for row in rows] == [
        old_fill(0, **named),
        old_fill(1, **named),
        old_fill(2, **{**named, **skipped, "maker_fee": None, "taker_fee": None}),
        old_fill(3, **{**dict.fromkeys(named), "reason": 255}),
    ]
    assert [tuple(row) for row in totals] == [(made, "sBTC-USDC", 8), (taken, "sBTC-USDC", 8)]


def test_fills_of_before_keep_their_accounts_nonces_and_tails(database: Engine) -> None:
    fills_of_before(database)
    schema.prepare(database)
    assert_fills_are_named(database)


@pytest.mark.parametrize("source", ["raw", "chain"])
def test_what_cannot_be_derived_again_is_not_wiped(database: Engine, source: str) -> None:
    """Logs of contracts that emitted another Fill: whoever asks for a rebuild is told, and keeps the rows."""
    model = ExchangeModel(3)
    blocks = chain([model.opening(), model.operations(6)])
    store = Store(database, DEPLOYMENT)
    store.begin(BASE, BASE.number)
    store.append(chunk(blocks), blocks[-1].header.number)
    fill = keccak(b"Fill(bytes32,bytes32,address,address,uint256,uint256)")
    with database.begin() as connection:
        connection.execute(
            text("UPDATE raw_log SET topics = :topic WHERE block = 1 AND log_index = 0"), {"topic": fill}
        )
    before = rebuild.digests(store)
    node = Node("http://127.0.0.1:1", ())  # is not asked: it comes to nothing before
    again = {
        "raw": lambda: rebuild.from_raw(store, DEPLOYMENT),
        "chain": lambda: rebuild.from_chain(store, Runner(Follower(store, node, DEPLOYMENT, 1))),
    }
    with pytest.raises(Halt, match="EVENT_UNKNOWN") as halted:
        again[source]()
    assert "1 of the stored logs" in halted.value.detail
    assert "keep this database with the version that made it" in (halted.value.allowed or "")
    assert rebuild.digests(store) == before
