"""The relayer's tables in a database: made, or brought up to date by the migrations in `relayer/migrations`.

Owns:     the table `relayer_schema`, one row: the revision that the tables have.
Promises: an empty database gets today's tables at once; an older one gets them by its migrations, in one transaction. A
          test holds that both are the same. It does not matter which of the relayer's processes comes first, or whether
          two come together; older tables are left alone until the engine comes, which has looked at its journal.
          Tables of the indexer are not touched.
Never:    changes what a row means: the journal says what happened, and has a format of its own.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlmodel import SQLModel

from cxdex.problem import Problem
from relayer import tables
from relayer.settlement_log import tables as log_tables
from relayer.settler import tables as settler_tables

REVISION = "0005"  # the newest file in migrations/versions
FIRST_REVISION = "0001"
VERSION_TABLE = "relayer_schema"
MIGRATIONS = Path(__file__).parent / "migrations"
MODELS: tuple[type[SQLModel], ...] = (
    tables.OrderRow,
    tables.TradeRow,
    tables.MinuteRow,
    tables.ProjectorCursor,
    tables.BatchRow,
    tables.BatchAttempt,
    tables.BatchSpan,
    tables.QuarantineRow,
    settler_tables.SettlerStateRow,
    settler_tables.DeadLetterRow,
    log_tables.BatchChange,
    log_tables.SettlementChange,
    log_tables.SettlementNotice,
    log_tables.SettlementFloor,
    log_tables.SettlementLogRow,
)

_LOCK_KEY = 0x637864_657872  # PostgreSQL's advisory locks are numbers; SQLite's transaction is a lock already


def prepare(engine: Engine, *, migrates: bool = True) -> None:
    """Raises Problem DATABASE_FORMAT when this program cannot use the tables.

    migrates: only the engine does, which knows that its journal can be read; the others wait until it has.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        revision = _revision(connection)
        if revision != REVISION and not migrates:
            raise Problem(
                "DATABASE_FORMAT",
                f"the relayer's tables are of revision {revision}, this version uses {REVISION}",
                allowed="start the engine of this version, which brings older ones up to date; for newer ones run the "
                "version that made them",
            )
        if revision != REVISION:
            _migrate(connection, revision)
        _require_columns(connection)


def _revision(connection: Connection) -> str | None:
    """None: there are no tables."""
    there = set(inspect(connection).get_table_names())
    if VERSION_TABLE in there:
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
        return None if found is None else str(found)
    if tables.OrderRow.__tablename__ not in there:
        SQLModel.metadata.create_all(connection, tables=[_table(model) for model in MODELS])
        return _stamp(connection, REVISION)
    columns = _columns(connection, str(tables.OrderRow.__tablename__))  # from before they had versions
    if "replaces" not in columns:
        return _stamp(connection, FIRST_REVISION)
    SQLModel.metadata.create_all(connection, tables=[_table(model) for model in MODELS])
    if "display_quantity" not in columns:
        return _stamp(connection, "0002")
    named = "maker_order" in _columns(connection, str(tables.TradeRow.__tablename__))
    return _stamp(connection, REVISION if named else "0004")


def _migrate(connection: Connection, revision: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if revision not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise Problem(
            "DATABASE_FORMAT",
            f"the relayer's tables are of revision {revision}, which this version does not know: run the version that "
            "made them, or a newer one",
        )
    command.upgrade(config, REVISION)


def _stamp(connection: Connection, revision: str) -> str:
    connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:revision)"), {"revision": revision})  # noqa: S608
    return revision


def _require_columns(connection: Connection) -> None:
    for table in map(_table, MODELS):
        lacking = {column.name for column in table.columns} - _columns(connection, table.name)
        if lacking:
            raise Problem(
                "DATABASE_FORMAT",
                f"the table {table.name} is of an earlier version (it lacks {', '.join(sorted(lacking))}); "
                "earlier state is not read: start with an empty state folder (`make reset`)",
            )


def _columns(connection: Connection, name: str) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(name)}


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.metadata.tables[str(model.__tablename__)]
    return table
