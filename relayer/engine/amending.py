"""Changing an open order: fewer lots, another order in its place, or gone and another one placed, each in one step.

Owns:     what an amendment may change, and what it keeps.
Promises: a refused amendment changes nothing: the open order stays where it is. Fewer lots keep the place in the
          book; so does a replacement at the same price with no more lots open, if both rest and neither hides a part.
          Every other replacement goes and comes again as a taker, or waits for its price. A replacement has the nonce
          of the order it replaces, so the chain counts their fills together; what is filled before counts here too.
          Fills of the old order settle under the old signature. An order that was replaced does not come back while
          its nonce is in use.
Never:    checks signatures or who asks (the gateway did), but a session key replaces only what it signed.

That the older terms no longer count is the relayer's word: the chain would settle any order of the nonce that the
account has signed, together at most the largest quantity. What ends the older ones there: a cancel on chain, or a
settled fill of a newer order in the same lane.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cxdex.market import MarketTerms
from cxdex.order import SignatureKind
from cxdex.problem import OrderProblem, Problem
from cxdex.units import format_quantity
from relayer.engine.acceptance import accept, admit, enter, place, reject
from relayer.engine.book import BookOrder
from relayer.engine.cancelling import block_early, named
from relayer.engine.commands import CancelAndPlace, Reduce, Replace
from relayer.engine.events import OrderClosed, OrderReduced, ReduceRefused
from relayer.engine.orders import CANCELLED, LIVE, OPEN, OrderRecord
from relayer.engine.pairing import MOST_OF_A_NONCE, join, require_pair
from relayer.engine.placing import require_whole_fills
from relayer.engine.state import Market, State
from relayer.engine.turn import Turn

Neighbours = tuple[BookOrder[bytes] | None, BookOrder[bytes] | None] | None
"""(older, newer) in the book; None: it does not rest."""


def reduce(turn: Turn, command: Reduce) -> None:
    try:
        record = _require_open(turn.state, command.account, command.digest)
        market = turn.state.markets[record.order.market]
        _require_lower(market.terms, record, command.quantity)
    except Problem as problem:
        words = (problem.code, problem.detail, problem.field, problem.given, problem.allowed)
        turn.events.append(ReduceRefused(turn.time_ms, command.digest, command.account, *words))
        return
    left = command.quantity - record.nonce_filled
    if left <= 0:
        turn.close(record, CANCELLED, "REDUCED")
    elif left < record.entry.total:
        if record.status == OPEN:
            market.book.reduce(record.entry, left)
            turn.touch_level(market, record.entry.is_buy, record.entry.price)
            turn.reserve(market, record, left)
        else:
            record.entry.remaining = left
        turn.note_change(record)
        turn.events.append(OrderReduced(turn.time_ms, record.digest, command.account, record.order.market, left))


def replace(turn: Turn, command: Replace) -> None:
    try:
        old, market, new = admit_replacement(turn, command)
    except Problem as problem:
        reject(turn, command, problem)
        return
    before = old.entry
    is_quiet = old.status == OPEN and new.order.condition is None and new.order.may_rest
    hides = old.display or new.display
    if is_quiet and not hides and new.entry.price == before.price and new.entry.remaining <= before.remaining:
        _hand_over(turn, market, old, new, command)
    else:
        turn.close(old, CANCELLED, "REPLACED", new.digest)
        enter(turn, market, new, command)


def admit_replacement(turn: Turn, command: Replace) -> tuple[OrderRecord, Market, OrderRecord]:
    """The order to replace, its market, and the new one as it could enter now. Raises Problem; either way nothing has
    changed."""
    old = _require_replaceable(turn.state, command)
    with _without(turn.state, [old]):
        market, new = admit(turn, command, old)
    return old, market, new


def cancel_and_place(turn: Turn, command: CancelAndPlace) -> None:
    state = turn.state
    try:
        olds = _to_cancel(state, command)
    except Problem as problem:
        if not command.place_anyway:
            reject(turn, command, problem)
            return
        account = state.accounts.get(command.order.account)
        if account is not None and command.cancels and command.cancels not in state.orders:
            block_early(turn, account, command.cancels)
        olds = []
    if not command.keep_if_refused:
        turn.close_all(olds, "USER")
        place(turn, command)
        return
    try:
        with _without(state, [*olds, *_other_legs(olds)]):
            market, record = admit(turn, command)
    except Problem as problem:
        reject(turn, command, problem)
        return
    turn.close_all(olds, "USER")
    enter(turn, market, record, command)


def _require_open(state: State, account: bytes, digest: bytes, field: str = "id") -> OrderRecord:
    record = state.orders.get(digest)
    given = "0x" + digest.hex()
    if record is None or record.order.account != account:
        raise OrderProblem("ORDER_UNKNOWN", "the account has no such open order", field=field, given=given)
    if record.status not in LIVE:
        raise OrderProblem("ORDER_NOT_OPEN", f"the order is {record.status} already", field=field, given=given)
    return record


def _require_lower(terms: MarketTerms, record: OrderRecord, quantity: int) -> None:
    """Up to the quantity that it has: then nothing changes, so that saying it twice does no harm."""
    most = record.nonce_filled + record.entry.total
    require_whole_fills(terms, quantity)
    if quantity > most:
        raise OrderProblem(
            "ORDER_AMEND_RAISES",
            "a larger quantity needs the account's signature: replace the order",
            field="quantity",
            given=format_quantity(terms, quantity),
            allowed=f"at most {format_quantity(terms, most)}, what is filled included",
        )


def _require_replaceable(state: State, command: Replace) -> OrderRecord:
    order = command.order
    old = _require_open(state, order.account, command.replaces, "replaces")
    for field, given, wanted in (
        ("nonce", str(order.nonce), str(old.order.nonce)),
        ("market", order.market, old.order.market),
        ("side", order.side.name, old.order.side.name),
    ):
        if given != wanted:
            raise OrderProblem(
                "ORDER_REPLACE_DIFFERS",
                f"an order replaces one of the same nonce, market and side; this one has another {field}",
                field=field,
                given=given,
                allowed=f"{wanted}; or POST /v1/orders/cancel-and-place",
            )
    if command.kind is SignatureKind.SESSION and old.signer != command.signer:
        raise OrderProblem(
            "SESSION_ORDER_FOREIGN",
            "a session key replaces only orders that it has signed itself",
            field="signature",
            given="0x" + command.signer.hex(),
            allowed="the account's own signature",
        )
    if old.twin is not None:
        require_pair(order, old.twin)
    elders = old.ancestors if old.twin is None else (*old.ancestors, *old.twin.ancestors)
    if command.digest in state.orders or command.digest in elders:
        raise OrderProblem(
            "ORDER_REPLACED_BEFORE",
            "this very order was accepted before and does not come back; sign it with another expiry",
            field="expiry",
            given=str(order.expiry),
        )
    if len(old.ancestors) >= MOST_OF_A_NONCE:
        raise OrderProblem(
            "ORDER_REPLACED_TOO_OFTEN",
            "too many orders have had this nonce",
            field="nonce",
            given=str(order.nonce),
            allowed=f"{MOST_OF_A_NONCE} replacements; POST /v1/orders/cancel-and-place takes a fresh nonce",
        )
    return old


def _to_cancel(state: State, command: CancelAndPlace) -> list[OrderRecord]:
    """The open orders that are meant. Raises OrderProblem when there is none."""
    address, name = command.order.account, command.cancels_name
    if name is None:
        return [_require_open(state, address, command.cancels, "cancel")]
    account = state.accounts.get(address)
    found = named(account, (name,)) if account else []
    if not found:
        detail = "no open order of the account has this name"
        raise OrderProblem("ORDER_UNKNOWN", detail, field="cancel", given=name)
    return found


def _other_legs(records: list[OrderRecord]) -> list[OrderRecord]:
    """Of pairs; they go when these go."""
    return [record.twin for record in records if record.twin is not None and record.twin not in records]


def _hand_over(turn: Turn, market: Market, old: OrderRecord, new: OrderRecord, command: Replace) -> None:
    """The new order takes the old one's place in the book and in the account's list, which go by age."""
    new.number = old.number
    lowers = new.entry.remaining != old.entry.remaining
    market.book.succeed(old.entry, new.entry)
    if lowers:
        turn.touch_level(market, new.entry.is_buy, new.entry.price)
    turn.reserve(market, old, 0)
    old.ancestors, old.twin = (), None
    if new.twin is not None:
        join(new, new.twin)
    old.status, old.reason, old.replaced_by = CANCELLED, "REPLACED", new.digest
    turn.note_change(old)
    turn.state.hand_over(old, new)
    words = (CANCELLED, "REPLACED", old.entry.remaining, new.digest)
    turn.events.append(OrderClosed(turn.time_ms, old.digest, old.order.account, old.order.market, *words))
    accept(turn, market, new, command)
    turn.state.watch_expiry(new)


@contextmanager
def _without(state: State, records: Sequence[OrderRecord]) -> Iterator[None]:
    """As if these open orders had gone: what they hold back is free. Afterwards all is as it was."""
    places = [_lift(state, record) for record in records]
    try:
        yield
    finally:
        for record, place in zip(reversed(records), reversed(places), strict=True):
            _put_back(state, record, place)


def _lift(state: State, record: OrderRecord) -> Neighbours:
    _count(state, record, -1)
    entry = record.entry
    if entry.level is None:
        return None
    place = entry.older, entry.newer
    state.markets[record.order.market].book.remove(entry)
    return place


def _put_back(state: State, record: OrderRecord, place: Neighbours) -> None:
    if place is not None:
        state.markets[record.order.market].book.put_back(record.entry, *place)
    _count(state, record, 1)


def _count(state: State, record: OrderRecord, sign: int) -> None:
    account = state.accounts[record.order.account]
    account.balance(record.asset).reserved += sign * record.reserved
    account.open_in[record.order.market] += sign
    account.lanes[record.lane].is_open = sign > 0
    if record.signer:
        account.session(record.signer).reserved += sign * record.session_reserved
