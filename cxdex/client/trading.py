"""Placing and cancelling: what happens between "buy" and a known outcome.

Promises: an order is signed once and its id is known before it is sent. When no answer comes, the very same
          order is sent again, which is harmless, because the id is what the exchange knows it by. Only a refusal
          that names the nonce, and only when nothing was left open before it, is answered with a new nonce.
Never:    reports a time-out as a refusal: after the last attempt it is OutcomeUnknown, with the id.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from cxdex.client import endpoints
from cxdex.client.errors import ApiProblem, OutcomeUnknown, Unreachable
from cxdex.client.patience import before_again
from cxdex.client.replies import (
    Balance,
    BatchEntry,
    BatchReply,
    CancelBatchReply,
    Cancelled,
    Countdown,
    Fill,
    Order,
    Outcome,
    Page,
)
from cxdex.client.session import Session
from cxdex.client.steps import Call, Flow, Pause
from cxdex.client.ticket import Ticket
from cxdex.market import MarketTerms
from cxdex.order import Side, SignedOrder
from cxdex.problem import OrderProblem, Problem
from cxdex.wallet import SessionWallet

T = TypeVar("T")

NONCE_REFUSALS = ("ORDER_NONCE_USED", "ORDER_NONCE_LANE_BUSY", "ORDER_EPOCH_STALE")
PLACE_ATTEMPTS = 5
CANCEL_SECONDS = 60
MAX_BATCH = 50
MAX_CANCELS = 200
SETTLE_PAUSE_SECONDS = 0.25
RECENT_FILLS = 500


def sign_ticket(session: Session, ticket: Ticket) -> Flow[tuple[MarketTerms, SignedOrder]]:
    """Signed with a fresh nonce, not sent."""
    terms = yield from session.terms(ticket.market)
    domain = yield from session.domain()
    ticket.to_order(terms, session.account, 0, int(time.time()))  # a mistake must not cost a nonce
    ticket.display_text(terms)
    (nonce,) = yield from session.take_nonces(1)
    order = ticket.to_order(terms, session.account, nonce, int(time.time()))
    return terms, session.wallet.sign_order(domain, order)


def place(session: Session, ticket: Ticket) -> Flow[Order]:
    """Raises OrderProblem before sending, ApiProblem when refused, OutcomeUnknown when nobody can say."""
    terms, signed = yield from sign_ticket(session, ticket)
    try:
        return (yield from _submit_ticket(session, terms, signed, ticket))
    except ApiProblem as problem:
        if problem.code not in NONCE_REFUSALS or problem.after_silence:
            raise
    session.nonces.forget()
    terms, signed = yield from sign_ticket(session, ticket)
    return (yield from _submit_ticket(session, terms, signed, ticket))


def _submit_ticket(session: Session, terms: MarketTerms, signed: SignedOrder, ticket: Ticket) -> Flow[Order]:
    named = (ticket.client_order_id, ticket.reject_after(now_ms()), ticket.display_text(terms))
    return (yield from submit(session, terms, signed, *named))


def submit(
    session: Session,
    terms: MarketTerms,
    signed: SignedOrder,
    client_order_id: str | None,
    reject_after: int | None = None,
    display: str | None = None,
) -> Flow[Order]:
    """Sends one signed order until its outcome is known, or gives up with OutcomeUnknown."""
    status = yield from session.status()
    call = endpoints.place(terms, signed, status.chain_id, client_order_id, reject_after, display)
    return (yield from send_until_known(session, call, signed, Order))


def send_until_known(session: Session, call: Call, signed: SignedOrder, kind: type[T]) -> Flow[T]:
    """Sends a request about a new order, the very same one again when there is no answer."""
    silence = ""
    failed: Problem | None = None
    for attempt in range(PLACE_ATTEMPTS):
        if attempt:
            yield before_again(attempt, PLACE_ATTEMPTS, failed)
        try:
            return (yield from session.request(call, kind))
        except Unreachable as problem:
            failed, silence = problem, problem.detail
        except ApiProblem as problem:
            failed = problem
            if problem.leaves_outcome_open:
                silence = problem.detail
            elif problem.status == 429:
                silence = silence or "too many requests"
            else:
                problem.after_silence = bool(silence)
                raise
    raise OutcomeUnknown("0x" + signed.digest.hex(), silence)


def sign(session: Session, ticket: Ticket) -> Flow[SignedOrder]:
    _, signed = yield from sign_ticket(session, ticket)
    return signed


def submit_signed(session: Session, signed: SignedOrder, client_order_id: str | None) -> Flow[Order]:
    terms = yield from session.terms(signed.order.market)
    return (yield from submit(session, terms, signed, client_order_id))


def validate(session: Session, ticket: Ticket) -> Flow[dict[str, Any]]:
    """Signed with a fresh nonce and checked by the exchange, not placed."""
    terms, signed = yield from sign_ticket(session, ticket)
    status = yield from session.status()
    entry = endpoints.signed_order_json(terms, signed, status.chain_id, ticket.client_order_id)
    return (yield from session.request(endpoints.validate(entry), dict[str, Any]))


def place_many(session: Session, tickets: Sequence[Ticket]) -> Flow[list[Outcome]]:
    """One outcome a ticket, in order; one refusal stops no other. Raises OrderProblem before sending."""
    outcomes: list[Outcome] = []
    for start in range(0, len(tickets), MAX_BATCH):
        outcomes += yield from _place_batch(session, tickets[start : start + MAX_BATCH])
    return outcomes


def _place_batch(session: Session, tickets: Sequence[Ticket]) -> Flow[list[Outcome]]:
    checked: list[MarketTerms] = []
    for ticket in tickets:
        checked.append((yield from _check(session, ticket)))
    nonces = yield from session.take_nonces(len(tickets))
    return (yield from _place_with(session, list(zip(tickets, checked, nonces, strict=True))))


def _check(session: Session, ticket: Ticket) -> Flow[MarketTerms]:
    """The market's terms. Raises OrderProblem: a mistake must not cost a nonce."""
    terms = yield from session.terms(ticket.market)
    ticket.to_order(terms, session.account, 0, int(time.time()))
    ticket.display_text(terms)
    return terms


def _place_with(session: Session, wanted: Sequence[tuple[Ticket, MarketTerms, int]]) -> Flow[list[Outcome]]:
    """Signs each with its nonce and sends all of them in one batch."""
    status = yield from session.status()
    domain = yield from session.domain()
    now = int(time.time())
    signed = [session.wallet.sign_order(domain, t.to_order(terms, session.account, n, now)) for t, terms, n in wanted]
    entries = [
        endpoints.signed_order_json(
            terms,
            one,
            status.chain_id,
            ticket.client_order_id,
            ticket.reject_after(now_ms()),
            ticket.display_text(terms),
        )
        for (ticket, terms, _), one in zip(wanted, signed, strict=True)
    ]
    results = yield from _send_batch(entries)
    outcomes = [outcome("0x" + s.digest.hex(), result) for s, result in zip(signed, results, strict=True)]
    if any(o.problem is not None and o.problem.get("code") in NONCE_REFUSALS for o in outcomes):
        session.nonces.forget()
    return outcomes


def place_pair(session: Session, first: Ticket, second: Ticket) -> Flow[tuple[Order, Order]]:
    """Two orders of one nonce: when one is triggered, filled or cancelled, the other goes.

    Raises OrderProblem before sending. When one is refused the other is cancelled, and the refusal raised.
    """
    for field, one, other in (
        ("market", first.market, second.market),
        ("side", first.side.upper(), second.side.upper()),
    ):
        if one != other:
            raise OrderProblem(
                "ORDER_FIELD_INVALID", f"the two orders need one {field}", field=field, given=other, allowed=one
            )
    terms = yield from _check(session, first)
    yield from _check(session, second)
    (nonce,) = yield from session.take_nonces(1)
    outcomes = yield from _place_with(session, [(first, terms, nonce), (second, terms, nonce)])
    left, right = (outcome.order for outcome in outcomes)
    if left is not None and right is not None:
        return left, right
    for outcome in outcomes:
        if outcome.order is not None and outcome.order.is_live:
            yield from cancel(session, outcome.id)
    for outcome in outcomes:
        if outcome.outcome == "unknown":
            raise OutcomeUnknown(outcome.id, "one of two orders that belong together")
    refused = next(outcome.problem for outcome in outcomes if outcome.problem is not None)
    raise ApiProblem(int(refused.get("status", 422)), refused)


def _send_batch(entries: list[dict[str, Any]]) -> Flow[list[BatchEntry | None]]:
    """None for each order when nobody can say."""
    call = endpoints.place_batch(entries)
    failed: Problem | None = None
    for attempt in range(PLACE_ATTEMPTS):
        if attempt:
            yield before_again(attempt, PLACE_ATTEMPTS, failed)
        try:
            reply = endpoints.read((yield call), BatchReply)
        except (Unreachable, ApiProblem) as problem:
            if not may_be_sent_again(problem):
                raise
            failed = problem
            continue
        if len(reply.results) == len(entries):
            return list(reply.results)
    return [None] * len(entries)


def may_be_sent_again(problem: Unreachable | ApiProblem) -> bool:
    """Nobody knows whether a request about orders took effect, or it was not looked at."""
    return isinstance(problem, Unreachable) or problem.leaves_outcome_open or problem.status == 429


def outcome(order_id: str, result: BatchEntry | None) -> Outcome:
    if result is None:
        return Outcome("unknown", order_id)
    if result.order is not None:
        return Outcome("accepted", order_id, order=result.order)
    problem = result.problem or {}
    open_still = int(problem.get("status", 422)) >= 500
    return Outcome("unknown" if open_still else "rejected", order_id, problem=problem)


def cancel(session: Session, order_id: str) -> Flow[Order]:
    """By the token of a sign-in; a session key, which cannot sign in, signs the cancel instead."""
    if not isinstance(session.wallet, SessionWallet):
        return (yield from session.request(endpoints.cancel(order_id), Order))
    order: Order = yield from session.request(endpoints.order(order_id), Order)
    (entry,) = yield from _cancel_signed(session, [int(order.nonce)])
    if entry.order is None:
        raise ApiProblem(int((entry.problem or {}).get("status", 409)), entry.problem or {})
    return entry.order


def _cancel_signed(session: Session, nonces: list[int]) -> Flow[list[BatchEntry]]:
    domain = yield from session.domain()
    deadline = int(time.time()) + CANCEL_SECONDS
    signature = session.wallet.sign_cancel(domain, nonces, deadline)
    call = endpoints.cancel_signed(session.account, nonces, deadline, signature)
    reply: BatchReply = yield from session.request(call, BatchReply)
    return reply.results


def cancel_many(session: Session, orders: Sequence[Order]) -> Flow[int]:
    """Cancels by one signature a batch, without signing in. Returns how many were open and are cancelled now."""
    cancelled = 0
    for start in range(0, len(orders), MAX_BATCH):
        nonces = [int(order.nonce) for order in orders[start : start + MAX_BATCH]]
        results = yield from _cancel_signed(session, nonces)
        cancelled += sum(entry.order is not None for entry in results)
    return cancelled


def cancel_all(session: Session, market: str | None, side: str | None) -> Flow[int]:
    side = Side(Side.parse(side.upper(), "side")).name if side is not None else None
    reply: BatchReply = yield from session.request(endpoints.cancel_all(market, side), BatchReply)
    return sum(entry.order is not None for entry in reply.results)


def cancel_each(session: Session, orders: Sequence[str | Order], names: Sequence[str]) -> Flow[list[Cancelled]]:
    """In requests of MAX_CANCELS, ids first. Trying again is safe, but says ORDER_NOT_OPEN to what has gone."""
    wanted: list[tuple[str, str]] = [("id", o.id if isinstance(o, Order) else o) for o in orders]
    wanted += [("name", name) for name in names]
    outcomes: list[Cancelled] = []
    for start in range(0, len(wanted), MAX_CANCELS):
        chunk = wanted[start : start + MAX_CANCELS]
        call = endpoints.cancel_batch(*([text for kind, text in chunk if kind == k] for k in ("id", "name")))
        reply: CancelBatchReply = yield from session.request(call, CancelBatchReply)
        outcomes += reply.results
    return outcomes


def cancel_all_after(session: Session, seconds: int) -> Flow[int | None]:
    reply: Countdown = yield from session.request(endpoints.deadman(seconds), Countdown)
    return reply.fires_at


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def balances(session: Session) -> Flow[list[Balance]]:
    page: Page = yield from session.request(endpoints.balances(session.account), Page)
    return msgspec.json.decode(page.data, type=list[Balance])


def wait_until_settled(session: Session, what: Order | Fill, within: float) -> Flow[list[Fill]]:
    """The fills of an order (or the one fill), once all are mined. `within` in seconds.

    Raises Problem FILL_SKIPPED when the chain passed one over, ORDER_HAS_NO_FILL for an order that closed
    without a trade, and SETTLEMENT_TIMEOUT.
    """
    deadline = time.monotonic() + within
    seen = "no fill yet"
    while True:
        fills = yield from _fills_of(session, what)
        skipped = next((fill for fill in fills if fill.settlement.status == "skipped"), None)
        if skipped is not None:
            raise Problem("FILL_SKIPPED", f"the chain passed over fill {skipped.match_id}: {skipped.settlement.reason}")
        listed = sum((Decimal(fill.quantity) for fill in fills), Decimal(0))
        complete = isinstance(what, Fill) or listed >= Decimal(what.filled)  # the listing may lag behind the match
        if fills and complete and all(fill.is_settled for fill in fills):
            return fills
        if fills:
            seen = ", ".join(sorted({fill.settlement.status for fill in fills}))
        elif isinstance(what, Order):
            order: Order = yield from session.request(endpoints.order(what.id), Order)
            if not order.is_live and not Decimal(order.filled):
                raise Problem("ORDER_HAS_NO_FILL", f"the order is {order.status} ({order.reason}) without a fill")
        if time.monotonic() > deadline:
            raise Problem("SETTLEMENT_TIMEOUT", f"not settled after {within:g} s ({seen}); it may still be")
        yield Pause(SETTLE_PAUSE_SECONDS)


def _fills_of(session: Session, what: Order | Fill) -> Flow[list[Fill]]:
    # The newest fills of the account hold the order's, because it was placed a moment ago.
    recent = yield from session.pages(endpoints.fills(session.account, RECENT_FILLS, None), Fill, RECENT_FILLS)
    if isinstance(what, Fill):
        return [f for f in recent if f.match_id == what.match_id and f.role == what.role]
    return [f for f in recent if f.order_id == what.id]
