"""Changing open orders, and many things in one request: what happens between a trader's word and a known outcome.

Promises: a replacement is signed with the old order's nonce, so the two can never fill twice, and with an expiry a
          second later unless you say one, so its id is new. When no answer comes, the very same request is sent again,
          which is harmless: what is known is not placed again, and lowering to the same quantity changes nothing.
Never:    reports a time-out as a refusal: after the last attempt it is OutcomeUnknown, with the id of the new order. Or
          signs terms that the exchange makes up: what it says of the old order must hash to the old order's id.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cxdex.client import endpoints, trading
from cxdex.client.amounts import Amount, to_decimal_text
from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.patience import before_again
from cxdex.client.replies import BatchEntry, BatchReply, CancelledAndPlaced, Order, Outcome
from cxdex.client.session import Session
from cxdex.client.steps import Flow
from cxdex.client.ticket import OrderTerms, Ticket
from cxdex.condition import Condition, Trigger
from cxdex.eip712 import order_digest
from cxdex.market import MarketTerms
from cxdex.order import Order as SignedFields
from cxdex.order import OrderType, SelfTrade, Side, SignedOrder, TimeInForce
from cxdex.problem import Problem
from cxdex.units import parse_price, parse_quantity, parse_usdc
from cxdex.wallet import SessionWallet


@dataclass(frozen=True, slots=True)
class Cancel:
    """A step: cancels an order by id, or all open ones that you gave this name."""

    order: str | Order | None = None
    client_order_id: str | None = None

    def fields(self) -> dict[str, str]:
        """Raises Problem OPTION_INVALID unless exactly one of the two is given."""
        if (self.order is None) == (self.client_order_id is None):
            raise Problem("OPTION_INVALID", "name the order in one way", allowed="an id, or a client order id")
        if self.client_order_id is not None:
            return {"clientOrderId": self.client_order_id}
        return {"id": _id(self.order)}


@dataclass(frozen=True, slots=True)
class Amend:
    """A step: lowers what the order may fill in all."""

    order: str | Order
    quantity: Amount


@dataclass(frozen=True, slots=True)
class Replace:
    """A step: signs another order with the nonce of an open one, and puts it in its place. terms: see `Ticket`."""

    order: str | Order
    quantity: Amount | None = None
    price: Amount | None = None
    terms: OrderTerms = field(default_factory=OrderTerms)


@dataclass(frozen=True, slots=True)
class CancelAndPlace:
    """A step: cancels one order and places another.

    if_not_cancelled  STOP, or PLACE: also when there was nothing to cancel
    if_refused        KEEP the old order, or CANCEL it, when the new one is refused
    """

    cancel: Cancel
    ticket: Ticket
    if_not_cancelled: str = "STOP"
    if_refused: str = "KEEP"

    def fields(self) -> dict[str, Any]:
        modes = {"ifNotCancelled": self.if_not_cancelled.upper(), "ifRefused": self.if_refused.upper()}
        return {"cancel": self.cancel.fields(), **modes}


Step = Ticket | Cancel | Amend | Replace | CancelAndPlace


def amend(session: Session, order: str | Order, quantity: Amount) -> Flow[Order]:
    """By the token of a sign-in; a session key, which cannot sign in, signs a replacement instead."""
    if isinstance(session.wallet, SessionWallet):
        return (yield from replace_order(session, Replace(order, quantity)))
    text = to_decimal_text(quantity, "quantity")
    return (yield from session.request(endpoints.amend(_id(order), text), Order))


def replace_order(session: Session, step: Replace) -> Flow[Order]:
    """Raises OrderProblem before sending, ApiProblem when refused, OutcomeUnknown when nobody can say."""
    signed, entry = yield from _sign_replacement(session, step)
    call = endpoints.replace(_id(step.order), entry)
    return (yield from trading.send_until_known(session, call, signed, Order))


def cancel_and_place(session: Session, step: CancelAndPlace) -> Flow[CancelledAndPlaced]:
    try:
        return (yield from _cancel_and_place(session, step))
    except ApiProblem as problem:
        if problem.code not in trading.NONCE_REFUSALS or problem.after_silence or problem.members.get("cancelled"):
            raise
    session.nonces.forget()
    return (yield from _cancel_and_place(session, step))


def _cancel_and_place(session: Session, step: CancelAndPlace) -> Flow[CancelledAndPlaced]:
    fields = yield from _cancel_fields(session, step)
    terms, signed = yield from trading.sign_ticket(session, step.ticket)
    entry = yield from _ticket_entry(session, terms, signed, step.ticket)
    call = endpoints.cancel_and_place({**entry, **fields}, needs_login="signature" not in fields["cancel"])
    return (yield from trading.send_until_known(session, call, signed, CancelledAndPlaced))


def _cancel_fields(session: Session, step: CancelAndPlace) -> Flow[dict[str, Any]]:
    """A session key, which cannot sign in, signs the cancel too; it does not know orders by their names."""
    fields, order = step.fields(), step.cancel.order
    if order is None or not isinstance(session.wallet, SessionWallet):
        return fields
    if not isinstance(order, Order):
        order = yield from session.request(endpoints.order(order), Order)
    domain = yield from session.domain()
    deadline = int(time.time()) + trading.CANCEL_SECONDS
    signature = session.wallet.sign_cancel(domain, [int(order.nonce)], deadline)
    cancel = {"nonce": order.nonce, "deadline": str(deadline), "signature": "0x" + signature.hex()}
    return {**fields, "cancel": cancel}


def batch(session: Session, steps: Sequence[Step]) -> Flow[list[Outcome]]:
    """One outcome a step, in order; one refusal stops no other. At most MAX_BATCH, because they run as one."""
    if not 1 <= len(steps) <= trading.MAX_BATCH:
        allowed = f"1 to {trading.MAX_BATCH} steps"
        raise Problem("OPTION_INVALID", "too many steps for one run, or none", given=str(len(steps)), allowed=allowed)
    entries: list[dict[str, Any]] = []
    for step in steps:
        entries.append((yield from _entry(session, step)))
    needs_login = any(_needs_login(entry) for entry in entries)
    results = yield from _send(session, endpoints.steps([_without_id(e) for e in entries], needs_login), len(entries))
    return [_outcome(entry["_id"], result) for entry, result in zip(entries, results, strict=True)]


def _send(session: Session, call: Any, count: int) -> Flow[list[BatchEntry | None]]:
    """None for each step when nobody can say."""
    failed: Problem | None = None
    for attempt in range(trading.PLACE_ATTEMPTS):
        if attempt:
            yield before_again(attempt, trading.PLACE_ATTEMPTS, failed)
        try:
            reply: BatchReply = yield from session.request(call, BatchReply)
        except (Unreachable, ApiProblem) as problem:
            if not trading.may_be_sent_again(problem):
                raise
            failed = problem
            continue
        if len(reply.results) == count:
            return list(reply.results)
    return [None] * count


def _entry(session: Session, step: Step) -> Flow[dict[str, Any]]:
    """The step's JSON, and under `_id` the order that it is about."""
    match step:
        case Ticket():
            terms, signed = yield from trading.sign_ticket(session, step)
            entry = yield from _ticket_entry(session, terms, signed, step)
            return {"op": "place", **entry, "_id": _digest(signed)}
        case Replace():
            signed, entry = yield from _sign_replacement(session, step)
            return {"op": "replace", "id": _id(step.order), **entry, "_id": _digest(signed)}
        case CancelAndPlace():
            fields = yield from _cancel_fields(session, step)
            terms, signed = yield from trading.sign_ticket(session, step.ticket)
            entry = yield from _ticket_entry(session, terms, signed, step.ticket)
            return {"op": "cancelAndPlace", **entry, **fields, "_id": _digest(signed)}
        case Cancel():
            fields = step.fields()
            return {"op": "cancel", **fields, "_id": fields.get("id", "")}
        case Amend():
            quantity = to_decimal_text(step.quantity, "quantity")
            return {"op": "amend", "id": _id(step.order), "quantity": quantity, "_id": _id(step.order)}


def _needs_login(entry: dict[str, Any]) -> bool:
    return entry["op"] not in ("place", "replace") and "signature" not in entry.get("cancel", {})


def _without_id(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "_id"}


def _outcome(order_id: str, result: BatchEntry | None) -> Outcome:
    outcome = trading.outcome(order_id, result)
    if result is not None and result.problem is None and result.order is None:
        outcome = Outcome("accepted", order_id)
    cancelled = [] if result is None else result.cancelled or []
    return Outcome(outcome.outcome, outcome.id, outcome.order, outcome.problem, cancelled)


def _ticket_entry(session: Session, terms: MarketTerms, signed: SignedOrder, ticket: Ticket) -> Flow[dict[str, Any]]:
    status = yield from session.status()
    late = ticket.reject_after(trading.now_ms())
    shown = ticket.display_text(terms)
    return endpoints.signed_order_json(terms, signed, status.chain_id, ticket.client_order_id, late, shown)


def _sign_replacement(session: Session, step: Replace) -> Flow[tuple[SignedOrder, dict[str, Any]]]:
    old = step.order
    if not isinstance(old, Order):
        old = yield from session.request(endpoints.order(old), Order)
    terms = yield from session.terms(old.market)
    domain = yield from session.domain()
    status = yield from session.status()
    before = signed_fields(terms, old)
    wanted = _id(step.order)
    if "0x" + order_digest(domain, before).hex() != wanted.lower():  # else we would sign what the exchange makes up
        raise Problem("ORDER_MISMATCH", "what the exchange says of the order is not what was signed", given=wanted)
    signed = session.wallet.sign_order(domain, _replacement(terms, before, step, int(time.time())))
    late = step.terms.get("reject_in_ms")
    after = None if late is None else trading.now_ms() + late
    name = step.terms.get("client_order_id", old.client_order_id)
    shown = to_decimal_text(step.terms["display"], "display") if "display" in step.terms else old.display_quantity
    return signed, endpoints.signed_order_json(terms, signed, status.chain_id, name, after, shown)


def signed_fields(terms: MarketTerms, order: Order) -> SignedFields:
    """What was signed, from what the exchange says of the order."""
    condition = None
    if order.condition is not None:
        said = order.condition
        level = parse_price(terms, said.trigger_price, "triggerPrice")
        condition = Condition(Trigger(Trigger.parse(said.trigger, "trigger")), level, int(said.active_from))
    return SignedFields(
        account=bytes.fromhex(order.account[2:]),
        market=terms.symbol,
        side=Side(Side.parse(order.side, "side")),
        order_type=OrderType(OrderType.parse(order.order_type, "orderType")),
        time_in_force=TimeInForce(TimeInForce.parse(order.time_in_force, "timeInForce")),
        quantity=parse_quantity(terms, order.quantity),
        limit_price=parse_price(terms, order.limit_price),
        max_fee_bps=int(order.max_fee_bps),
        max_collateral=parse_usdc(order.max_collateral, "maxCollateral"),
        self_trade=SelfTrade(SelfTrade.parse(order.self_trade, "selfTrade")),
        reduce_only=order.reduce_only,
        expiry=int(order.expiry),
        nonce=int(order.nonce),
        condition=condition,
    )


def _replacement(terms: MarketTerms, old: SignedFields, step: Replace, now: int) -> SignedFields:
    said = step.terms
    changes: dict[str, Any] = {"expiry": old.expiry + 1}
    if step.quantity is not None:
        changes["quantity"] = parse_quantity(terms, to_decimal_text(step.quantity, "quantity"))
    if step.price is not None:
        changes["limit_price"] = parse_price(terms, to_decimal_text(step.price, "price"))
    if "time_in_force" in said:
        changes["time_in_force"] = TimeInForce(TimeInForce.parse(said["time_in_force"].upper(), "timeInForce"))
    if "max_fee_bps" in said:
        changes["max_fee_bps"] = said["max_fee_bps"]
    if "self_trade" in said:
        changes["self_trade"] = SelfTrade(SelfTrade.parse(said["self_trade"].upper(), "selfTrade"))
    if "expires_in" in said:
        changes["expiry"] = now + said["expires_in"]
    return replace(old, **changes)


def _id(order: str | Order | None) -> str:
    return order.id if isinstance(order, Order) else order or ""


def _digest(signed: SignedOrder) -> str:
    return "0x" + signed.digest.hex()
