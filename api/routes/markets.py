"""Markets, book, tickers, trades, candles: public."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query

from api.context import Context
from api.markets import market_to_json
from api.reads.candles import list_candles
from api.reads.chain import as_of
from api.reads.trades import list_trades
from api.routes.inputs import LIMIT_DEFAULT, Cursor, Limit, Shared
from api.schemas.market import BookShape, CandlePage, MarketList, MarketShape, TickerList, TickerShape, TradePage
from cxdex.problem import Problem

router = APIRouter(tags=["markets"])
MAX_DEPTH = 1_000
DEFAULT_DEPTH = 50

Time = Annotated[int | None, Query(ge=0, le=2**53 - 1)]


@router.get("/markets", response_model=MarketList)
async def get_markets(context: Shared) -> dict[str, Any]:
    """All listings, in the order of listing."""
    await _refresh(context)
    return {"data": [market_to_json(market) for market in context.markets.all()]}


@router.get("/markets/{market}", response_model=MarketShape)
async def get_market(context: Shared, market: str) -> dict[str, Any]:
    await _refresh(context)
    return market_to_json(context.markets.find(market))


@router.get("/book/{market}", response_model=BookShape)
async def get_book(
    context: Shared, market: str, depth: Annotated[int, Query(ge=1, le=MAX_DEPTH)] = DEFAULT_DEPTH
) -> dict[str, Any]:
    """The book with the epoch and seq of the feed: subscribe with `resume` at them and nothing is missed."""
    symbol = context.markets.find(market).terms.symbol
    found = context.hub.book(symbol, depth)
    if found is None or not context.engine.is_connected:
        raise Problem("ENGINE_UNAVAILABLE", "the matching engine is away, so there is no true book to show")
    seq, book = found
    return {"market": symbol, "epoch": context.hub.epoch, "seq": seq, "bids": book.bids, "asks": book.asks}


@router.get("/tickers", response_model=TickerList)
async def get_tickers(context: Shared) -> dict[str, Any]:
    """Every market at a glance, in the order of listing: last price, its day, best bid and ask, index.

    At most a second old. The WebSocket channel `ticker` tells the same.
    """
    context.markets.require_known()
    return {"data": [_ticker(context, market.terms.symbol) for market in context.markets.all()]}


@router.get("/tickers/{market}", response_model=TickerShape)
async def get_ticker(context: Shared, market: str) -> dict[str, Any]:
    """One market at a glance."""
    return _ticker(context, context.markets.find(market).terms.symbol)


@router.get("/trades/{market}", response_model=TradePage)
def get_trades(context: Shared, market: str, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> dict[str, Any]:
    """Matches, newest first, each with where it is on its way to the chain."""
    symbol = context.markets.find(market).terms.symbol
    with context.database.snapshot() as reader:
        rows, following = list_trades(reader, context.markets.terms_of, symbol, limit, cursor)
        return {"data": rows, "next": following, "asOf": as_of(reader)}


@router.get("/candles/{market}", response_model=CandlePage)
def get_candles(
    context: Shared,
    market: str,
    interval: Literal["1m"] = "1m",
    since: Annotated[Time, Query(alias="from", description="unix milliseconds, first minute")] = None,
    until: Annotated[Time, Query(alias="to", description="unix milliseconds, last minute")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Settled fills by minute of block time, newest first. A minute without a fill is absent."""
    del interval  # one minute is the only one that is kept
    terms = context.markets.find(market).terms
    first = None if since is None else since // 60_000 * 60
    last = None if until is None else until // 1_000
    with context.database.snapshot() as reader:
        rows, following = list_candles(reader, terms, since=first, until=last, limit=limit, cursor=cursor)
        return {"data": rows, "next": following, "asOf": as_of(reader)}


def _ticker(context: Context, symbol: str) -> dict[str, Any]:
    found = context.hub.latest("ticker", symbol)
    if found is None or not context.engine.is_connected:
        raise Problem("ENGINE_UNAVAILABLE", "the matching engine is away, so there are no true prices to show")
    ticker: dict[str, Any] = msgspec.json.decode(found[1])
    for side in ("bid", "ask"):
        ticker[side] = ticker[side] and tuple(ticker[side])
    return {**ticker, "epoch": context.hub.epoch, "seq": found[0]}


async def _refresh(context: Context) -> None:
    """Newest statuses and sequences when the engine is there; the last known ones when it is not."""
    if context.engine.is_connected:
        with contextlib.suppress(Problem):
            context.markets.replace((await context.engine.status()).markets)
    context.markets.require_known()
