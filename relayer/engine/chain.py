"""What the chain did, and what a reorg took back, applied to the engine's state.

Owns:     the chain position, and the memory of recent facts that is needed to undo them.
Promises: a fact counts once: at or before the position it is ignored. A revert counts only if its fact is the last one
          applied; then the fact before it is the last. Facts of the last UNDO_BLOCKS blocks can be taken back to the
          unit. Orders that a fact closed stay closed; those that a price triggered, see `conditional`.
Never:    trusts its own balances over the chain's: what no longer covers the open orders closes the newest of them.
"""

from __future__ import annotations

from typing import assert_never

from cxdex.facts import (
    Credited,
    Debited,
    EpochRaised,
    FillSettled,
    FillSkipped,
    MarketListed,
    MarketStatusChanged,
    NonceRaised,
    PriceUpdated,
    SessionRevoked,
    SessionSet,
    SessionUsed,
    WithdrawnInstantly,
)
from cxdex.market import MarketKind, MarketStatus, MarketTerms
from cxdex.nonce import unpack_nonce
from relayer.engine.chain_log import UNDO_BLOCKS, AppliedFact, OutboxRow
from relayer.engine.commands import ApplyFact, OutboxRead
from relayer.engine.conditional import forget_index, see_index
from relayer.engine.events import MarketChanged
from relayer.engine.sessions import NO_SESSION, restore_session, revoke_session, set_session, use_session
from relayer.engine.settlement import forget_resolved, settle, skip, unresolve
from relayer.engine.state import Market, State
from relayer.engine.turn import Turn
from relayer.engine.withdrawals import pay_out, take_back

LEAST_FACTS = 16  # remembered however old they are: a reader compares them with a table that was made anew
_TRADED_KINDS = (MarketKind.SPOT,)
_CLOSING = (MarketStatus.UNLISTED, MarketStatus.DELISTED, MarketStatus.SETTLED)


def note_row(state: State, command: ApplyFact | OutboxRead) -> None:
    """Remembers the last row of the outbox that was read, so that a restart knows the table again."""
    place = (command.block, command.log_index, command.block_hash)
    state.outbox_row = OutboxRow(command.outbox_seq, *place, command.reverted)


def apply_fact(turn: Turn, command: ApplyFact) -> None:
    state = turn.state
    note_row(state, command)
    place = (command.block, command.log_index, command.block_hash)
    if command.reverted:
        if state.applied and state.applied[-1].place == place:
            _revert(turn, state.applied.pop())
    elif place[:2] > state.position:
        applied = AppliedFact(*place, command.fact)
        state.applied.append(applied)
        _apply(turn, applied)
        _forget_before(turn, command.block - UNDO_BLOCKS)


def _apply(turn: Turn, applied: AppliedFact) -> None:
    match applied.fact:
        case Credited() as fact:
            _change_total(turn, fact.account, fact.asset, fact.amount)
        case Debited() as fact:
            _change_total(turn, fact.account, fact.asset, -fact.amount)
        case WithdrawnInstantly() as fact:
            applied.set_aside = pay_out(turn, fact)
        case FillSettled() as fact:
            settle(turn, fact, applied.block)
        case FillSkipped() as fact:
            skip(turn, fact, applied.block)
        case NonceRaised() as fact:
            applied.number = _raise_nonce(turn, fact)
        case EpochRaised() as fact:
            applied.number = _raise_epoch(turn, fact)
        case SessionSet() as fact:
            applied.session = set_session(turn, fact)
        case SessionRevoked() as fact:
            applied.session = revoke_session(turn, fact)
        case SessionUsed() as fact:
            applied.session = use_session(turn, fact)
        case MarketListed() as fact:
            _list_market(turn, fact)
        case MarketStatusChanged() as fact:
            _set_status(turn, fact.symbol, fact.status)
        case PriceUpdated() as fact:
            applied.price = turn.state.limits.see_price(fact)
            see_index(turn, applied, fact)
        case _ as unreachable:
            assert_never(unreachable)


def _revert(turn: Turn, applied: AppliedFact) -> None:
    match applied.fact:
        case Credited() as fact:
            _change_total(turn, fact.account, fact.asset, -fact.amount)
        case Debited() as fact:
            _change_total(turn, fact.account, fact.asset, fact.amount)
        case WithdrawnInstantly() as fact:
            take_back(turn, fact, applied.set_aside)
        case FillSettled() as fact:
            unresolve(turn, fact.market, fact.sequence, applied.block)
        case FillSkipped() as fact:
            for sequence in reversed(range(fact.sequence, fact.sequence + fact.count)):
                unresolve(turn, fact.market, sequence, applied.block)
        case NonceRaised() as fact:
            account = turn.state.account(fact.account)
            account.lane_may_be_free(fact.lane)
            account.lane(fact.lane).floor = applied.number
        case EpochRaised() as fact:
            turn.state.account(fact.account).epoch = applied.number
        case SessionSet() | SessionRevoked() | SessionUsed() as fact:
            restore_session(turn, fact.account, fact.key, applied.session or NO_SESSION)
        case MarketListed() as fact:
            _set_status(turn, fact.symbol, MarketStatus.UNLISTED)
        case MarketStatusChanged() as fact:
            _set_status(turn, fact.symbol, fact.previous)
        case PriceUpdated() as fact:
            turn.state.limits.restore_price(fact.asset, applied.price)
            forget_index(turn, applied, fact)
        case _ as unreachable:
            assert_never(unreachable)


def _change_total(turn: Turn, address: bytes, asset: int, change: int) -> None:
    account = turn.state.account(address)
    turn.change_total(account, asset, change)
    turn.cover(account, asset, "BALANCE_WITHDRAWN")


def _raise_nonce(turn: Turn, fact: NonceRaised) -> int:
    """Orders leave the book at once; their matched fills stay on their way, because the chain honours them until
    `effective_at`. Returns the lane's floor before."""
    account = turn.state.account(fact.account)
    lane = account.lane(fact.lane)
    before = lane.floor
    lane.floor = max(lane.floor, fact.seq)
    if lane.is_open:
        dead = [r for r in account.open.values() if r.lane == fact.lane and unpack_nonce(r.order.nonce).seq < fact.seq]
        turn.close_all(dead, "CHAIN_CANCEL")
    return before


def _raise_epoch(turn: Turn, fact: EpochRaised) -> int:
    """Like `_raise_nonce`, for all lanes. Returns the epoch before."""
    account = turn.state.account(fact.account)
    before, account.epoch = account.epoch, fact.epoch
    dead = [r for r in account.open.values() if unpack_nonce(r.order.nonce).epoch != fact.epoch]
    turn.close_all(dead, "CHAIN_CANCEL")
    return before


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
        market.list_again(terms)
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
        turn.close_all(market.pending(), "MARKET_DELISTED")


def _forget_before(turn: Turn, block: int) -> None:
    state = turn.state
    while len(state.applied) > LEAST_FACTS and state.applied[0].block < block:
        forgotten = state.applied.popleft()
        state.floor = forgotten.place[:2]
        if isinstance(forgotten.fact, WithdrawnInstantly):
            state.paid_nonces.discard((forgotten.fact.account, forgotten.fact.nonce))
    forget_resolved(state, block)
