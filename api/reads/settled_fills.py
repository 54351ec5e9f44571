"""The fills of one account as the chain has them, also those of orders that the exchange never saw.

An event names an order by account, nonce and the end of its digest. Whoever knows the order knows its id: the relayer,
of every order that it accepted. Anybody may settle signed orders while the relayer is silent; of those only the chain
knows, and they have no id here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Subquery, and_, or_, select, tuple_, union

from api.cursors import decode_cursor, next_cursor
from api.database import Reader, table
from api.order_json import TermsLookup
from cxdex.batch import trade_id
from cxdex.order_word import order_word, unpack_order_word
from cxdex.units import format_price, format_quantity, format_usdc
from indexer.tables import SettledFill
from relayer.tables import OrderRow, TradeRow

_fill, _order, _trade = table(SettledFill), table(OrderRow), table(TradeRow)
_LOG_BITS = 20  # of a position: more logs than a block's gas pays for


def list_settled_fills(
    reader: Reader, terms_of: TermsLookup, account: bytes, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """(newest first, cursor of the next page)"""
    kind = f"settled {account.hex()}"
    after = decode_cursor(kind, cursor)
    sides = (_fill.c.maker == account, _fill.c.taker == account)
    newest = union(*(_newest_of(mine, after, limit).select() for mine in sides)).subquery()
    found = reader.rows(select(newest).order_by(newest.c.block.desc(), newest.c.log_index.desc()).limit(limit + 1))
    rows, following = found[:limit], next_cursor(kind, [row.block << _LOG_BITS | row.log_index for row in found], limit)
    ids, matches = _ids_of(reader, account, rows), _matches_of(reader, rows)
    return [_fill_json(row, account, terms_of, ids, matches) for row in rows], following


def _newest_of(mine: ColumnElement[bool], after: int | None, limit: int) -> Subquery:
    statement = select(_fill).where(mine, _fill.c.reason.is_(None))
    if after is not None:
        place = after >> _LOG_BITS, after & 2**_LOG_BITS - 1
        statement = statement.where(tuple_(_fill.c.block, _fill.c.log_index) < place)
    return statement.order_by(_fill.c.block.desc(), _fill.c.log_index.desc()).limit(limit + 1).subquery()


def _orders_of(row: Row[Any], account: bytes) -> Iterator[bytes]:
    """The account's side; both when it traded with itself."""
    yield from (word for word in (row.maker_order, row.taker_order) if word[: len(account)] == account)


def _ids_of(reader: Reader, account: bytes, rows: Sequence[Row[Any]]) -> dict[bytes, bytes]:
    """Digest by order word, of the orders that the relayer knows."""
    nonces = {unpack_order_word(word).nonce for row in rows for word in _orders_of(row, account)}
    statement = select(_order.c.digest, _order.c.nonce).where(
        _order.c.account == account, _order.c.nonce.in_(sorted(nonces))
    )
    return {order_word(account, row.nonce, row.digest): row.digest for row in reader.rows(statement)} if nonces else {}


def _matches_of(reader: Reader, rows: Sequence[Row[Any]]) -> dict[tuple[bytes, bytes, str, int], int]:
    """The relayer's match by (maker's word, taker's word, market, number)."""
    if not rows:
        return {}
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        numbers[row.market].append(row.sequence)
    places = or_(
        *(and_(_trade.c.market == market, _trade.c.sequence.in_(wanted)) for market, wanted in sorted(numbers.items()))
    )
    columns = (_trade.c.match_id, _trade.c.market, _trade.c.sequence, _trade.c.maker_order, _trade.c.taker_order)
    found = reader.rows(select(*columns).where(places))
    return {(row.maker_order, row.taker_order, row.market, row.sequence): row.match_id for row in found}


def _fill_json(
    row: Row[Any],
    account: bytes,
    terms_of: TermsLookup,
    ids: dict[bytes, bytes],
    matches: dict[tuple[bytes, bytes, str, int], int],
) -> dict[str, Any]:
    terms = terms_of(row.market)
    is_maker = row.maker == account
    mine = row.maker_order if is_maker else row.taker_order
    buy, sell = (row.taker_order, row.maker_order) if row.taker_is_buyer else (row.maker_order, row.taker_order)
    digest, word = ids.get(mine), unpack_order_word(mine)
    match = matches.get((row.maker_order, row.taker_order, row.market, row.sequence))
    return {
        "matchId": None if match is None else str(match),
        "tradeId": "0x" + trade_id(row.market, buy, sell, row.sequence, row.price, row.quantity).hex(),
        "market": row.market,
        "sequence": str(row.sequence),
        "price": format_price(terms, row.price),
        "quantity": format_quantity(terms, row.quantity),
        "notional": format_usdc(terms.notional(row.quantity, row.price)),
        "side": "BUY" if row.taker_is_buyer != is_maker else "SELL",
        "role": "MAKER" if is_maker else "TAKER",
        "fee": format_usdc(row.maker_fee if is_maker else row.taker_fee),
        "orderId": None if digest is None else "0x" + digest.hex(),
        "nonce": str(word.nonce),
        "digestTail": "0x" + word.tail.hex(),
        "transaction": "0x" + row.tx_hash.hex(),
        "block": row.block,
        "time": row.timestamp * 1_000,
    }
