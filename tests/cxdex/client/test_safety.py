"""Cancels of many orders, the dead man's switch and the late-order guard, as the client asks for them."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from cxdex.client import trading
from cxdex.client.errors import ApiProblem
from cxdex.client.session import Session
from cxdex.client.steps import Answer, Call
from cxdex.client.ticket import Ticket
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet
from tests.cxdex.client.exchange_script import Script, accepted, ok, refusal, silence
from tests.cxdex.order_strategies import KEY

BUY = Ticket("sBTC-USDC", "BUY", "0.01", "60000.1")
GONE = {"code": "ORDER_UNKNOWN", "status": 404}


@pytest.fixture
def session() -> Session:
    return Session(LocalWallet(KEY))


def unknown(call: Call) -> Answer:
    """An exchange that knows none of them, and answers each."""
    body = json.loads(call.body or b"")
    named = [{"id": one} for one in body["ids"]] + [{"clientOrderId": name} for name in body["clientOrderIds"]]
    return ok(
        {"results": [{"id": None, "clientOrderId": None, "order": None, "problem": GONE, **one} for one in named]}
    )


def test_a_batch_of_cancels_is_sent_in_parts_and_answered_in_order(session: Session) -> None:
    script = Script()
    script.routes["POST /orders/cancel/batch"] = unknown
    ids = [f"0x{number:064x}" for number in range(trading.MAX_CANCELS - 1)]
    outcomes = script.run(trading.cancel_each(session, ids, ["a", "b"]))
    assert [outcome.id or outcome.client_order_id for outcome in outcomes] == [*ids, "a", "b"]
    assert all(outcome.problem == GONE and outcome.order is None for outcome in outcomes)
    sent = script.sent("/orders/cancel/batch")
    assert [(len(body["ids"]), body["clientOrderIds"]) for body in sent] == [(199, ["a"]), (0, ["b"])]


def test_cancel_all_names_the_side_as_the_exchange_does(session: Session) -> None:
    script = Script()
    script.routes["DELETE /orders"] = ok({"results": []})
    assert script.run(trading.cancel_all(session, "sBTC-USDC", "sell")) == 0
    assert script.calls[-1].query == {"market": "sBTC-USDC", "side": "SELL"}
    with pytest.raises(Problem, match="side"):
        script.run(trading.cancel_all(session, None, "both"))


def test_the_dead_mans_switch_says_when_it_fires(session: Session) -> None:
    script = Script()
    script.routes["POST /deadman"] = ok({"firesAt": 123})
    assert script.run(trading.cancel_all_after(session, 30)) == 123
    script.routes["POST /deadman"] = ok({"firesAt": None})
    assert script.run(trading.cancel_all_after(session, 0)) is None
    assert script.sent("/deadman") == [{"seconds": 30}, {"seconds": 0}]


def test_a_time_limit_counts_from_the_first_sending(session: Session) -> None:
    script = Script(silence, silence, accepted)
    before = time.time_ns() // 1_000_000
    script.run(trading.place(session, replace(BUY, reject_in_ms=500)))
    limits = {body["rejectAfter"] for body in script.sent("/orders")}
    assert len(limits) == 1
    assert before + 500 <= limits.pop() <= time.time_ns() // 1_000_000 + 500


def test_an_order_without_a_time_limit_says_nothing_of_one(session: Session) -> None:
    script = Script(accepted)
    script.run(trading.place(session, BUY))
    assert "rejectAfter" not in script.sent("/orders")[0]


def test_too_late_is_a_refusal_and_not_tried_again(session: Session) -> None:
    script = Script(refusal(422, "ORDER_TOO_LATE"))
    with pytest.raises(ApiProblem, match="ORDER_TOO_LATE"):
        script.run(trading.place(session, replace(BUY, reject_in_ms=1)))
    assert len(script.sent("/orders")) == 1
