"""Markets, book, trades and candles."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import AsOf, Decimal, Hash, IndexedPage, Integer, Millis, Page, Shape


class MarketShape(Shape):
    """A listing. Sizes never change for a symbol."""

    symbol: Annotated[str, Field(examples=["sBTC-USDC"])]
    index: int
    kind: str
    status: Literal["UNLISTED", "PAUSED", "ACTIVE", "DELISTED", "SETTLED"]
    base_asset: int
    base_symbol: str
    quote_symbol: str
    lot_size: Decimal
    tick_size: Decimal
    min_quantity: Decimal
    lot_exponent: int
    quote_per_lot_tick: Integer
    min_lots: Integer
    maker_fee_bps: int
    taker_fee_bps: int
    next_sequence: Integer
    settled_sequence: Integer


class MarketList(Shape):
    data: list[MarketShape]


Level = Annotated[tuple[str, str], Field(examples=[["60000.1", "0.5"]], description="[price, quantity]")]


class BookShape(Shape):
    """The best levels of each side, best first, as of message `seq` of the feed run `epoch`."""

    market: str
    epoch: str
    seq: int
    bids: list[Level]
    asks: list[Level]


class SettlementShape(Shape):
    """Where a match is on its way to the chain. `block` and `transaction` from `submitted` on."""

    status: Literal["matched", "submitted", "mined", "final", "skipped"]
    transaction: Hash | None
    block: int | None
    batch: int | None
    reason: Annotated[str | None, Field(description="why the chain passed over it, when skipped")]


class TradeShape(Shape):
    match_id: Integer
    trade_id: Hash
    market: str
    sequence: Integer
    price: Decimal
    quantity: Decimal
    notional: Decimal
    taker_side: Literal["BUY", "SELL"]
    time: Millis
    maker_order: Hash
    taker_order: Hash
    settlement: SettlementShape


class TradePage(IndexedPage[TradeShape]):
    pass


class CandleShape(Shape):
    """One minute of settled fills. `time`: its first millisecond, in block time."""

    time: Millis
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    volume_quote: Decimal
    trades: int


class CandlePage(IndexedPage[CandleShape]):
    pass


class BatchShape(Shape):
    """One settleBatch transaction. status: PREPARED, SENT, MINED, FINAL or FAILED."""

    id: int
    status: str
    transaction: Hash
    block: int | None
    fills: int
    first_match_id: Integer
    last_match_id: Integer
    gas_used: Integer | None
    attempts: int
    error: str | None
    created_at: Millis
    updated_at: Millis


class BatchPage(Page[BatchShape]):
    pass


class BatchDetail(BatchShape):
    """The batch with its matches, in the order of settlement."""

    trades: list[TradeShape]
    as_of: AsOf | None
