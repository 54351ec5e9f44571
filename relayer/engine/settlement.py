"""The fate of matched fills: settled, skipped, voided, replaced by somebody else's, and any of these taken back.

Promises: after a fact every balance is what the chain's is, plus what is still on its way, to the unit; fees too.
Never:    decides whether a fact counts (see `chain`).
"""

from __future__ import annotations

from cxdex.batch import SkipReason
from cxdex.facts import FillSettled, FillSkipped, SettledTerms
from cxdex.market import USDC_ASSET
from cxdex.nonce import unpack_nonce
from cxdex.order import SignatureKind
from cxdex.order_word import OrderWord, unpack_order_word
from relayer.engine.events import FillRestored, FillVoided
from relayer.engine.fills import FillRecord
from relayer.engine.limits import correct_volume
from relayer.engine.orders import CANCELLED, EXPIRED, LIVE, NO_PROOF, OrderRecord
from relayer.engine.sessions import cover_session
from relayer.engine.state import Market, State
from relayer.engine.turn import Turn

_MAKER_BLAMED = (
    SkipReason.MAKER_CANCELLED,
    SkipReason.MAKER_EXPIRED,
    SkipReason.MAKER_SIGNATURE,
    SkipReason.MAKER_SESSION_LIMIT,
)
_TAKER_BLAMED = (
    SkipReason.TAKER_CANCELLED,
    SkipReason.TAKER_EXPIRED,
    SkipReason.TAKER_SIGNATURE,
    SkipReason.TAKER_SESSION_LIMIT,
)
_EXPIRED_ON_CHAIN = (SkipReason.MAKER_EXPIRED, SkipReason.TAKER_EXPIRED)
_CLOSING_WORD = {
    SkipReason.MAKER_CANCELLED: "CHAIN_CANCEL",
    SkipReason.TAKER_CANCELLED: "CHAIN_CANCEL",
    SkipReason.MAKER_SIGNATURE: "SIGNATURE_REFUSED",
    SkipReason.TAKER_SIGNATURE: "SIGNATURE_REFUSED",
    SkipReason.MAKER_SESSION_LIMIT: "SESSION_LIMIT",
    SkipReason.TAKER_SESSION_LIMIT: "SESSION_LIMIT",
}
_SIGNATURE_REFUSED = (SkipReason.MAKER_SIGNATURE, SkipReason.TAKER_SIGNATURE)


def settle(turn: Turn, fact: FillSettled, block: int) -> None:
    """A fill of ours is on chain, or one that this engine never made: then it moves now what it moved there.

    Ours is known by market and sequence, and by being the same: the orders' accounts, nonces and tails, what moved.
    """
    market, terms = turn.state.markets.get(fact.market), fact.terms
    if market is not None and terms is not None:
        ours = market.unsettled.get(fact.sequence)
        if ours is None or not _is_same(market, ours, terms):
            # Our own fill of this number, if any, can never settle: the number is used up.
            resolve(turn, fact.market, fact.sequence, block, SkipReason.VOIDED)
            _take_foreign(turn, market, fact.sequence, block, terms)
            return
        turn.charge(ours, (terms.maker_fee, terms.taker_fee))
    resolve(turn, fact.market, fact.sequence, block, None)


def _is_same(market: Market, fill: FillRecord, terms: SettledTerms) -> bool:
    return (
        fill.orders == (terms.maker_order, terms.taker_order)
        and fill.base == terms.quantity * market.terms.lot_size
        and fill.notional == market.terms.notional(terms.quantity, terms.price)
    )


def _take_foreign(turn: Turn, market: Market, sequence: int, block: int, terms: SettledTerms) -> None:
    maker, taker = unpack_order_word(terms.maker_order), unpack_order_word(terms.taker_order)
    fill = FillRecord(
        match_id=0,
        market=market.terms.symbol,
        sequence=sequence,
        maker=maker.account,
        taker=taker.account,
        maker_digest=maker.tail,
        taker_digest=taker.tail,
        maker_nonce=maker.nonce,
        taker_nonce=taker.nonce,
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
    for party in (maker, taker):
        _overtake(turn, party)
    market.settled_sequence = max(market.settled_sequence, sequence + 1)
    market.next_sequence = max(market.next_sequence, sequence + 1)
    market.foreign[sequence] = fill
    turn.state.resolutions.append((block, fill.market, sequence))
    _cover_both(turn, fill, "FILL_VOIDED")


def _overtake(turn: Turn, party: OrderWord) -> None:
    """Somebody else has filled this order on chain. If it is open, less is left of it there than here, and older ones
    of its lane are dead there: they would match, and their fills could not settle."""
    account, nonce = turn.state.account(party.account), unpack_nonce(party.nonce)
    lane = account.lane(nonce.lane)
    lane.used = max(lane.used, nonce.seq)
    if lane.is_open:
        in_lane = [record for record in account.open.values() if record.lane == nonce.lane]
        overtaken = [record for record in in_lane if unpack_nonce(record.order.nonce).seq <= nonce.seq]
        turn.close_all(overtaken, "SETTLED_ELSEWHERE")


def skip(turn: Turn, fact: FillSkipped, block: int) -> None:
    """Numbers that moved nothing. If others used one up, their reason is not about our orders: our fill is voided. If
    CORE voided one, the fill was given up, and what is left of its orders is cancelled before it matches again."""
    for sequence in range(fact.sequence, fact.sequence + fact.count):
        market = turn.state.markets.get(fact.market)
        ours = None if market is None else market.unsettled.get(sequence)
        is_ours = ours is None or not fact.maker_order or ours.orders == (fact.maker_order, fact.taker_order)
        if ours is not None and fact.reason == SkipReason.VOIDED:
            # Given up for ever: what the contract has against these orders, it would have against their next fill too.
            both = (turn.state.orders.get(digest) for digest in (ours.maker_digest, ours.taker_digest))
            turn.close_all([record for record in both if record is not None], "QUARANTINED")
        resolve(turn, fact.market, sequence, block, fact.reason if is_ours else SkipReason.VOIDED)


def resolve(turn: Turn, symbol: str, sequence: int, block: int, skip_reason: int | None) -> None:
    """The chain has used this number up; `skip_reason` is None when the fill settled."""
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
    _note_settled(turn, fill, block)
    if skip_reason is not None:
        _void(turn, fill, skip_reason)
    else:
        for address, signer in ((fill.maker, fill.maker_signer), (fill.taker, fill.taker_signer)):
            if signer:
                cover_session(turn, address, signer)
        if fill.charged is not None:
            _cover_both(turn, fill, "FEE_CHANGED")


def _note_settled(turn: Turn, fill: FillRecord, block: int) -> None:
    for digest in (fill.maker_digest, fill.taker_digest):
        record = turn.state.orders.get(digest)
        if record is not None and record.proof != NO_PROOF:
            record.settled_block = block


def _void(turn: Turn, fill: FillRecord, reason: int) -> None:
    turn.events.append(FillVoided(turn.time_ms, fill.match_id, fill.market, fill.sequence, reason))
    turn.pay(fill, -1)
    _correct_volumes(turn, fill, reason, -1)
    blamed = fill.maker_digest if reason in _MAKER_BLAMED else fill.taker_digest if reason in _TAKER_BLAMED else None
    record = turn.state.orders.get(blamed) if blamed else None
    if record is not None:
        _close_blamed(turn, record, reason)
    _cover_both(turn, fill, "FILL_VOIDED")


def _correct_volumes(turn: Turn, fill: FillRecord, reason: int, sign: int) -> None:
    if reason not in _MAKER_BLAMED:
        correct_volume(turn.state.account(fill.maker), sign * fill.notional, fill.time_ms)
    if reason not in _TAKER_BLAMED:
        correct_volume(turn.state.account(fill.taker), sign * fill.notional, fill.time_ms)


def _close_blamed(turn: Turn, blamed: OrderRecord, reason: int) -> None:
    """Closes what would be skipped again: the order, and where its signer is refused, all that this signer signed."""
    if reason in _SIGNATURE_REFUSED and blamed.kind is not SignatureKind.ACCOUNT:
        account = turn.state.accounts[blamed.order.account]
        same = [r for r in account.open.values() if (r.kind, r.signer) == (blamed.kind, blamed.signer)]
        turn.close_all(same, "SIGNATURE_REFUSED")
    elif blamed.status not in LIVE:
        return
    elif reason in _EXPIRED_ON_CHAIN:
        turn.close(blamed, EXPIRED, "EXPIRED")
    else:
        turn.close(blamed, CANCELLED, _CLOSING_WORD[SkipReason(reason)])


def unresolve(turn: Turn, symbol: str, sequence: int, block: int) -> None:
    """A reorg gave the number back."""
    state = turn.state
    market = state.markets.get(symbol)
    if market is None:
        return
    market.settled_sequence = min(market.settled_sequence, sequence)
    foreign = market.foreign.pop(sequence, None)
    if foreign is not None:
        _drop_resolution(turn, (block, symbol, sequence))
        turn.pay(foreign, -1)
        _cover_both(turn, foreign, "FILL_VOIDED")
    fill = market.resolved.pop(sequence, None)
    if fill is None:
        return
    _drop_resolution(turn, (block, symbol, sequence))
    market.unsettled[sequence] = fill
    turn.count_unsettled(fill, 1)
    reason = fill.skip_reason
    fill.resolved_block = fill.skip_reason = None
    if reason is not None:
        _correct_volumes(turn, fill, reason, 1)
        turn.events.append(FillRestored(turn.time_ms, fill.match_id, symbol, sequence))
        turn.pay(fill, 1)
    else:
        turn.charge(fill, None)
    _cover_both(turn, fill, "FILL_VOIDED")


def forget_resolved(state: State, before: int) -> None:
    """Drops decided fills of blocks before this one: no reorg reaches them."""
    while state.resolutions and state.resolutions[0][0] < before:
        resolved_block, symbol, sequence = state.resolutions.popleft()
        for kept in (state.markets[symbol].resolved, state.markets[symbol].foreign):
            fill = kept.get(sequence)
            if fill is not None and fill.resolved_block == resolved_block:
                del kept[sequence]


def _drop_resolution(turn: Turn, resolution: tuple[int, str, int]) -> None:
    """Nearly always the last one; a snapshot does not keep their order within a block."""
    resolutions = turn.state.resolutions
    for place in range(len(resolutions) - 1, -1, -1):
        if resolutions[place] == resolution:
            del resolutions[place]
            return
        if resolutions[place][0] < resolution[0]:
            return


def _cover_both(turn: Turn, fill: FillRecord, reason: str) -> None:
    for address in (fill.maker, fill.taker):
        account = turn.state.account(address)
        for asset in (USDC_ASSET, fill.base_asset):
            turn.cover(account, asset, reason)
