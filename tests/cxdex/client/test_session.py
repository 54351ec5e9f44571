"""Signing in, paging, retrying reads, and handing out nonces."""

from __future__ import annotations

from typing import Any

import pytest

from cxdex.client import endpoints, trading
from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.nonces import LEASE_SECONDS, MAX_BLOCK, NoncePool
from cxdex.client.replies import Balance, Fill
from cxdex.client.replies import Order as OrderReply
from cxdex.client.session import READ_ATTEMPTS, Session
from cxdex.client.steps import Answer, Call
from cxdex.eip712 import cancel_orders_digest, login_digest, to_checksum
from cxdex.problem import Problem
from cxdex.signature import recover
from cxdex.wallet import LocalWallet
from tests.cxdex.client.exchange_script import Script, ok, order_state, refusal, silence
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY

BALANCES = f"GET /accounts/{to_checksum(ACCOUNT)}/balances"
FILLS = f"GET /accounts/{to_checksum(ACCOUNT)}/fills"
CASH = {"asset": 0, "symbol": "USDC", "total": "5", "reserved": "1", "available": "4", "settled": "5"}


@pytest.fixture
def session() -> Session:
    return Session(LocalWallet(KEY))


def fill(number: int, status: str = "mined", quantity: str = "0.01", order_id: str = "0xab") -> dict[str, Any]:
    settlement = {"status": status, "transaction": "0x12", "block": 3, "batch": 1, "reason": None}
    return {
        "matchId": str(number),
        "market": "sBTC-USDC",
        "sequence": str(number),
        "orderId": order_id,
        "side": "BUY",
        "role": "TAKER",
        "price": "60000",
        "quantity": quantity,
        "notional": "600",
        "fee": "1.5",
        "time": 1,
        "settlement": settlement,
    }


def test_a_private_call_signs_in_by_itself_and_only_once(session: Session) -> None:
    script = Script()
    script.routes[BALANCES] = ok({"data": [CASH], "asOf": None})
    for _ in range(2):
        (balance,) = script.run(trading.balances(session))
    assert balance == Balance(0, "USDC", "5", "1", "4", "5")
    (login,) = script.sent("/auth/login")
    digest = login_digest(DOMAIN, ACCOUNT, int(login["expiresAt"]))
    assert recover(digest, bytes.fromhex(login["signature"][2:])) == ACCOUNT
    assert [call.token for call in script.calls if call.path.endswith("balances")] == ["a-token"] * 2


def test_a_token_that_is_refused_is_renewed_once(session: Session) -> None:
    answers = [refusal(401, "AUTH_INVALID"), ok({"data": [CASH]})]
    script = Script()
    script.routes[BALANCES] = lambda _: answers.pop(0)
    assert len(script.run(trading.balances(session))) == 1
    assert len(script.sent("/auth/login")) == 2


def test_a_lasting_refusal_to_sign_in_is_told(session: Session) -> None:
    script = Script()
    script.routes[BALANCES] = refusal(401, "AUTH_INVALID")
    with pytest.raises(ApiProblem, match="AUTH_INVALID"):
        script.run(trading.balances(session))


def test_reads_are_tried_again_and_then_given_up(session: Session) -> None:
    script = Script()
    script.routes["GET /status"] = silence
    with pytest.raises(Unreachable):
        script.run(session.status())
    assert len(script.calls) == READ_ATTEMPTS
    assert len(script.pauses) == READ_ATTEMPTS - 1


def test_a_refused_read_is_not_tried_again(session: Session) -> None:
    script = Script()
    script.routes["GET /orders/0x1"] = refusal(404, "ORDER_UNKNOWN")
    with pytest.raises(ApiProblem, match="ORDER_UNKNOWN"):
        script.run(session.request(endpoints.order("0x1"), OrderReply))
    assert len(script.calls) == 1


@pytest.mark.parametrize(
    "answer", [Answer(200, b"<html>"), Answer(200, b"{}"), Answer(502, b"<html>"), Answer(404, b"[]")]
)
def test_something_that_is_not_the_exchange_is_not_believed(session: Session, answer: Answer) -> None:
    script = Script()
    script.routes["GET /orders/0x1"] = answer
    with pytest.raises(Unreachable):
        script.run(session.request(endpoints.order("0x1"), OrderReply))


def test_pages_are_followed_to_the_end_or_to_what_was_asked(session: Session) -> None:
    def page(call: Call) -> Answer:
        start = int(call.query.get("cursor", "0"))
        return ok({"data": [fill(n) for n in range(start, start + 2)], "next": str(start + 2) if start < 4 else None})

    script = Script()
    script.routes[FILLS] = page
    call = endpoints.fills(ACCOUNT, 2, None)
    assert [f.match_id for f in script.run(session.pages(call, Fill, None))] == ["0", "1", "2", "3", "4", "5"]
    assert [f.match_id for f in script.run(session.pages(call, Fill, 3))] == ["0", "1", "2"]


def test_signed_cancels_need_no_sign_in(session: Session) -> None:
    orders = [_order(nonce) for nonce in (5, 9)]
    script = Script()
    entries = [{"nonce": "5", "order": order_state(_fields(5))}, {"nonce": "9", "problem": {"code": "ORDER_UNKNOWN"}}]
    script.routes["POST /orders/cancel"] = ok({"results": entries})
    assert script.run(trading.cancel_many(session, orders)) == 1
    (body,) = script.sent("/orders/cancel")
    digest = cancel_orders_digest(DOMAIN, ACCOUNT, [5, 9], int(body["deadline"]))
    assert recover(digest, bytes.fromhex(body["signature"][2:])) == ACCOUNT
    assert not script.sent("/auth/login")


class TestWaitingForSettlement:
    def test_it_waits_for_every_fill_of_the_order(self, session: Session) -> None:
        listings = [
            [],
            [fill(1, "matched", "0.006")],
            [fill(2, "submitted", "0.004"), fill(1, "mined", "0.006")],
            [fill(2, "final", "0.004"), fill(1, "mined", "0.006"), fill(0, "matched", order_id="0xother")],
        ]
        script = Script()
        script.routes[FILLS] = lambda _: ok({"data": listings.pop(0), "next": None})
        script.routes["GET /orders/0xab"] = ok(order_state(_fields(1), id="0xab", status="FILLED", filled="0.01"))
        settled = script.run(trading.wait_until_settled(session, _order(1, id="0xab", filled="0.01"), 60))
        assert {f.match_id for f in settled} == {"1", "2"}

    def test_a_skipped_fill_is_told(self, session: Session) -> None:
        script = Script()
        script.routes[FILLS] = ok({"data": [fill(1, "skipped")], "next": None})
        with pytest.raises(Problem, match="FILL_SKIPPED"):
            script.run(trading.wait_until_settled(session, _order(1, id="0xab", filled="0.01"), 60))

    def test_an_order_that_closed_without_a_fill_is_not_waited_for(self, session: Session) -> None:
        script = Script()
        script.routes[FILLS] = ok({"data": [], "next": None})
        script.routes["GET /orders/0xab"] = ok(order_state(_fields(1), id="0xab", status="CANCELLED", reason="IOC"))
        with pytest.raises(Problem, match="ORDER_HAS_NO_FILL"):
            script.run(trading.wait_until_settled(session, _order(1, id="0xab"), 60))

    def test_patience_ends(self, session: Session) -> None:
        script = Script()
        script.routes[FILLS] = ok({"data": [fill(1, "matched")], "next": None})
        with pytest.raises(Problem, match=r"SETTLEMENT_TIMEOUT.*matched"):
            script.run(trading.wait_until_settled(session, _order(1, id="0xab", filled="0.01"), -1))


class TestNoncePool:
    def test_one_order_takes_one_nonce(self) -> None:
        pool = NoncePool()
        assert pool.take(1, 100.0) is None
        assert pool.block(1, 100.0) == 1

    def test_a_hurried_client_takes_growing_blocks(self) -> None:
        pool = NoncePool()
        sizes = []
        for turn in range(8):
            sizes.append(pool.block(1, turn / 10))
            pool.refill(list(range(sizes[-1])), turn / 10)
        assert sizes == [1, 2, 4, 8, 16, 32, 32, 32]
        assert sizes[-1] == MAX_BLOCK
        assert pool.block(1, LEASE_SECONDS + 10) == 1

    def test_nonces_are_used_once_and_not_after_their_lease(self) -> None:
        pool = NoncePool()
        pool.refill([1, 2, 3, 4], 0.0)
        assert pool.take(2, 1.0) == [1, 2]
        assert pool.take(1, 2.0) == [3]
        assert pool.take(1, LEASE_SECONDS + 0.1) is None

    def test_a_nonce_that_comes_again_within_its_lease_is_left_out(self) -> None:
        """Two equal orders with one nonce would be one order."""
        pool = NoncePool()
        assert pool.refill([1, 2, 3], 0.0) == 0
        assert pool.take(2, 1.0) == [1, 2]
        assert pool.refill([1, 2, 3, 4], 2.0) == 2
        assert pool.take(2, 2.0) == [3, 4]
        assert pool.refill([1, 2], 1.0 + LEASE_SECONDS + 0.1) == 0, "an order that was refused has left it free"

    def test_one_request_is_for_all_that_run_short(self) -> None:
        pool = NoncePool()
        for _ in range(5):
            pool.wait(2)
        assert pool.block(1, 0.0) == 11
        assert pool.block(1, 100.0) == 1

    def test_after_a_refusal_the_rest_are_not_trusted(self) -> None:
        pool = NoncePool()
        pool.refill([1, 2], 0.0)
        pool.forget()
        assert pool.take(1, 0.1) is None


def _fields(nonce: int) -> dict[str, Any]:
    return {
        "account": to_checksum(ACCOUNT),
        "market": "sBTC-USDC",
        "side": "BUY",
        "orderType": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "limitPrice": "60000",
        "maxFeeBps": "25",
        "expiry": "1900000000",
        "nonce": str(nonce),
    }


def _order(nonce: int, **changed: Any) -> OrderReply:
    return endpoints.read(ok(order_state(_fields(nonce), **changed)), OrderReply)
