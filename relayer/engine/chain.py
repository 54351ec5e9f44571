"""What the chain did, and what a reorg took back, applied to the engine's state.

Owns:     the chain position, the fate of matched fills, and the memory needed to undo facts.
Promises: a fact counts once: at or before the position it is ignored; a revert counts only if its fact is at or
          before the position, which then moves back to just before it.
          Undoing a skip, a settlement, a nonce or an epoch works for the last UNDO_BLOCKS blocks; amounts and market
          statuses carry their own undo and work at any depth. Orders that a fact closed stay closed.
Never:    trusts its own balances over the chain's: what no longer covers the open orders closes the newest of them.
"""

from __future__ import annotations

from cxdex.batch import SkipReason
from cxdex.facts import (
    AnyFact,
    Credited,
    Debited,
    EpochRaised,
    FillSettled,
    FillSkipped,
    MarketListed,
    MarketStatusChanged,
    NonceRaised,
    SettledTerms,
)
from cxdex.market import USDC_ASSET, MarketKind, MarketStatus, MarketTerms
from cxdex.nonce import unpack_nonce
from relayer.engine.commands import ApplyFact
from relayer.engine.events import FillRestored, FillVoided, MarketChanged
from relayer.engine.fills import FillRecord
from relayer.engine.orders import CANCELLED, EXPIRED, OPEN
from relayer.engine.state import Market
from relayer.engine.turn import Turn

UNDO_BLOCKS = 256
_MAKER_BLAMED = (SkipReason.MAKER_CANCELLED, SkipReason.MAKER_EXPIRED)
_TAKER_BLAMED = (SkipReason.TAKER_CANCELLED, SkipReason.TAKER_EXPIRED)
_EXPIRED_ON_CHAIN = (SkipReason.MAKER_EXPIRED, SkipReason.TAKER_EXPIRED)
_TRADED_KINDS = (MarketKind.SPOT,)
_CLOSING = (MarketStatus.UNLISTED, MarketStatus.DELISTED, MarketStatus.SETTLED)


def apply_fact(turn: Turn, command: ApplyFact) -> None:
    state = turn.state
    state.outbox_seq = command.outbox_seq
    position = (command.block, command.log_index)
    if command.reverted == (position > state.position):
        return
    if command.reverted:
        state.position = (command.block, command.log_index - 1)
        _revert(turn, command.fact, position)
    else:
        state.position = position
        _apply(turn, command.fact, position)
        _forget_before(turn, command.block - UNDO_BLOCKS)


def _apply(turn: Turn, fact: AnyFact, position: tuple[int, int]) -> None:
    match fact:
        case Credited():
            _change_total(turn, fact.account, fact.asset, fact.amount)
        case Debited():
            _change_total(turn, fact.account, fact.asset, -fact.amount)
        case FillSettled():
            _settle(turn, fact, position[0])
        case FillSkipped():
            for sequence in range(fact.sequence, fact.sequence + fact.count):
                _resolve(turn, fact.market, sequence, position[0], fact.reason)
        case NonceRaised():
            _raise_nonce(turn, fact, position)
        case EpochRaised():
            _raise_epoch(turn, fact, position)
        case MarketListed():
            _list_market(turn, fact)
        case MarketStatusChanged():
            _set_status(turn, fact.symbol, fact.status)


def _revert(turn: Turn, fact: AnyFact, position: tuple[int, int]) -> None:
    match fact:
        case Credited():
            _change_total(turn, fact.account, fact.asset, -fact.amount)
        case Debited():
            _change_total(turn, fact.account, fact.asset, fact.amount)
        case FillSettled():
            _unresolve(turn, fact.market, fact.sequence, position[0])
        case FillSkipped():
            for sequence in reversed(range(fact.sequence, fact.sequence + fact.count)):
                _unresolve(turn, fact.market, sequence, position[0])
        case NonceRaised():
            account = turn.state.account(fact.account)
            account.lane_may_be_free(fact.lane)
            lane = account.lane(fact.lane)
            lane.floor = turn.state.undo.pop(position, lane.floor)
        case EpochRaised():
            account = turn.state.account(fact.account)
            account.epoch = turn.state.undo.pop(position, fact.epoch - 1)
        case MarketListed():
            _set_status(turn, fact.symbol, MarketStatus.UNLISTED)
        case MarketStatusChanged():
            _set_status(turn, fact.symbol, fact.previous)


def _change_total(turn: Turn, address: bytes, asset: int, change: int) -> None:
    account = turn.state.account(address)
    turn.change_total(account, asset, change)
    turn.cover(account, asset, "BALANCE_WITHDRAWN")


def _settle(turn: Turn, fact: FillSettled, block: int) -> None:
    """A fill of ours is on chain, or one that this engine never made: then it moves now what it moved there."""
    market, terms = turn.state.markets.get(fact.market), fact.terms
    if market is not None and terms is not None:
        ours = market.unsettled.get(fact.sequence)
        if ours is None or (ours.maker_digest, ours.taker_digest) != (terms.maker_order, terms.taker_order):
            # Our own fill of this number, if any, can never settle: the number is used up.
            _resolve(turn, fact.market, fact.sequence, block, SkipReason.VOIDED)
            _take_foreign(turn, market, fact.sequence, block, terms)
            return
    _resolve(turn, fact.market, fact.sequence, block, None)


def _take_foreign(turn: Turn, market: Market, sequence: int, block: int, terms: SettledTerms) -> None:
    maker_nonce, taker_nonce = unpack_nonce(terms.maker_nonce), unpack_nonce(terms.taker_nonce)
    fill = FillRecord(
        match_id=0,
        market=market.terms.symbol,
        sequence=sequence,
        maker=terms.maker,
        taker=terms.taker,
        maker_digest=terms.maker_order,
        taker_digest=terms.taker_order,
        maker_lane=maker_nonce.lane,
        taker_lane=taker_nonce.lane,
        taker_is_buyer=terms.taker_is_buyer,
        base_asset=market.terms.base_asset,
        base=terms.quantity * market.terms.lot_size,
        notional=market.terms.notional(terms.quantity, terms.price),
        maker_fee=terms.maker_fee,
        taker_fee=terms.taker_fee,
        resolved_block=block,
        is_foreign=True,
    )
    turn.pay(fill, 1)
    for address, nonce in ((terms.maker, maker_nonce), (terms.taker, taker_nonce)):
        lane = turn.state.account(address).lane(nonce.lane)
        lane.used = max(lane.used, nonce.seq)
    market.settled_sequence = max(market.settled_sequence, sequence + 1)
    market.next_sequence = max(market.next_sequence, sequence + 1)
    market.foreign[sequence] = fill
    turn.state.resolutions.append((block, fill.market, sequence))
    _cover_both(turn, fill)


def _resolve(turn: Turn, symbol: str, sequence: int, block: int, skip_reason: int | None) -> None:
    market = turn.state.markets.get(symbol)
    if market is None:
        return
    market.settled_sequence = max(market.settled_sequence, sequence + 1)
    # An engine that lost its journal must not give a number that the chain has already used.
    market.next_sequence = max(market.next_sequence, sequence + 1)
    fill = market.unsettled.pop(sequence, None)
    if fill is None:
        return
    fill.resolved_block, fill.skip_reason = block, skip_reason
    market.resolved[sequence] = fill
    turn.state.resolutions.append((block, symbol, sequence))
    turn.count_unsettled(fill, -1)
    if skip_reason is not None:
        _void(turn, fill, skip_reason)


def _void(turn: Turn, fill: FillRecord, reason: int) -> None:
    turn.events.append(FillVoided(turn.time_ms, fill.match_id, fill.market, fill.sequence, reason))
    turn.pay(fill, -1)
    blamed = fill.maker_digest if reason in _MAKER_BLAMED else fill.taker_digest if reason in _TAKER_BLAMED else None
    record = turn.state.orders.get(blamed) if blamed else None
    if record is not None and record.status == OPEN:
        if reason in _EXPIRED_ON_CHAIN:
            turn.close(record, EXPIRED, "EXPIRED")
        else:
            turn.close(record, CANCELLED, "CHAIN_CANCEL")
    _cover_both(turn, fill)


def _unresolve(turn: Turn, symbol: str, sequence: int, block: int) -> None:
    state = turn.state
    market = state.markets.get(symbol)
    if market is None:
        return
    market.settled_sequence = min(market.settled_sequence, sequence)
    foreign = market.foreign.pop(sequence, None)
    if foreign is not None:
        _drop_resolution(turn, (block, symbol, sequence))
        turn.pay(foreign, -1)
        _cover_both(turn, foreign)
    fill = market.resolved.pop(sequence, None)
    if fill is None:
        return
    _drop_resolution(turn, (block, symbol, sequence))
    market.unsettled[sequence] = fill
    turn.count_unsettled(fill, 1)
    was_voided = fill.skip_reason is not None
    fill.resolved_block = fill.skip_reason = None
    if was_voided:
        turn.events.append(FillRestored(turn.time_ms, fill.match_id, symbol, sequence))
        turn.pay(fill, 1)
        _cover_both(turn, fill)


def _drop_resolution(turn: Turn, resolution: tuple[int, str, int]) -> None:
    if turn.state.resolutions and turn.state.resolutions[-1] == resolution:
        turn.state.resolutions.pop()


def _cover_both(turn: Turn, fill: FillRecord) -> None:
    for address in (fill.maker, fill.taker):
        account = turn.state.account(address)
        for asset in (USDC_ASSET, fill.base_asset):
            turn.cover(account, asset, "FILL_VOIDED")


def _raise_nonce(turn: Turn, fact: NonceRaised, position: tuple[int, int]) -> None:
    account = turn.state.account(fact.account)
    lane = account.lane(fact.lane)
    turn.state.undo[position] = lane.floor
    lane.floor = max(lane.floor, fact.seq)
    if lane.is_open:
        dead = [r for r in account.open.values() if r.lane == fact.lane and unpack_nonce(r.order.nonce).seq < fact.seq]
        turn.close_all(dead, "CHAIN_CANCEL")


def _raise_epoch(turn: Turn, fact: EpochRaised, position: tuple[int, int]) -> None:
    account = turn.state.account(fact.account)
    turn.state.undo[position] = account.epoch
    account.epoch = fact.epoch
    dead = [r for r in account.open.values() if unpack_nonce(r.order.nonce).epoch != fact.epoch]
    turn.close_all(dead, "CHAIN_CANCEL")


def _list_market(turn: Turn, fact: MarketListed) -> None:
    """A listing that a reorg took back may return, even with other terms: nothing rests in it by then.

    A kind of market that this engine cannot trade stays unknown to it.
    """
    if fact.kind not in _TRADED_KINDS:
        return
    terms = MarketTerms(
        symbol=fact.symbol,
        index=fact.index,
        kind=MarketKind(fact.kind),
        base_asset=fact.base_asset,
        base_symbol=fact.base_symbol,
        lot_exponent=fact.lot_exponent,
        quote_per_lot_tick=fact.quote_per_lot_tick,
        min_lots=fact.min_lots,
        maker_fee_bps=fact.maker_fee_bps,
        taker_fee_bps=fact.taker_fee_bps,
    )
    market = turn.state.markets.get(fact.symbol)
    if market is None:
        turn.state.markets[fact.symbol] = Market(terms, MarketStatus.UNLISTED)
    else:
        market.terms = terms
    _set_status(turn, fact.symbol, MarketStatus.PAUSED)


def _set_status(turn: Turn, symbol: str, status: int) -> None:
    market = turn.state.markets.get(symbol)
    if market is None:
        return
    market.status = status
    turn.events.append(MarketChanged(turn.time_ms, symbol, status))
    if status in _CLOSING:
        resting = [*market.book.orders(is_bid=True), *market.book.orders(is_bid=False)]
        turn.close_all([turn.state.orders[entry.key] for entry in resting], "MARKET_DELISTED")


def _forget_before(turn: Turn, block: int) -> None:
    state = turn.state
    while state.resolutions and state.resolutions[0][0] < block:
        resolved_block, symbol, sequence = state.resolutions.popleft()
        for kept in (state.markets[symbol].resolved, state.markets[symbol].foreign):
            fill = kept.get(sequence)
            if fill is not None and fill.resolved_block == resolved_block:
                del kept[sequence]
    if state.undo and next(iter(state.undo))[0] < block:  # positions only rise, so the first is the oldest
        state.undo = {position: value for position, value in state.undo.items() if position[0] >= block}
