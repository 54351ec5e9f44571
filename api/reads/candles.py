"""One-minute candles of settled fills, as the indexer keeps them, in block time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from cxdex.market import MarketTerms
from cxdex.units import format_price, format_quantity, format_usdc
from indexer.tables import Candle

_candle = table(Candle)


def list_candles(
    reader: Reader,
    terms: MarketTerms,
    *,
    since: int | None,
    until: int | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[dict[str, Any]], str | None]:
    """(newest first, cursor). `since` and `until`: unix seconds, both included. Minutes without a fill are absent."""
    kind = f"candles {terms.symbol}"
    statement = select(_candle).where(_candle.c.market == terms.symbol)
    if since is not None:
        statement = statement.where(_candle.c.minute >= since)
    if until is not None:
        statement = statement.where(_candle.c.minute <= until)
    after = decode_cursor(kind, cursor)
    if after is not None:
        statement = statement.where(_candle.c.minute < after)
    rows = reader.rows(statement.order_by(_candle.c.minute.desc()).limit(limit + 1))
    following = next_cursor(kind, [row.minute for row in rows], limit)
    candles = [
        {
            "time": row.minute * 1_000,
            "open": format_price(terms, row.open),
            "high": format_price(terms, row.high),
            "low": format_price(terms, row.low),
            "close": format_price(terms, row.close),
            "volume": format_quantity(terms, row.volume_lots),
            "volumeQuote": format_usdc(row.volume_quote),
            "trades": row.trades,
        }
        for row in rows[:limit]
    ]
    return candles, following
