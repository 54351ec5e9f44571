"""SQL for writers that go past the ORM: one prepared statement a table, run with executemany.

The ORM costs ten to thirty times as much a row (docs/decisions say where it matters). Statements are built from
`TableSpec`, so a column exists in one place only, and are the same on SQLite and PostgreSQL but for the placeholder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from indexer.rows import Key, Row, TableSpec


class Sql:
    """Statements on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sqlite = connection.dialect.name == "sqlite"
        self._mark = "?" if self._sqlite else "%s"

    def insert(self, spec: TableSpec, rows: Iterable[Sequence[Any]]) -> None:
        self._many(f"INSERT INTO {self._target(spec)}", spec, rows)

    def upsert(self, spec: TableSpec, rows: Iterable[Sequence[Any]]) -> None:
        keys = ", ".join(f'"{name}"' for name in spec.columns[: spec.key_width])
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in spec.columns[spec.key_width :])
        self._many(f"INSERT INTO {self._target(spec)}", spec, rows, f" ON CONFLICT ({keys}) DO UPDATE SET {changes}")

    def delete(self, spec: TableSpec, keys: Sequence[Key]) -> None:
        if keys:
            self._connection.exec_driver_sql(f"DELETE FROM {spec.name} WHERE {self._is_key(spec)}", list(keys))  # noqa: S608

    def find(self, spec: TableSpec, key: Key) -> Row | None:
        """The columns after the key, decoded."""
        columns = ", ".join(f'"{name}"' for name in spec.columns)
        row = self._connection.exec_driver_sql(
            f"SELECT {columns} FROM {spec.name} WHERE {self._is_key(spec)}",  # noqa: S608
            key,
        ).fetchone()
        return None if row is None else tuple(spec.decode(row)[spec.key_width :])

    def some(self, spec: TableSpec, limit: int) -> list[Row]:
        """Up to `limit` rows, all columns, decoded."""
        columns = ", ".join(f'"{name}"' for name in spec.columns)
        rows = self._connection.exec_driver_sql(f"SELECT {columns} FROM {spec.name} LIMIT {limit}")  # noqa: S608
        return [tuple(spec.decode(row)) for row in rows]

    def run(self, statement: str, *values: Any) -> Any:
        """One statement of our own, with `?` placeholders; returns the cursor result."""
        return self._connection.exec_driver_sql(statement.replace("?", self._mark), values)

    def run_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._connection.exec_driver_sql(statement.replace("?", self._mark), list(rows))

    # ------------------------------------------------------------------ parts

    def _many(self, head: str, spec: TableSpec, rows: Iterable[Sequence[Any]], tail: str = "") -> None:
        # A driver wants tuples; Uint columns are bytes on SQLite and plain integers elsewhere.
        parameters = (
            [tuple(spec.encode(row)) for row in rows] if self._sqlite and spec.uints else list(map(tuple, rows))
        )
        if parameters:
            marks = ", ".join([self._mark] * len(spec.columns))
            self._connection.exec_driver_sql(f"{head} VALUES ({marks}){tail}", parameters)

    def _target(self, spec: TableSpec) -> str:
        columns = ", ".join(f'"{name}"' for name in spec.columns)
        return f"{spec.name} ({columns})"

    def _is_key(self, spec: TableSpec) -> str:
        return " AND ".join(f'"{name}" = {self._mark}' for name in spec.columns[: spec.key_width])
