"""A signed order comes in: it is refused, or accepted, and then it meets the book or waits for its price.

Promises: a refused order changes nothing. What is accepted is said before anything that it does.
Never:    decides who trades with whom (see `matching`), or what an order may be (see `placing`).
"""

from __future__ import annotations

from cxdex.nonce import unpack_nonce
from cxdex.problem import Problem
from relayer.engine.cancelling import require_in_time
from relayer.engine.commands import SignedCommand
from relayer.engine.conditional import require_may_wait, wait
from relayer.engine.events import OrderAccepted, OrderRejected
from relayer.engine.limits import count_order
from relayer.engine.matching import meet_book
from relayer.engine.orders import OrderRecord
from relayer.engine.pairing import find_twin, join, require_own_name
from relayer.engine.placing import require_acceptable, require_display, require_may_trade
from relayer.engine.state import Market
from relayer.engine.turn import Turn


def place(turn: Turn, command: SignedCommand) -> None:
    """Accepts and matches the order, or says why not."""
    try:
        market, record = admit(turn, command)
    except Problem as problem:
        reject(turn, command, problem)
        return
    enter(turn, market, record, command)


def admit(turn: Turn, command: SignedCommand, old: OrderRecord | None = None) -> tuple[Market, OrderRecord]:
    """The order as it could enter now. Raises Problem; either way nothing has changed.

    old: the order that it replaces, which must be out of the way (see `amending`).
    """
    state, order = turn.state, command.order
    require_in_time(turn, command)
    twin = find_twin(state, order, command.digest) if old is None else old.twin
    elder = old or twin
    filled_before = 0 if elder is None else elder.nonce_filled
    if elder is not None:
        require_own_name(order, command.digest, elder)
    require_display(state, order, command.display_quantity)
    market = require_acceptable(state, order, turn.time_ms, filled_before, shares_nonce=elder is not None)
    record = OrderRecord(
        state.next_order_number,
        order,
        command.digest,
        command.client_order_id,
        market.terms,
        turn.time_ms,
        command.kind,
        command.signer,
        b"" if old is None else old.digest,
        filled_before,
        () if old is None else (*old.ancestors, old.digest),
    )
    record.twin, record.display = twin, command.display_quantity
    if order.condition is None:
        require_may_trade(state, market, record, turn.time_ms)
    else:
        require_may_wait(state, record, turn.time_ms)
    return market, record


def enter(turn: Turn, market: Market, record: OrderRecord, command: SignedCommand) -> None:
    """The order that was admitted meets the book, and rests or goes; or it waits for its price."""
    state, order = turn.state, record.order
    state.next_order_number += 1
    state.add_open(record)
    if record.twin is not None:
        join(record, record.twin)
    state.accounts[order.account].lanes[record.lane].used = unpack_nonce(order.nonce).seq
    accept(turn, market, record, command)
    if order.condition is None:
        meet_book(turn, market, record)
    else:
        wait(turn, market, record, order.condition)


def accept(turn: Turn, market: Market, record: OrderRecord, command: SignedCommand) -> None:
    """What an order takes and says when it is accepted, wherever it goes then."""
    count_order(turn.state, turn.state.accounts[record.order.account], turn.time_ms)
    if record.order.condition is None:  # else it holds nothing back until it is triggered
        turn.reserve(market, record, record.entry.remaining)
    turn.events.append(
        OrderAccepted(
            turn.time_ms,
            record.order,
            command.signature,
            record.digest,
            record.client_order_id,
            record.kind,
            record.signer,
            record.replaces,
            record.filled_before,
            record.display,
        )
    )


def reject(turn: Turn, command: SignedCommand, problem: Problem) -> None:
    order = command.order
    words = (problem.code, problem.detail, problem.field, problem.given, problem.allowed)
    turn.events.append(OrderRejected(turn.time_ms, command.digest, order.account, order.market, *words))
