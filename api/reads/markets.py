"""The listings as the chain has them: for a process that starts while the engine is away."""

from __future__ import annotations

from sqlalchemy import select

from api.database import Reader, table
from indexer.tables import MarketListing
from relayer.wire import MarketState

_listing = table(MarketListing)


def listed_markets(reader: Reader) -> list[MarketState]:
    return [
        MarketState(
            symbol=row.symbol,
            index=row._mapping[_listing.c.index],  # Row has a method of that name
            kind=row.kind,
            base_asset=row.base_asset,
            base_symbol=row.base_symbol,
            lot_exponent=row.lot_exponent,
            quote_per_lot_tick=row.quote_per_lot_tick,
            min_lots=row.min_lots,
            maker_fee_bps=row.maker_fee_bps,
            taker_fee_bps=row.taker_fee_bps,
            status=row.status,
            next_sequence=row.next_sequence,
            settled_sequence=row.next_sequence,
        )
        for row in reader.rows(select(_listing))
    ]
