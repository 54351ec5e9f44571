"""How every service opens the database, and how integers of any size are stored in it exactly.

Owns:     `open_database` (SQLite pragmas, PostgreSQL pool) and `Uint`, the column type of every amount.
Promises: a value read back is the value written, up to 2**256 - 1, and sorts as a number, on both databases.
Never:    defines tables. Each table lives with its one writer: `indexer.tables`, `relayer.tables`.

Why not Numeric: SQLite stores it as a double and silently returns 2**128 for 2**128 + 1.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Dialect, Engine, LargeBinary, Numeric, create_engine, event
from sqlalchemy.types import TypeDecorator, TypeEngine

UINT_BYTES = 32
SQLITE_BUSY_SECONDS = 15
# Of a process that writes thousands of rows a second: 32 MB of pages in memory, and a write-ahead log of as much, so
# that a page that changes again and again is put into its place seldom.
SQLITE_OF_A_BUSY_WRITER = ("cache_size=-32768", "wal_autocheckpoint=8000")

# 63-bit integers that are safe on both databases: block numbers, milliseconds, lots, sequences.
Big = BigInteger


class Uint(TypeDecorator[int]):
    """Unsigned integer up to 256 bits: 32 big-endian bytes on SQLite, NUMERIC(78, 0) on PostgreSQL."""

    impl = LargeBinary(UINT_BYTES)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(78, 0))
        return dialect.type_descriptor(LargeBinary(UINT_BYTES))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return encode_uint(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        return int(value) if dialect.name == "postgresql" else int.from_bytes(value, "big")


def encode_uint(value: int) -> bytes:
    """The SQLite form of a Uint, for writers that bypass the type for speed. Raises OverflowError if negative."""
    return value.to_bytes(UINT_BYTES, "big")


def open_database(url: str, *, is_busy_writer: bool = False) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql+psycopg://...``.

    SQLite runs in WAL mode with a long busy timeout, so that several processes, each the one writer of its
    own tables, can share one file. Transactions begin IMMEDIATE: a writer waits at the start, never half-way.
    What is read with the execution option ``read_only`` is as of one moment on both databases.
    """
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "begin", _begin_at_one_moment)
        return engine
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below is the only one
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        for setting in SQLITE_OF_A_BUSY_WRITER if is_busy_writer else ():
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _begin_at_one_moment(connection: Any) -> None:
    """PostgreSQL's default shows each statement of a transaction another moment."""
    if connection.get_execution_options().get("read_only", False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
