"""The indexer's tables in a database: made, or brought up to date by the migrations in `indexer/migrations`.

Owns:     the table `indexer_schema`, one row: the revision that the tables have.
Promises: an empty database gets today's tables at once; an older one gets them by its migrations, in one transaction. A
          test holds that both are the same. Tables of the relayer are not touched.
Never:    derives rows: a migration that changes what is derived leaves it to `python -m indexer rebuild --from-raw`.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlmodel import SQLModel

from indexer import tables
from indexer.halt import Halt

REVISION = "0003"  # the newest file in migrations/versions
FIRST_REVISION = "0001"
VERSION_TABLE = "indexer_schema"
MIGRATIONS = Path(__file__).parent / "migrations"


def prepare(engine: Engine) -> None:
    """Raises Halt SCHEMA_UNKNOWN when the tables are of a newer version than this program."""
    with engine.connect() as connection:
        there = set(inspect(connection).get_table_names())
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")) if VERSION_TABLE in there else None  # noqa: S608
        revision = found.scalar() if found is not None else None
    if revision == REVISION:
        return
    with engine.begin() as connection:
        if revision is None and tables.Checkpoint.__tablename__ not in there:
            _make(connection)
        else:
            _migrate(connection, revision)


def _make(connection: Connection) -> None:
    models = [getattr(tables, name) for name in tables.__all__]
    SQLModel.metadata.create_all(connection, tables=[model.__table__ for model in models])
    _stamp(connection, REVISION)


def _migrate(connection: Connection, revision: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is None:  # tables from before they had versions
        _stamp(connection, FIRST_REVISION)
    elif revision not in known:
        raise Halt(
            "SCHEMA_UNKNOWN",
            f"the tables are of revision {revision}, which this version does not know",
            allowed="run the version that made them, or a newer one",
        )
    command.upgrade(config, REVISION)


def _stamp(connection: Connection, revision: str) -> None:
    connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:revision)"), {"revision": revision})  # noqa: S608
