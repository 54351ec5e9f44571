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


class TickerData(Shape):
    """A market at a glance. Null: there was no match (in the day), no order on that side, no index price.

    The day is the running minute and the 1,439 before it, by the matching engine's clock; every match counts, also one
    that is not settled yet. `change24h`: the last price less `open24h`. `index`: the oracle's price of the base, USDC.
    """

    market: str
    last: Decimal | None
    last_time: Millis | None
    open24h: Annotated[Decimal | None, Field(alias="open24h")]
    high24h: Annotated[Decimal | None, Field(alias="high24h")]
    low24h: Annotated[Decimal | None, Field(alias="low24h")]
    change24h: Annotated[Decimal | None, Field(alias="change24h")]
    volume24h: Annotated[Decimal, Field(alias="volume24h", description="in the base")]
    notional24h: Annotated[Decimal, Field(alias="notional24h", description="in USDC")]
    trades24h: Annotated[int, Field(alias="trades24h")]
    bid: Level | None
    ask: Level | None
    index: Decimal | None
    index_time: Annotated[Millis | None, Field(description="when the oracle's price was published")]


class TickerShape(TickerData):
    """A market at a glance, as of message `seq` of the feed run `epoch`."""

    epoch: str
    seq: Annotated[int, Field(description="of the market's ticker channel")]


class TickerList(Shape):
    data: list[TickerShape]


class SettlementShape(Shape):
    """Where a match is on its way to the chain. `block` and `transaction` from `submitted` on.

    reverted: the transaction that carried it reverted; it will be in a later one."""

    status: Literal["matched", "submitted", "mined", "final", "skipped", "reverted"]
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
