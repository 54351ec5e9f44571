"""Changing open orders, and many things at once: from JSON to the engine's steps and back. For HTTP and the WebSocket.

Owns:     the JSON of a step, and of its answer: the `order` that it was about, the orders that it `cancelled`, or the
          `problem`.
Promises: steps reach the engine in one message and in their order, and each is answered on its own. A mistake in one is
          found before any is sent, and stops no other. The answer is made after the engine's journal is on disk.
Never:    cancels or lowers for an account that is not signed in. A replacement needs no sign-in: that its signed nonce
          is the old order's is the account's word for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from api.cancelling import signed_targets
from api.context import Context
from api.fields import read_digest, read_integer, read_object, read_signature, read_small_integer, read_text
from api.order_json import read_client_order_id
from api.placing import ENVELOPE_FIELDS, SIGNED_FIELDS, check_signatures, fills_json, read_signed_order
from api.problems import engine_problem, problem_document
from cxdex.order import NONCE_BITS
from cxdex.problem import Problem
from cxdex.units import parse_quantity
from relayer import wire
from relayer.public_order import order_state_json

MODE_FIELDS = ("ifNotCancelled", "ifRefused")
_PLACING = (*SIGNED_FIELDS, *ENVELOPE_FIELDS)


@dataclass(slots=True)
class Draft:
    """A step that is read. order: it has a signature to check, and becomes a step by `build`.

    quantity: decimal, of an amendment; it becomes lots when the order's market is known. cancel: nonce, deadline and
    signature of a CancelOrders, which names the order to cancel when it is checked.
    """

    step: wire.AnyStep | None = None
    order: wire.WireOrder | None = None
    build: Callable[[wire.WireOrder], wire.AnyStep] = wire.PlaceStep
    quantity: str | None = None
    cancel: tuple[int, int, bytes] | None = None


_NO_ORDER = bytes(32)  # no digest is this

Read = Draft | Problem
Answer = dict[str, Any] | Problem


def read_steps(context: Context, entries: Sequence[Any], account: Callable[[], bytes]) -> list[Read]:
    """`account`: who is signed in; raises AUTH_REQUIRED, which ends the whole request."""
    drafts: list[Read] = []
    for entry in entries:
        try:
            drafts.append(_read_step(context, entry, account))
        except Problem as problem:
            if problem.code.startswith("AUTH_"):
                raise
            drafts.append(problem)
    return drafts


def read_replace(context: Context, order_id: str, body: Any) -> Draft:
    replaces = read_digest(order_id)
    return Draft(order=read_signed_order(context, body), build=lambda order: wire.ReplaceStep(order, replaces))


def read_cancel_and_place(context: Context, body: Any, account: Callable[[], bytes]) -> Draft:
    """{"cancel":{"id"} or {"clientOrderId"},"ifNotCancelled"?,"ifRefused"?} and the fields of an order.

    "cancel" may also be {"nonce","deadline","signature"} of a CancelOrders for that one nonce, without a sign-in.
    """
    fields = read_object(body, ("cancel", *SIGNED_FIELDS), (*ENVELOPE_FIELDS, *MODE_FIELDS), "the body")
    signed = _read_signed_cancel(fields["cancel"])
    digest, name = _NO_ORDER, None
    if signed is None:
        owner = account()
        digest, name = _read_named(read_object(fields["cancel"], (), ("id", "clientOrderId"), "cancel"), "cancel")
    anyway = _read_mode(fields, "ifNotCancelled", ("STOP", "PLACE")) == "PLACE"
    keeps = _read_mode(fields, "ifRefused", ("KEEP", "CANCEL")) == "KEEP"
    order = read_signed_order(context, {field: fields[field] for field in _PLACING if field in fields})
    if signed is None and order.order.account != owner:
        raise Problem("FIELD_INVALID", "the order belongs to another account than the sign-in", field="order.account")
    return Draft(
        order=order,
        build=lambda order: wire.CancelAndPlaceStep(order, digest, name, anyway, keeps),
        cancel=signed,
    )


def read_amend(order_id: str, quantity: Any, account: bytes) -> Draft:
    return Draft(wire.ReduceStep(account, read_digest(order_id), 0), quantity=read_text(quantity, "quantity"))


async def take(context: Context, drafts: Sequence[Read]) -> list[Answer]:
    """Raises ENGINE_UNAVAILABLE."""
    return await send(context, await prepare(context, drafts))


async def prepare(context: Context, drafts: Sequence[Read]) -> list[wire.AnyStep | Problem]:
    """Checks signatures, and asks the engine for orders of which it must know more."""
    orders = [draft.order for draft in drafts if isinstance(draft, Draft) and draft.order is not None]
    checked = iter(await check_signatures(context, orders))
    markets = {order.digest: order.order.market for order in orders}
    amended = [
        draft.step.digest
        for draft in drafts
        if isinstance(draft, Draft) and isinstance(draft.step, wire.ReduceStep) and draft.step.digest not in markets
    ]
    for state in await asyncio.gather(*(context.engine.order(digest) for digest in amended)):
        if state is not None:
            markets[state.digest] = state.order.market
    steps: list[wire.AnyStep | Problem] = []
    for draft in drafts:
        outcome = next(checked) if isinstance(draft, Draft) and draft.order is not None else None
        step = _step(context, draft, outcome, markets)
        if isinstance(step, wire.CancelAndPlaceStep) and isinstance(draft, Draft) and draft.cancel is not None:
            step = await _with_target(context, step, draft.cancel)
        steps.append(step)
    return steps


async def send(context: Context, steps: Sequence[wire.AnyStep | Problem]) -> list[Answer]:
    """They are on their way to the engine, in one message, when this first waits."""
    sent = [step for step in steps if not isinstance(step, Problem)]
    results = iter(await context.engine.take(sent) if sent else [])
    return [step if isinstance(step, Problem) else answer_json(context, next(results)) for step in steps]


def answer_json(context: Context, result: wire.StepResult) -> Answer:
    """{"order"?,"cancelled"}; a problem that has cancelled something says what."""
    cancelled = [_state_json(context, state) for state in result.cancelled]
    if result.problem is not None:
        problem = engine_problem(result.digest, result.problem)
        if cancelled:
            problem.members = {**problem.members, "cancelled": cancelled}
        return problem
    if result.state is None:
        return {"cancelled": cancelled}
    fills = fills_json(result.fills, context.markets.terms_of(result.state.order.market))
    return {"order": {**_state_json(context, result.state), "fills": fills}, "cancelled": cancelled}


def one_json(op: str, answer: Answer) -> Answer:
    """The body that a single amend, replace or cancelAndPlace is answered with."""
    if isinstance(answer, Problem) or op == "cancelAndPlace":
        return answer
    order: dict[str, Any] = answer["order"]
    return order if op == "replace" else {name: value for name, value in order.items() if name != "fills"}


def asks_first(draft: Read) -> bool:
    """Whether `prepare` has to ask the engine for an order, which must have come there."""
    return isinstance(draft, Draft) and (draft.quantity is not None or draft.cancel is not None)


def entry_json(answer: Answer) -> dict[str, Any]:
    return {"problem": problem_document(answer)} if isinstance(answer, Problem) else answer


def _read_step(context: Context, entry: Any, account: Callable[[], bytes]) -> Draft:
    if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
        raise Problem("FIELD_INVALID", "a step is an object with an op", field="op", allowed=", ".join(_READERS))
    reader = _READERS.get(entry["op"])
    if reader is None:
        raise Problem("FIELD_INVALID", "no such step", field="op", given=entry["op"][:80], allowed=", ".join(_READERS))
    return reader(context, {name: value for name, value in entry.items() if name != "op"}, account)


def _place_step(context: Context, fields: dict[str, Any], _: Callable[[], bytes]) -> Draft:
    return Draft(order=read_signed_order(context, fields))


def _replace_step(context: Context, fields: dict[str, Any], _: Callable[[], bytes]) -> Draft:
    read_object(fields, ("id", *SIGNED_FIELDS), ENVELOPE_FIELDS, "the step")
    order_id = read_text(fields["id"], "id")
    return read_replace(context, order_id, {name: value for name, value in fields.items() if name != "id"})


def _cancel_and_place_step(context: Context, fields: dict[str, Any], account: Callable[[], bytes]) -> Draft:
    return read_cancel_and_place(context, fields, account)


def _cancel_step(_: Context, fields: dict[str, Any], account: Callable[[], bytes]) -> Draft:
    owner = account()
    digest, name = _read_named(read_object(fields, (), ("id", "clientOrderId"), "the step"), "id")
    return Draft(wire.CancelStep(owner, digest, name))


def _amend_step(_: Context, fields: dict[str, Any], account: Callable[[], bytes]) -> Draft:
    owner = account()
    read_object(fields, ("id", "quantity"), (), "the step")
    return read_amend(read_text(fields["id"], "id"), fields["quantity"], owner)


_READERS = {
    "place": _place_step,
    "replace": _replace_step,
    "cancelAndPlace": _cancel_and_place_step,
    "cancel": _cancel_step,
    "amend": _amend_step,
}


def _step(
    context: Context, draft: Read, outcome: wire.WireOrder | Problem | None, markets: dict[bytes, str]
) -> wire.AnyStep | Problem:
    if isinstance(draft, Problem):
        return draft
    if outcome is not None:
        return outcome if isinstance(outcome, Problem) else draft.build(outcome)
    step = draft.step
    assert step is not None
    if not isinstance(step, wire.ReduceStep) or draft.quantity is None:
        return step
    market = markets.get(step.digest)
    if market is None:
        given = "0x" + step.digest.hex()
        return Problem("ORDER_UNKNOWN", "no order with this id was accepted", field="id", given=given)
    try:
        lots = parse_quantity(context.markets.terms_of(market), draft.quantity)
    except Problem as problem:
        return problem
    return wire.ReduceStep(step.account, step.digest, lots)


async def _with_target(
    context: Context, step: wire.CancelAndPlaceStep, cancel: tuple[int, int, bytes]
) -> wire.AnyStep | Problem:
    """With the order of the nonce that a CancelOrders names, if it is open."""
    nonce, deadline, signature = cancel
    try:
        found = await signed_targets(context, step.order.order.account, [nonce], deadline, signature)
    except Problem as problem:
        return problem
    return msgspec.structs.replace(step, cancels=found.get(nonce, _NO_ORDER))


def _read_signed_cancel(value: Any) -> tuple[int, int, bytes] | None:
    if not isinstance(value, dict) or "signature" not in value:
        return None
    fields = read_object(value, ("nonce", "deadline", "signature"), (), "cancel")
    nonce = read_integer(fields["nonce"], "nonce", most=2**NONCE_BITS - 1)
    return nonce, read_small_integer(fields["deadline"], "deadline"), read_signature(fields["signature"])


def _read_named(fields: dict[str, Any], field: str) -> tuple[bytes, str | None]:
    """(id, name) of an order, of which exactly one is given."""
    if len(fields) != 1:
        raise Problem("FIELD_INVALID", "name the order in one way", field=field, allowed="id, or clientOrderId")
    if "id" in fields:
        return read_digest(read_text(fields["id"], "id")), None
    name = read_client_order_id(fields["clientOrderId"])
    if name is None:
        raise Problem("FIELD_INVALID", "clientOrderId is null", field="clientOrderId", allowed="a name")
    return b"", name


def _read_mode(fields: dict[str, Any], name: str, words: tuple[str, str]) -> str:
    """The first word is the default."""
    word = read_text(fields.get(name, words[0]), name)
    if word not in words:
        raise Problem(
            "FIELD_INVALID", f"{name} is not one of its words", field=name, given=word[:80], allowed=", ".join(words)
        )
    return word


def _state_json(context: Context, state: wire.OrderState) -> dict[str, Any]:
    return order_state_json(state, context.markets.terms_of(state.order.market))
