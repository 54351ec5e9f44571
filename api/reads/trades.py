"""Matches: the public tape of a market, and the fills of one account."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, Subquery, and_, select, union_all

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from api.order_json import TermsLookup
from api.reads.settlement import settlements_of
from cxdex.batch import trade_id
from cxdex.units import format_price, format_quantity, format_usdc
from relayer.tables import BatchSpan, TradeRow

_trade = table(TradeRow)
_span = table(BatchSpan)


def list_trades(
    reader: Reader, terms_of: TermsLookup, market: str, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """(newest first, cursor of the next page). Orders are named, accounts are not."""
    kind = f"trades {market}"
    # By sequence, which an index has: within a market it is the order of match_id.
    statement = select(_trade).where(_trade.c.market == market)
    after = decode_cursor(kind, cursor)
    if after is not None:
        statement = statement.where(_trade.c.sequence < after)
    found = reader.rows(statement.order_by(_trade.c.sequence.desc()).limit(limit + 1))
    rows, following = found[:limit], next_cursor(kind, [row.sequence for row in found], limit)
    return [
        {**_match(row, terms_of), "settlement": settlement}
        for row, settlement in zip(rows, settlements_of(reader, rows), strict=True)
    ], following


def list_fills(
    reader: Reader, terms_of: TermsLookup, account: bytes, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """The account's side of its matches, newest first."""
    kind = f"fills {account.hex()}"
    after = decode_cursor(kind, cursor)
    # A page of either role and then the newest of both: with OR the database would sort all of the account's fills.
    newest = union_all(
        *(_newest_of(role == account, after, limit).select() for role in (_trade.c.maker, _trade.c.taker))
    ).subquery()
    found = reader.rows(select(newest).order_by(newest.c.match_id.desc()).limit(limit + 1))
    rows, following = found[:limit], next_cursor(kind, [row.match_id for row in found], limit)
    return [
        {**_side_of(row, account, terms_of), "settlement": settlement}
        for row, settlement in zip(rows, settlements_of(reader, rows), strict=True)
    ], following


def trades_of_batch(reader: Reader, terms_of: TermsLookup, batch: int, limit: int) -> list[dict[str, Any]]:
    """The matches of one batch, in the order in which they were made."""
    inside = and_(
        _span.c.market == _trade.c.market,
        _trade.c.sequence.between(_span.c.first_sequence, _span.c.last_sequence),
    )
    statement = select(_trade).join(_span, inside).where(_span.c.batch_id == batch)
    rows = reader.rows(statement.order_by(_trade.c.match_id).limit(limit))
    return [
        {**_match(row, terms_of), "settlement": settlement}
        for row, settlement in zip(rows, settlements_of(reader, rows), strict=True)
    ]


def _newest_of(mine: ColumnElement[bool], after: int | None, limit: int) -> Subquery:
    statement = select(_trade).where(mine)
    if after is not None:
        statement = statement.where(_trade.c.match_id < after)
    return statement.order_by(_trade.c.match_id.desc()).limit(limit + 1).subquery()


def _match(row: Row[Any], terms_of: TermsLookup) -> dict[str, Any]:
    terms = terms_of(row.market)
    return {
        "matchId": str(row.match_id),
        "tradeId": "0x" + _trade_id(row).hex(),
        "market": row.market,
        "sequence": str(row.sequence),
        "price": format_price(terms, row.price),
        "quantity": format_quantity(terms, row.quantity),
        "notional": format_usdc(terms.notional(row.quantity, row.price)),
        "takerSide": "BUY" if row.taker_is_buyer else "SELL",
        "time": row.time_ms,
        "makerOrder": "0x" + row.maker_digest.hex(),
        "takerOrder": "0x" + row.taker_digest.hex(),
    }


def _trade_id(row: Row[Any]) -> bytes:
    buy, sell = (row.taker_order, row.maker_order) if row.taker_is_buyer else (row.maker_order, row.taker_order)
    return trade_id(row.market, buy, sell, row.sequence, row.price, row.quantity)


def _side_of(row: Row[Any], account: bytes, terms_of: TermsLookup) -> dict[str, Any]:
    is_maker = row.maker == account
    buys = row.taker_is_buyer != is_maker
    return {
        **_match(row, terms_of),
        "orderId": "0x" + (row.maker_digest if is_maker else row.taker_digest).hex(),
        "side": "BUY" if buys else "SELL",
        "role": "MAKER" if is_maker else "TAKER",
        "fee": format_usdc(row.maker_fee if is_maker else row.taker_fee),
    }
