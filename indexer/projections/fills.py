"""Fills: each number of a market's settlement sequence, settled, skipped or voided.

A fill's event carries no balances, so both sides are folded here by the contract's own arithmetic: at the maker's
price the buyer pays notional plus fee, the seller receives notional less fee, and the base goes the other way.
"""

from __future__ import annotations

from cxdex import facts
from cxdex.batch import SkipReason
from indexer.candles import with_trade
from indexer.events import Fill, FillSkipped, Position, SequenceVoided
from indexer.halt import Halt, MissingLogs
from indexer.projections.ledger import CASH, Ledger
from indexer.rows import LaneRow, MarketRow, OrderFillRow

VOIDED = SkipReason.VOIDED
MAX_VOIDED = 100_000  # more in one event is not operation but sabotage; a person should look

# Where the parts of a nonce stand in an order word.
ACCOUNT_BYTES = 20
_LANE, _SEQ = slice(22, 25), slice(25, 28)
_SEQUENCE = MarketRow._fields.index("next_sequence")


def settled(ledger: Ledger, event: Fill, at: Position) -> None:
    symbol, market = ledger.market_by_index(event.market_index, at)
    _take_sequence(ledger, symbol, market, event.sequence, 1, event.maker_fee + event.taker_fee, at)
    notional = event.quantity * event.price * market.quote_per_lot_tick
    base = event.quantity * 10**market.lot_exponent
    maker, taker = event.maker_order[:ACCOUNT_BYTES], event.taker_order[:ACCOUNT_BYTES]
    if event.taker_is_buyer:
        buyer, seller, buyer_fee, seller_fee = taker, maker, event.taker_fee, event.maker_fee
    else:
        buyer, seller, buyer_fee, seller_fee = maker, taker, event.maker_fee, event.taker_fee
    ledger.debit(buyer, CASH, notional + buyer_fee, "FILL", at)
    ledger.credit(seller, CASH, notional - seller_fee, "FILL", at)
    ledger.debit(seller, market.base_asset, base, "FILL", at)
    ledger.credit(buyer, market.base_asset, base, "FILL", at)
    _fill_order(ledger, symbol, event.maker_order, maker, event.quantity)
    _fill_order(ledger, symbol, event.taker_order, taker, event.quantity)
    minute = at.timestamp - at.timestamp % 60
    candles, key = ledger.state.candles, (symbol, minute)
    candles.put(key, with_trade(candles.get(key), event.price, event.quantity, notional))
    ledger.fills.append(
        (
            at.block,
            at.log_index,
            event.sequence,
            symbol,
            at.tx_hash,
            at.timestamp,
            event.maker_order,
            event.taker_order,
            maker,
            taker,
            event.price,
            event.quantity,
            event.taker_is_buyer,
            event.maker_fee,
            event.taker_fee,
            None,
        )
    )
    ledger.fact(at, facts.FillSettled(symbol, event.sequence, _terms(event)))


def _terms(event: Fill) -> facts.SettledTerms:
    return facts.SettledTerms(
        event.maker_order,
        event.taker_order,
        event.taker_is_buyer,
        event.price,
        event.quantity,
        event.maker_fee,
        event.taker_fee,
    )


def skipped(ledger: Ledger, event: FillSkipped, at: Position) -> None:
    symbol, market = ledger.market_by_index(event.market_index, at)
    _take_sequence(ledger, symbol, market, event.sequence, 1, 0, at)
    ledger.fills.append(
        (
            at.block,
            at.log_index,
            event.sequence,
            symbol,
            at.tx_hash,
            at.timestamp,
            event.maker_order,
            event.taker_order,
            event.maker_order[:ACCOUNT_BYTES],
            event.taker_order[:ACCOUNT_BYTES],
            event.price,
            event.quantity,
            event.taker_is_buyer,
            *(None, None),
            event.reason,
        )
    )
    ledger.fact(at, facts.FillSkipped(symbol, event.sequence, event.reason, 1, event.maker_order, event.taker_order))


def voided(ledger: Ledger, event: SequenceVoided, at: Position) -> None:
    symbol, market = ledger.market_by_hash(event.market, at)
    if event.count > MAX_VOIDED:
        raise Halt("VOID_TOO_LARGE", f"block {at.block}: {event.count} sequence numbers of {symbol} voided at once")
    _take_sequence(ledger, symbol, market, event.first_sequence, event.count, 0, at)
    for place in range(event.count):
        sequence = event.first_sequence + place
        ledger.fills.append((at.block, at.log_index, sequence, symbol, at.tx_hash, at.timestamp, *[None] * 9, VOIDED))
    ledger.fact(at, facts.FillSkipped(symbol, event.first_sequence, VOIDED, event.count))


def _take_sequence(
    ledger: Ledger, symbol: str, market: MarketRow, first: int, count: int, fees: int, at: Position
) -> None:
    """Uses up sequence numbers. Raises MissingLogs when they are not the market's next ones."""
    if first != market.next_sequence:
        raise MissingLogs(
            "SEQUENCE_GAP",
            f"block {at.block}, log {at.log_index}: {symbol} goes on with sequence {first}, but {market.next_sequence} "
            "is next: the node has left logs out",
            allowed="point --rpc at another node, or run `python -m indexer rebuild`",
        )
    row = MarketRow._make((*market[:_SEQUENCE], first + count, market.accrued_fees + fees, market.listed_block))
    ledger.state.markets.put((symbol,), row)


def _fill_order(ledger: Ledger, symbol: str, order: bytes, account: bytes, quantity: int) -> None:
    """Adds to the order and to its lane: an order newer than the lane's takes it over and starts at zero."""
    orders = ledger.state.order_fills
    row = orders.get((order,))
    orders.put((order,), OrderFillRow(symbol, quantity if row is None else row.filled + quantity))
    seq, key = int.from_bytes(order[_SEQ], "big"), (account, int.from_bytes(order[_LANE], "big"))
    lanes = ledger.state.lanes
    lane = lanes.get(key)
    before = lane.filled if lane is not None and lane.seq == seq else 0
    announced = lane is not None and lane.is_cancel_announced
    if announced:
        cancel = ledger.state.lane_cancels.get(key)
        announced = cancel is not None and seq < cancel.seq  # it is meant for this order, which lives a little longer
    lanes.put(key, LaneRow(seq, before + quantity, announced))
