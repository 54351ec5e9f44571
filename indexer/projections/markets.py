"""What can be traded: synths, markets and their status."""

from __future__ import annotations

from cxdex import facts
from cxdex.market import MarketStatus
from indexer.events import MarketListed, MarketStatusChanged, Position, SynthCreated, SynthRegistered
from indexer.halt import Halt
from indexer.projections.ledger import Ledger
from indexer.rows import MarketRow, SynthRow


def synth_registered(ledger: Ledger, event: SynthRegistered, _at: Position) -> None:
    # The factory's event with the names follows in the same transaction.
    ledger.state.synths.put((event.asset,), SynthRow(event.synth, "", "", 0, 0))


def synth_created(ledger: Ledger, event: SynthCreated, _at: Position) -> None:
    row = ledger.state.synths.get((event.asset,)) or SynthRow(event.synth, "", "", 0, 0)
    ledger.state.synths.put((event.asset,), row._replace(name=event.name, symbol=event.symbol))


def market_listed(ledger: Ledger, event: MarketListed, at: Position) -> None:
    synth = ledger.state.synths.get((event.base_asset,))
    if synth is None:
        raise Halt("SYNTH_UNKNOWN", f"block {at.block}: {event.symbol} trades asset {event.base_asset}, unknown")
    row = MarketRow(
        hash=event.market,
        index=event.index,
        kind=event.kind,
        base_asset=event.base_asset,
        base_symbol=synth.symbol,
        lot_exponent=event.lot_exponent,
        quote_per_lot_tick=event.quote_per_lot_tick,
        min_lots=event.min_lots,
        maker_fee_bps=event.maker_fee_bps,
        taker_fee_bps=event.taker_fee_bps,
        status=int(MarketStatus.PAUSED),
        next_sequence=0,
        accrued_fees=0,
        listed_block=at.block,
    )
    ledger.state.markets.put((event.symbol,), row)
    ledger.name_market(event.symbol, row)
    fact = facts.MarketListed(
        symbol=event.symbol,
        index=event.index,
        kind=event.kind,
        base_asset=event.base_asset,
        base_symbol=synth.symbol,
        lot_exponent=event.lot_exponent,
        quote_per_lot_tick=event.quote_per_lot_tick,
        min_lots=event.min_lots,
        maker_fee_bps=event.maker_fee_bps,
        taker_fee_bps=event.taker_fee_bps,
    )
    ledger.fact(at, fact)


def market_status_changed(ledger: Ledger, event: MarketStatusChanged, at: Position) -> None:
    symbol, market = ledger.market_by_hash(event.market, at)
    if market.status != event.previous:
        raise Halt(
            "MARKET_STATUS_MISMATCH",
            f"block {at.block}, log {at.log_index}: {symbol} leaves status {event.previous}, not its {market.status}",
        )
    ledger.state.markets.put((symbol,), market._replace(status=event.status))
    ledger.fact(at, facts.MarketStatusChanged(symbol, event.status, event.previous))
