"""Orders that wait for a price: how they come in, what triggers them, and how they enter the book.

Owns:     the way of a conditional order from PENDING to OPEN, and back when a reorg takes its price away.
Promises: hidden until triggered: in no book, with nothing reserved; but it counts as open, expires, and whatever
          cancels open orders cancels it.
          An INDEX trigger is met only by a price that came as a chain fact, so its publish time is a proof that the
          contract accepts. A price that meets the condition already when the order comes triggers it at once.
          Each order is triggered at most once by a price, so a cascade ends.
Never:    trades by itself: a triggered order is a taker like any other (`matching.meet_book`).

The order of things. A command is carried out to its end first. The prices that it made (trades, or one index price)
put orders into a queue as they happen: first what the earlier price triggers, by one price what it reached first (the
level that lies furthest behind it; of one level the older order), by one index price in several markets the market
listed first. Then the queue is worked off, first in first out, in the same turn. A triggered order that trades makes
prices too, and what these trigger goes to the end of the queue. An order that has been closed meanwhile is passed
over. All of it is one command: a restart repeats all of a cascade or none.

When it enters, an order must pass what a new one must (balance, limits, band, session, market status, POST_ONLY,
FOK); else it is closed, with the code of the refusal as the reason. How many orders the account has sent, and has
open, was looked at when it was accepted.

A reorg. An index price that a reorg takes back is taken out of all extremes too, to the unit. Orders in the book that
it had triggered wait again, with what is left of them: their proof is gone, and whoever filled them would be skipped.
What they filled stays filled: the next price that meets the condition gives the order a new proof, which serves the
old fills as well; a batch that comes before is refused by the contract, and the settler holds the fill for a while.
Orders that are closed stay closed; those of which a fill is on its way to the chain go on watching for such a price
(`seeks_proof`), whether they were closed before or while they waited again. Taking a price back triggers nothing; the
next price does. Last prices are never taken back, not even when the chain passes over a fill: the exchange did match
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxdex.condition import index_scaled
from cxdex.problem import OrderProblem, Problem
from relayer.engine.events import OrderProven, OrderRearmed, OrderTriggered
from relayer.engine.limits import require_room
from relayer.engine.matching import meet_book
from relayer.engine.orders import CANCELLED, NO_PROOF, OPEN, PENDING, OrderRecord
from relayer.engine.placing import require_may_trade
from relayer.engine.quote_guard import require_armed
from relayer.engine.sessions import require_live_signer
from relayer.engine.turn import Triggered, Turn

if TYPE_CHECKING:
    from cxdex.condition import Condition
    from cxdex.facts import PriceUpdated
    from relayer.engine.chain_log import AppliedFact
    from relayer.engine.state import Market, State


def require_may_wait(state: State, record: OrderRecord, time_ms: int) -> None:
    """Raises OrderProblem for a conditional order that is not taken.

    It holds nothing back, so the account has to be one that the chain has named: keys without a deposit cost nothing,
    and would fill the memory.
    """
    if record.order.account not in state.accounts:
        raise OrderProblem(
            "BALANCE_INSUFFICIENT",
            "the exchange has seen no deposit of this account",
            field="account",
            given="0x" + record.order.account.hex(),
            allowed="an account with a balance here, also for orders that wait",
        )
    require_room(state, record.order, time_ms)
    require_armed(state, record.order, time_ms)
    require_live_signer(state, record, time_ms)


def wait(turn: Turn, market: Market, record: OrderRecord, condition: Condition) -> None:
    """A conditional order was accepted."""
    turn.state.watch_expiry(record)
    watch = market.watch(condition)
    if not watch.is_met_now(record):
        watch.add(record)
        return
    watch.count += 1
    if condition.trigger.by_index:
        seen = turn.state.limits.prices[market.terms.base_asset]
        turn.triggered.append(Triggered(record, seen.price, (seen.publish_time, 0)))
    else:
        turn.triggered.append(Triggered(record, watch.value, NO_PROOF))


def see_index(turn: Turn, applied: AppliedFact, fact: PriceUpdated) -> None:
    for symbol, market in turn.state.markets.items():
        if market.terms.base_asset != fact.asset:
            continue
        time = fact.publish_time
        hits, reached = market.index.see(index_scaled(market.terms, fact.price), time)
        applied.reached.append((symbol, reached))
        for hit in hits:
            proof = (hit.peak_time, time) if hit.peak_time else (time, 0)
            turn.triggered.append(Triggered(hit.record, fact.price, proof))


def forget_index(turn: Turn, applied: AppliedFact, fact: PriceUpdated) -> None:
    """A reorg took the price back; the one before it is in force again."""
    before = turn.state.limits.prices.get(fact.asset)
    for symbol, reached in applied.reached:
        market = turn.state.markets[symbol]
        if market.index.number == reached.number:
            market.index.undo(reached, *market.index_value(before))
            _rearm(turn, market, fact.publish_time)
            _seek_proofs(turn, market, fact.publish_time)


def enter_triggered(turn: Turn) -> None:
    """Works the queue off, and what comes into it meanwhile."""
    for triggered in turn.triggered:
        if triggered.record.status == PENDING:
            _trigger(turn, triggered)
        elif triggered.record.seeks_proof:
            _prove(turn, triggered)


def _trigger(turn: Turn, triggered: Triggered) -> None:
    record = triggered.record
    order, condition = record.order, record.order.condition
    if condition is None:
        raise ValueError("only an order with a condition can be triggered")
    market = turn.state.markets[order.market]
    record.status, record.proof = OPEN, triggered.proof
    market.watch(condition).leave()
    turn.note_change(record)
    words = (record.digest, order.account, order.market, record.entry.remaining)
    turn.events.append(OrderTriggered(turn.time_ms, *words, triggered.price, *triggered.proof))
    if record.twin is not None:
        turn.close(record.twin, CANCELLED, "OCO")
    try:
        require_may_trade(turn.state, market, record, turn.time_ms)
    except Problem as problem:
        turn.close(record, CANCELLED, problem.code)
        return
    turn.reserve(market, record, record.entry.remaining)
    meet_book(turn, market, record)


def _prove(turn: Turn, triggered: Triggered) -> None:
    """The closed order stays closed; its fills can settle now."""
    record = triggered.record
    record.proof, record.seeks_proof = triggered.proof, False
    turn.note_change(record)
    words = (record.digest, record.order.account, record.order.market, record.entry.total)
    first, second = triggered.proof
    ended = (record.reason, record.replaced_by)
    turn.events.append(OrderProven(turn.time_ms, *words, triggered.price, first, second, *ended))


def _seek_proofs(turn: Turn, market: Market, publish_time: int) -> None:
    symbol = market.terms.symbol
    for record in turn.state.closed:
        if record.order.market != symbol or publish_time not in record.proof:
            continue
        if record.unsettled and not record.seeks_proof:
            record.seeks_proof = True
            market.index.seek(record)


def _rearm(turn: Turn, market: Market, publish_time: int) -> None:
    entries = (*market.book.orders(is_bid=True), *market.book.orders(is_bid=False))
    found = (turn.state.orders[entry.key] for entry in entries)
    for record in sorted((r for r in found if publish_time in r.proof), key=lambda record: record.number):
        market.book.remove(record.entry)
        record.entry.unhide()
        turn.touch_level(market, record.entry.is_buy, record.entry.price)
        turn.reserve(market, record, 0)
        record.status = PENDING
        turn.note_change(record)
        words = (record.digest, record.order.account, record.order.market, record.entry.remaining)
        turn.events.append(OrderRearmed(turn.time_ms, *words))
        market.index.add(record)
