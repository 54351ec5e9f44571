"""Reading the tables of the relayer and the indexer. This process writes no table.

Promises: a table that its writer has not made yet reads as empty: the API may start first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, Table
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.sql import Executable
from sqlmodel import SQLModel

from cxdex.storage import open_database


class Reader:
    """One consistent view of the database: everything read through it is as of one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """All rows of the statement; none while a table of it does not exist."""
        try:
            with self._connection.begin_nested():  # PostgreSQL gives up a whole transaction for a missing table
                return self._connection.execute(statement).all()
        except (OperationalError, ProgrammingError) as error:
            if not _is_missing_table(error):
                raise
            return []

    def first(self, statement: Executable) -> Row[Any] | None:
        found = self.rows(statement)
        return found[0] if found else None


class Database:
    """One pool of read-only connections; used from worker threads."""

    def __init__(self, url: str) -> None:
        self._engine = open_database(url).execution_options(read_only=True)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        with self._engine.connect() as connection:
            yield Reader(connection)

    def close(self) -> None:
        self._engine.dispose()


def table(model: type[SQLModel]) -> Table:
    """The table behind a model: statements here select columns, not objects."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def _is_missing_table(error: OperationalError | ProgrammingError) -> bool:
    """SQLite says "no such table", PostgreSQL UndefinedTable (42P01)."""
    return "no such table" in str(error.orig) or getattr(error.orig, "sqlstate", None) == "42P01"
