"""Pages cost what they show, however many rows there are: SQLite's own plan of every statement of a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, insert
from sqlmodel import SQLModel

from api.database import Reader, table
from api.reads.batches import list_batches
from api.reads.settled_fills import list_settled_fills
from api.reads.trades import list_fills, list_trades, trades_of_batch
from cxdex.market import MarketKind, MarketTerms
from indexer.tables import SettledFill
from relayer.tables import BatchRow, BatchSpan, TradeRow

ALICE, BOB, MARKET = b"\x0a" * 20, b"\x0b" * 20, "sBTC-USDC"
TERMS = MarketTerms(
    symbol=MARKET, index=1, kind=MarketKind.SPOT, base_asset=2, base_symbol="sBTC", lot_exponent=14,
    quote_per_lot_tick=1, min_lots=1, maker_fee_bps=0, taker_fee_bps=5,
)  # fmt: skip
TRADES, FILLS_A_BATCH = 60, 5


@pytest.fixture
def database() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    SQLModel.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table(TradeRow)), [trade_row(number) for number in range(TRADES)])
        connection.execute(insert(table(SettledFill)), [settled_row(number) for number in range(TRADES)])
        for batch in range(TRADES // FILLS_A_BATCH):
            connection.execute(insert(table(BatchRow)), batch_row(batch))
            span = {"batch_id": batch, "market": MARKET, "first_sequence": batch * FILLS_A_BATCH}
            connection.execute(
                insert(table(BatchSpan)), {**span, "last_sequence": span["first_sequence"] + FILLS_A_BATCH - 1}
            )
    yield engine
    engine.dispose()


def trade_row(number: int) -> dict[str, Any]:
    maker, taker = (ALICE, BOB) if number % 2 else (BOB, ALICE)
    return {
        "match_id": number + 1, "market": MARKET, "sequence": number,
        "maker_digest": bytes(32), "taker_digest": bytes([1] * 32), "maker": maker, "taker": taker,
        "taker_is_buyer": True, "price": 7, "quantity": 1, "maker_fee": 0, "taker_fee": 0, "time_ms": number,
        "maker_order": bytes(32), "taker_order": bytes([1] * 32), "voided": False,
    }  # fmt: skip


def settled_row(number: int) -> dict[str, Any]:
    """What settled is not one of the matches: the chain's own, each of Alice."""
    sides = {"maker": ALICE, "maker_order": ALICE + bytes(12), "taker": BOB, "taker_order": BOB + bytes(12)}
    return {
        "block": number, "log_index": 0, "sequence": TRADES + number, "market": MARKET, "tx_hash": bytes(32),
        "timestamp": 1, **sides, "price": 7, "quantity": 1, "taker_is_buyer": True, "maker_fee": 0, "taker_fee": 0,
    }  # fmt: skip


def batch_row(number: int) -> dict[str, Any]:
    return {
        "id": number, "first_match_id": 1, "last_match_id": 1, "fills": FILLS_A_BATCH, "nonce": number,
        "tx_hash": bytes(32), "raw_transaction": b"", "status": "SENT", "attempts": 1, "created_ms": 0, "updated_ms": 0,
    }  # fmt: skip


def plans(engine: Engine, read: Callable[[Reader], object]) -> list[str]:
    """What SQLite says it does for each statement of `read`."""
    statements: list[tuple[str, Any]] = []
    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda _c, _k, text, bound, _x, _m: keep(text, bound))

        def keep(text: str, bound: Any) -> None:
            statements.append((text, bound))

        read(Reader(connection))
        return [
            str(step[3])
            for text, bound in list(statements)
            if text.startswith("SELECT")
            for step in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, bound)
        ]


PAGES: dict[str, Callable[[Reader, str | None], Any]] = {
    "trades": lambda reader, cursor: list_trades(reader, lambda _: TERMS, MARKET, 7, cursor),
    "fills": lambda reader, cursor: list_fills(reader, lambda _: TERMS, ALICE, 7, cursor),
    "settled fills": lambda reader, cursor: list_settled_fills(reader, lambda _: TERMS, ALICE, 7, cursor),
    "batches": lambda reader, cursor: list_batches(reader, 7, cursor),
}
LARGE = ("order", "trade", "batch", "batch_span", "settled_fill")


@pytest.mark.parametrize("page", PAGES)
def test_no_page_walks_a_table(database: Engine, page: str) -> None:
    with database.connect() as connection:
        _, cursor = PAGES[page](Reader(connection), None)
    assert cursor is not None
    steps = plans(database, lambda reader: PAGES[page](reader, cursor))
    assert steps
    assert [step for step in steps if step in {f"SCAN {name}" for name in LARGE} and page != "batches"] == []
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert len(sorts) <= 2 * (page in ("fills", "settled fills"))  # two short pages put together


@pytest.mark.parametrize("page", ["trades", "fills"])
def test_pages_hold_every_match_once_newest_first_with_its_batch(database: Engine, page: str) -> None:
    shown: list[dict[str, Any]] = []
    cursor: str | None = None
    with database.connect() as connection:
        while True:
            rows, cursor = PAGES[page](Reader(connection), cursor)
            shown += rows
            if cursor is None:
                break
    assert [row["matchId"] for row in shown] == [str(number) for number in range(TRADES, 0, -1)]
    assert all(row["settlement"]["batch"] == int(row["sequence"]) // FILLS_A_BATCH for row in shown)
    assert {row["settlement"]["status"] for row in shown} == {"submitted"}


def test_a_batch_finds_its_own_matches(database: Engine) -> None:
    with database.connect() as connection:
        rows = trades_of_batch(Reader(connection), lambda _: TERMS, 3, 100)
    assert [row["sequence"] for row in rows] == [str(15 + number) for number in range(FILLS_A_BATCH)]
    steps = plans(database, lambda reader: trades_of_batch(reader, lambda _: TERMS, 3, 100))
    assert not [step for step in steps if step in {f"SCAN {name}" for name in LARGE}]
