"""Amendments as the client makes them: what it signs, what it sends again, and what it does not believe."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from cxdex.client import amending, trading
from cxdex.client.amending import Amend, Cancel, CancelAndPlace, Replace
from cxdex.client.errors import ApiProblem, OutcomeUnknown
from cxdex.client.replies import Order
from cxdex.client.session import Session
from cxdex.client.steps import Answer, Call
from cxdex.client.ticket import Ticket
from cxdex.eip712 import order_digest
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet, SessionWallet
from tests.cxdex.client.exchange_script import Script, ok, order_state, refusal, silence
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY

BUY = Ticket("sBTC-USDC", "BUY", "0.05", "60000.1", client_order_id="mine")


@pytest.fixture
def session() -> Session:
    return Session(LocalWallet(KEY))


def told(call: Call) -> Answer:
    """The order as this exchange would tell it, with the id that it really has."""
    return ok(state_of(json.loads(call.body or b"")))


def state_of(body: dict[str, Any]) -> dict[str, Any]:
    return order_state(body["order"], id=id_of(body["order"]), clientOrderId=body.get("clientOrderId"))


def id_of(fields: dict[str, Any]) -> str:
    order = msgspec.convert(order_state(fields), Order)
    return "0x" + order_digest(DOMAIN, amending.signed_fields(TERMS, order)).hex()


def place(session: Session, script: Script, ticket: Ticket = BUY) -> Order:
    script.orders.append(told)
    return script.run(trading.place(session, ticket))


def _terms() -> Any:
    return Script().run(Session(None).terms("sBTC-USDC"))


TERMS = _terms()


def test_a_replacement_keeps_what_is_not_said_and_its_id_is_new(session: Session) -> None:
    script = Script()
    old = place(session, script)
    script.routes[f"POST /orders/{old.id}/replace"] = told
    new = script.run(amending.replace_order(session, Replace(old, "0.04")))
    assert (new.quantity, new.limit_price, new.nonce, new.client_order_id) == ("0.04", "60000.1", old.nonce, "mine")
    assert int(new.expiry) == int(old.expiry) + 1
    assert new.id != old.id
    terms = {"time_in_force": "post_only", "expires_in": 60, "client_order_id": "b", "self_trade": "decrement"}
    other = script.run(amending.replace_order(session, Replace(old, None, "59000", terms)))
    assert (other.quantity, other.limit_price, other.time_in_force) == ("0.05", "59000", "POST_ONLY")
    assert (other.client_order_id, other.self_trade) == ("b", "DECREMENT")
    assert abs(int(other.expiry) - time.time() - 60) < 5


def test_by_id_the_order_is_looked_up_and_must_be_the_one_that_was_signed(session: Session) -> None:
    script = Script()
    old = place(session, script)
    honest = msgspec.to_builtins(old, str_keys=True)
    script.routes[f"GET /orders/{old.id}"] = ok(honest)
    script.routes[f"POST /orders/{old.id}/replace"] = told
    assert script.run(amending.replace_order(session, Replace(old.id, price="59000"))).limit_price == "59000"
    for lie in ({"limitPrice": "90000"}, {"nonce": "9"}, {"side": "SELL"}, {"quantity": "5", "id": "0x" + "cd" * 32}):
        script.routes[f"GET /orders/{old.id}"] = ok({**honest, **lie})
        sent = len(script.calls)
        with pytest.raises(Problem, match="ORDER_MISMATCH"):
            script.run(amending.replace_order(session, Replace(old.id, "0.01")))
        assert [call.method for call in script.calls[sent:]] == ["GET"], "nothing was sent"


def test_silence_is_answered_with_the_same_bytes_and_then_with_unknown(session: Session) -> None:
    script = Script()
    old = place(session, script)
    path = f"/orders/{old.id}/replace"
    script.routes[f"POST {path}"] = silence
    with pytest.raises(OutcomeUnknown) as unknown:
        script.run(amending.replace_order(session, Replace(old, "0.04")))
    sent = script.sent(path)
    assert len(sent) == trading.PLACE_ATTEMPTS
    assert all(body == sent[0] for body in sent)
    assert unknown.value.order_id == id_of(sent[0]["order"])


def test_amend_says_the_quantity_and_a_session_key_signs_it(session: Session) -> None:
    script = Script()
    old = place(session, script)
    script.routes[f"PUT /orders/{old.id}"] = ok(msgspec.to_builtins(old, str_keys=True))
    script.run(amending.amend(session, old, "0.01"))
    assert script.calls[-1].body == b'{"quantity":"0.01"}'
    assert script.calls[-1].token == "a-token"
    key = Session(SessionWallet(bytes([7]) * 32, "0x" + ACCOUNT.hex()))
    script.routes[f"POST /orders/{old.id}/replace"] = told
    assert script.run(amending.amend(key, old, "0.01")).quantity == "0.01"


def test_cancel_and_place_takes_a_fresh_nonce_when_its_own_was_taken(session: Session) -> None:
    answers = [refusal(409, "ORDER_NONCE_USED"), None]

    def answer(call: Call) -> Answer:
        given = answers.pop(0)
        return given or ok({"order": state_of(json.loads(call.body or b"")), "cancelled": []})

    script = Script()
    script.routes["POST /orders/cancel-and-place"] = answer
    done = script.run(amending.cancel_and_place(session, CancelAndPlace(Cancel(client_order_id="mine"), BUY)))
    first, second = script.sent("/orders/cancel-and-place")
    assert first["cancel"] == {"clientOrderId": "mine"}
    assert (first["ifNotCancelled"], first["ifRefused"]) == ("STOP", "KEEP")
    assert first["order"]["nonce"] != second["order"]["nonce"]
    assert done.order.id == id_of(second["order"])


@pytest.mark.parametrize("cancel", [Cancel(), Cancel("0x12", "mine")])
def test_a_cancel_names_one_order(session: Session, cancel: Cancel) -> None:
    with pytest.raises(Problem, match="OPTION_INVALID"):
        Script().run(amending.cancel_and_place(session, CancelAndPlace(cancel, BUY)))
    with pytest.raises(Problem, match="OPTION_INVALID"):
        Script().run(amending.batch(session, []))


def test_a_batch_is_one_request_and_silence_leaves_each_step_open(session: Session) -> None:
    script = Script()
    old = place(session, script)
    steps = [BUY, Replace(old, "0.02"), Amend(old, "0.01"), Cancel(old), CancelAndPlace(Cancel(old), BUY)]
    script.orders = [silence, refusal(503, "ENGINE_UNAVAILABLE"), *[silence] * 3]
    outcomes = script.run(amending.batch(session, steps))
    assert [outcome.outcome for outcome in outcomes] == ["unknown"] * 5
    sent = script.sent("/orders/batch")
    assert len(sent) == trading.PLACE_ATTEMPTS
    assert all(body == sent[0] for body in sent)
    assert [step["op"] for step in sent[0]["steps"]] == ["place", "replace", "amend", "cancel", "cancelAndPlace"]
    assert [outcome.id for outcome in outcomes[2:4]] == [old.id, old.id]
    script.orders = [refusal(401, "AUTH_INVALID"), refusal(401, "AUTH_INVALID")]
    with pytest.raises(ApiProblem):
        script.run(amending.batch(session, steps))
