"""The order and trade tables: written in one transaction with the cursor, read by digest.

Owns:     `OrderTables`: creating them, storing `RowChanges`, finding an order the engine no longer remembers.
Promises: rows and cursor change together or not at all, and only if the cursor is where this writer left it:
          a second writer of the same tables is found out, not mixed in.
Never:    runs in the event loop's thread; the projector calls it from its own.

Rows of orders and trades go to the driver as they are, past SQLAlchemy's handling of values, which costs as much again
as SQLite takes to store them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, inspect, select, update
from sqlmodel import SQLModel

from cxdex.condition import Condition, Trigger
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.problem import Problem
from cxdex.storage import encode_uint
from relayer.projection import NEW_ORDER, NEW_TRADE, RowChanges
from relayer.schema import prepare
from relayer.tables import MinuteRow, OrderRow, ProjectorCursor, TradeRow
from relayer.ticker import Minute
from relayer.wire import OrderState


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.metadata.tables[str(model.__tablename__)]
    return table


ORDERS, TRADES, CURSOR = _table(OrderRow), _table(TradeRow), _table(ProjectorCursor)
MINUTES = _table(MinuteRow)
CURSOR_ID = 1


def _insert(table: Table, columns: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608 - our own names


_NEW_ORDER, _NEW_TRADE = _insert(ORDERS, NEW_ORDER), _insert(TRADES, NEW_TRADE)
_CHANGE_ORDER = """
    UPDATE "order" SET filled = filled + ?, filled_before = filled_before + ?, version = version + ?, remaining = ?,
        status = coalesce(?, status), proof_first = coalesce(?, proof_first),
        proof_second = coalesce(?, proof_second), reason = ?, replaced_by = ?, updated_ms = ?
    WHERE digest = ?"""
_VOID_TRADE = update(TRADES).where(TRADES.c.match_id == bindparam("which")).values(voided=bindparam("now_voided"))
_CHARGE_TRADE = (
    update(TRADES)
    .where(TRADES.c.match_id == bindparam("which"))
    .values(maker_fee=bindparam("now_maker"), taker_fee=bindparam("now_taker"))
)


class OrderTables:
    """`cursor`: last journal sequence that is in the tables, after `open`."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self.cursor = 0
        self._accepted = 0

    def open(self) -> int:
        """Makes or migrates the tables; returns the cursor. Raises DATABASE_FORMAT for tables it cannot use."""
        prepare(self._database)
        with self._database.begin() as connection:
            cursor = connection.scalar(select(CURSOR.c.journal_sequence).where(CURSOR.c.id == CURSOR_ID))
            if cursor is None:
                connection.execute(insert(CURSOR).values(id=CURSOR_ID, journal_sequence=0))
            self.cursor = cursor or 0
            self._accepted = connection.scalar(select(func.max(ORDERS.c.accepted))) or 0
        return self.cursor

    def store(self, changes: RowChanges, sequence: int) -> None:
        """One transaction. Raises SQLAlchemy's errors, with nothing changed, or a Problem for a second writer."""
        orders = [order.row(number) for number, order in enumerate(changes.orders.values(), self._accepted + 1)]
        with self._database.begin() as connection:
            moved = connection.execute(
                update(CURSOR)
                .where(CURSOR.c.id == CURSOR_ID, CURSOR.c.journal_sequence == self.cursor)
                .values(journal_sequence=sequence)
            )
            if moved.rowcount != 1:
                raise Problem(
                    "PROJECTOR_CONFLICT", "another process has moved the projector's cursor; stop it and start again"
                )
            _store_rows(connection, orders, changes)
        self.cursor, self._accepted = sequence, self._accepted + len(orders)

    def no_changes(self) -> RowChanges:
        """Changes to collect for this database."""
        return RowChanges(encode_uint if self._database.dialect.name == "sqlite" else int)

    def minutes_since(self, first: int) -> list[tuple[str, int, Minute]]:
        """(market, number, its matches), oldest first, from minute `first` on; and of each market that was quiet since
        then the newest, because a last price is one however old it is."""
        newest = select(MINUTES.c.market, func.max(MINUTES.c.minute).label("minute")).group_by(MINUTES.c.market)
        found = newest.subquery()
        wanted = select(MINUTES).join(
            found,
            (MINUTES.c.market == found.c.market) & ((MINUTES.c.minute >= first) | (MINUTES.c.minute == found.c.minute)),
        )
        with self._database.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(wanted.order_by(MINUTES.c.minute)).mappings().all()
        return [(row["market"], row["minute"], _minute(row)) for row in rows]

    def find(self, digest: bytes) -> OrderState | None:
        with self._database.connect().execution_options(read_only=True) as connection:
            row = connection.execute(select(ORDERS).where(ORDERS.c.digest == digest)).mappings().first()
        return None if row is None else order_state_from_row(row)


def stored_sequence(database: Engine) -> int | None:
    """The last journal sequence whose events are in the tables; None where there are no tables. Changes nothing."""
    if not inspect(database).has_table(CURSOR.name):
        return None
    with database.connect().execution_options(read_only=True) as connection:
        return connection.scalar(select(CURSOR.c.journal_sequence).where(CURSOR.c.id == CURSOR_ID)) or 0


def order_from_row(row: Any) -> Order:
    """The signed order of a row. `row`: a mapping with the columns of OrderRow."""
    return Order(
        account=row["account"],
        market=row["market"],
        side=Side(row["side"]),
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        quantity=row["quantity"],
        limit_price=row["limit_price"],
        max_fee_bps=row["max_fee_bps"],
        expiry=row["expiry"],
        nonce=row["nonce"],
        max_collateral=row["max_collateral"],
        self_trade=SelfTrade(row["self_trade"]),
        reduce_only=bool(row["reduce_only"]),
        condition=_condition_from_row(row),
    )


def _condition_from_row(row: Any) -> Condition | None:
    if row["trigger"] is None:
        return None
    return Condition(Trigger(row["trigger"]), row["trigger_price"], row["active_from"])


def order_state_from_row(row: Any) -> OrderState:
    """`row`: a mapping with the columns of OrderRow."""
    return OrderState(
        order=order_from_row(row),
        digest=row["digest"],
        client_order_id=row["client_order_id"],
        status=row["status"],
        reason=row["reason"],
        filled=row["filled"],
        remaining=row["remaining"],
        version=row["version"],
        created_ms=row["created_ms"],
        updated_ms=row["updated_ms"],
        replaces=row["replaces"],
        replaced_by=row["replaced_by"],
        filled_before=row["filled_before"],
        display_quantity=row["display_quantity"],
        proof=(row["proof_first"], row["proof_second"]),
    )


def _minute(row: Any) -> Minute:
    names = ("open", "high", "low", "close", "lots", "lot_ticks", "trades", "last_ms")
    return Minute(*(row[name] for name in names))


def _store_minutes(connection: Connection, minutes: dict[tuple[str, int], Minute]) -> None:
    """Joined with what is there: a minute may come in several transactions."""
    for (market, number), minute in minutes.items():
        place = (MINUTES.c.market == market) & (MINUTES.c.minute == number)
        row = connection.execute(select(MINUTES).where(place)).mappings().first()
        whole = minute if row is None else _minute(row)
        if row is None:
            connection.execute(insert(MINUTES).values(market=market, minute=number, **asdict(whole)))
        else:
            whole.join(minute)
            connection.execute(update(MINUTES).where(place).values(**asdict(whole)))


def _many(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Runs a statement, with `?` for each value, for every row."""
    if rows:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        connection.exec_driver_sql(statement.replace("?", mark), rows)


def _store_rows(connection: Connection, orders: list[tuple[Any, ...]], changes: RowChanges) -> None:
    _many(connection, _NEW_ORDER, orders)
    changed = [change.values(digest) for digest, change in changes.changes.items()]
    _many(connection, _CHANGE_ORDER, changed)
    if changes.trades:
        _many(connection, _NEW_TRADE, list(changes.trades.values()))
        _store_minutes(connection, changes.minutes)
    if changes.voided:
        rows = [{"which": match_id, "now_voided": voided} for match_id, voided in changes.voided.items()]
        connection.execute(_VOID_TRADE, rows)
    if changes.charged:
        fees = changes.charged.items()
        rows = [{"which": match_id, "now_maker": maker, "now_taker": taker} for match_id, (maker, taker) in fees]
        connection.execute(_CHARGE_TRADE, rows)
