"""An accepted order meets the book: trades, self-trade prevention, and what becomes of the remainder.

Promises: fees and notional equal the contract's to the unit; sequences have no gaps; nothing is spent that was
          not reserved first.
Never:    refuses an order (see `placing`).
"""

from __future__ import annotations

from cxdex.fees import fill_fee
from relayer.engine.book import CANCEL_BOTH, CANCEL_MAKER, CANCEL_TAKER, DECREMENT, TRADE
from relayer.engine.events import OrderReduced, Traded
from relayer.engine.fills import FillRecord
from relayer.engine.limits import count_volume
from relayer.engine.orders import CANCELLED, FILLED, NO_PROOF, OPEN, OrderRecord
from relayer.engine.quote_guard import count_maker_fill, trip_reached
from relayer.engine.state import Market
from relayer.engine.turn import Triggered, Turn


def meet_book(turn: Turn, market: Market, record: OrderRecord) -> None:
    """The order trades what it can; what is left of it rests, or is dropped."""
    order = record.order
    _match(turn, market, record)
    trip_reached(turn, market)
    if record.status != OPEN:
        return
    if not order.may_rest:
        turn.close(record, CANCELLED, order.time_in_force.name)
        return
    if record.display:
        record.entry.hide(record.display)
    market.book.rest(record.entry)
    turn.touch_level(market, record.entry.is_buy, record.entry.price)
    if order.condition is None:  # else it has been watched since it was accepted
        turn.state.watch_expiry(record)


def _match(turn: Turn, market: Market, taker: OrderRecord) -> None:
    left = taker.entry.remaining
    stopped = False
    for step, entry, quantity, maker_left in market.book.match(taker.entry, taker.order.self_trade):
        maker = turn.state.orders[entry.key]
        if step != CANCEL_TAKER:
            turn.touch_level(market, entry.is_buy, entry.price)
        if step == TRADE:
            left -= quantity
            _trade(turn, market, maker, taker, quantity, maker_left, left)
        elif step == DECREMENT:
            left -= quantity
            _decrement(turn, market, maker, maker_left)
            if left:
                _decrement(turn, market, taker, left)
            else:
                stopped = True
        else:
            if step in (CANCEL_MAKER, CANCEL_BOTH):
                turn.close(maker, CANCELLED, "SELF_TRADE")
            stopped = step in (CANCEL_TAKER, CANCEL_BOTH)
    if stopped:
        turn.close(taker, CANCELLED, "SELF_TRADE")
    elif not left:
        turn.close(taker, FILLED, "FILLED")


def _trade(
    turn: Turn, market: Market, maker: OrderRecord, taker: OrderRecord, quantity: int, maker_left: int, left: int
) -> None:
    state, terms = turn.state, market.terms
    price = maker.order.limit_price
    notional = terms.notional(quantity, price)
    maker_account, taker_account = maker.order.account, taker.order.account
    owners = (state.accounts[maker_account], state.accounts[taker_account])
    maker_tier, taker_tier = owners[0].tier, owners[1].tier
    for owner in owners:
        count_volume(owner, notional, turn.time_ms)
    count_maker_fill(turn, owners[0], terms.symbol, quantity, notional)
    fill = FillRecord(
        match_id=state.next_match_id,
        market=terms.symbol,
        sequence=market.next_sequence,
        maker=maker_account,
        taker=taker_account,
        maker_digest=maker.digest,
        taker_digest=taker.digest,
        maker_nonce=maker.order.nonce,
        taker_nonce=taker.order.nonce,
        taker_is_buyer=taker.entry.is_buy,
        base_asset=terms.base_asset,
        base=quantity * terms.lot_size,
        notional=notional,
        maker_fee=fill_fee(notional, terms.maker_fee_bps, maker.order.max_fee_bps, maker_tier),
        taker_fee=fill_fee(notional, terms.taker_fee_bps, taker.order.max_fee_bps, taker_tier),
        maker_signer=maker.signer,
        taker_signer=taker.signer,
        time_ms=turn.time_ms,
    )
    state.next_match_id += 1
    market.next_sequence += 1
    market.unsettled[fill.sequence] = fill
    turn.pay(fill, 1)
    turn.count_unsettled(fill, 1)
    for record, remaining in ((maker, maker_left), (taker, left)):
        record.filled += quantity
        turn.reserve(market, record, remaining)
        turn.note_change(record)
    turn.events.append(_traded(turn.time_ms, fill, price, quantity, maker_left, left))
    for record in (maker, taker):
        if record.twin is not None:
            turn.share_fill(record, quantity)
    if not maker_left:
        turn.close(maker, FILLED, "FILLED")
    _note_price(turn, market, price)


def _note_price(turn: Turn, market: Market, price: int) -> None:
    """The market's last price, and what it triggers."""
    last, time = market.last, turn.time_ms // 1000
    if last.count:
        for hit in last.see(price, time)[0]:
            turn.triggered.append(Triggered(hit.record, price, NO_PROOF))
    else:
        last.number += 1
        last.value, last.time = price, time


def _decrement(turn: Turn, market: Market, record: OrderRecord, remaining: int) -> None:
    if not remaining:
        turn.close(record, CANCELLED, "SELF_TRADE")
        return
    turn.reserve(market, record, remaining)
    turn.note_change(record)
    turn.events.append(OrderReduced(turn.time_ms, record.digest, record.order.account, record.order.market, remaining))


def _traded(time_ms: int, fill: FillRecord, price: int, quantity: int, maker_left: int, taker_left: int) -> Traded:
    return Traded(
        time_ms,
        fill.match_id,
        fill.market,
        fill.sequence,
        fill.maker_digest,
        fill.taker_digest,
        fill.maker,
        fill.taker,
        fill.taker_is_buyer,
        price,
        quantity,
        fill.maker_fee,
        fill.taker_fee,
        maker_left,
        taker_left,
        fill.maker_nonce,
        fill.taker_nonce,
    )
