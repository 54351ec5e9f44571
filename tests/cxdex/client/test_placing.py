"""One order, one outcome: accepted, refused, or honestly unknown."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from cxdex.client import trading
from cxdex.client.errors import ApiProblem, OutcomeUnknown
from cxdex.client.session import Session
from cxdex.client.steps import Answer, Call
from cxdex.client.ticket import Ticket
from cxdex.eip712 import order_digest
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.problem import OrderProblem, Problem
from cxdex.signature import recover
from cxdex.wallet import LocalWallet
from tests.cxdex.client.exchange_script import Script, accepted, ok, order_state, refusal, silence
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY

BUY = Ticket("sBTC-USDC", "BUY", "0.01", "60000.1")
LANE_BUSY = refusal(409, "ORDER_NONCE_LANE_BUSY")


@pytest.fixture
def session() -> Session:
    return Session(LocalWallet(KEY))


def signed_order(body: dict[str, Any]) -> tuple[bytes, bytes]:
    """(digest, signer) of what was sent, read from the JSON alone."""
    fields = body["order"]
    order = Order(
        account=bytes.fromhex(fields["account"][2:]),
        market=fields["market"],
        side=Side[fields["side"]],
        order_type=OrderType[fields["orderType"]],
        time_in_force=TimeInForce[fields["timeInForce"]],
        quantity=int(Decimal(fields["quantity"]) / Decimal("0.0001")),
        limit_price=int(Decimal(fields["limitPrice"]) / Decimal("0.1")),
        max_fee_bps=int(fields["maxFeeBps"]),
        expiry=int(fields["expiry"]),
        nonce=int(fields["nonce"]),
        self_trade=SelfTrade[fields["selfTrade"]],
    )
    digest = order_digest(DOMAIN, order)
    return digest, recover(digest, bytes.fromhex(body["signature"][2:]))


def test_what_is_sent_is_signed_by_the_account(session: Session) -> None:
    script = Script(accepted)
    order = script.run(trading.place(session, BUY))
    (body,) = script.sent("/orders")
    assert signed_order(body)[1] == ACCOUNT
    assert (body["chainId"], body["order"]["maxFeeBps"]) == (DOMAIN.chain_id, "25")
    assert order.is_open


def test_a_lost_answer_sends_the_very_same_order_again(session: Session) -> None:
    script = Script(silence, refusal(503, "ENGINE_UNAVAILABLE", retryable=True), accepted)
    script.run(trading.place(session, BUY))
    first, *others = script.sent("/orders")
    assert others == [first, first]
    assert script.pauses == sorted(script.pauses)


def test_lasting_silence_is_unknown_and_names_the_id(session: Session) -> None:
    script = Script(*[silence] * trading.PLACE_ATTEMPTS)
    with pytest.raises(OutcomeUnknown) as caught:
        script.run(trading.place(session, BUY))
    digest, _ = signed_order(script.sent("/orders")[0])
    assert caught.value.order_id == "0x" + digest.hex()


def test_a_refusal_is_final(session: Session) -> None:
    script = Script(refusal(422, "BALANCE_INSUFFICIENT", allowed="5 USDC available"))
    with pytest.raises(ApiProblem) as caught:
        script.run(trading.place(session, BUY))
    assert (caught.value.code, caught.value.allowed) == ("BALANCE_INSUFFICIENT", "5 USDC available")
    assert len(script.sent("/orders")) == 1


@pytest.mark.parametrize("code", trading.NONCE_REFUSALS)
def test_a_nonce_refusal_is_answered_once_with_a_fresh_nonce(session: Session, code: str) -> None:
    script = Script(refusal(409, code), accepted)
    script.run(trading.place(session, BUY))
    first, second = script.sent("/orders")
    assert first["order"]["nonce"] != second["order"]["nonce"]


def test_a_second_nonce_refusal_is_told(session: Session) -> None:
    with pytest.raises(ApiProblem, match="ORDER_NONCE_LANE_BUSY"):
        Script(LANE_BUSY, LANE_BUSY).run(trading.place(session, BUY))


def test_after_silence_no_second_order_is_made(session: Session) -> None:
    """The first attempt may yet arrive; a fresh nonce would make two orders of one wish."""
    script = Script(silence, LANE_BUSY)
    with pytest.raises(ApiProblem, match="ORDER_NONCE_LANE_BUSY"):
        script.run(trading.place(session, BUY))
    assert len({body["order"]["nonce"] for body in script.sent("/orders")}) == 1


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"quantity": 0.01}, "NUMBER_NOT_STRING"),
        ({"price": 60000.1}, "NUMBER_NOT_STRING"),
        ({"quantity": True}, "NUMBER_NOT_STRING"),
        ({"price": Decimal("NaN")}, "NUMBER_NOT_STRING"),
        ({"quantity": "-1"}, "DECIMAL_INVALID"),
        ({"quantity": "0.00001"}, "ORDER_LOT_INVALID"),
        ({"price": "60000.05"}, "ORDER_TICK_INVALID"),
        ({"side": "HOLD"}, "ORDER_FIELD_INVALID"),
        ({"time_in_force": "DAY"}, "ORDER_FIELD_INVALID"),
        ({"quantity": "0"}, "ORDER_FIELD_INVALID"),
    ],
)
def test_a_mistake_is_found_before_anything_is_sent(session: Session, changed: dict[str, Any], code: str) -> None:
    ticket = Ticket(**{"market": "sBTC-USDC", "side": "BUY", "quantity": "1", "price": "60000", **changed})
    script = Script()
    with pytest.raises(OrderProblem) as caught:
        script.run(trading.place(session, ticket))
    assert caught.value.code == code
    assert not [call for call in script.calls if call.method == "POST" or call.path.endswith("/nonce")]


@pytest.mark.parametrize(
    ("quantity", "text"), [(1, "1"), (Decimal("0.50"), "0.5"), (Decimal("1E+1"), "10"), (" 2 ", "2")]
)
def test_strings_ints_and_decimals_are_the_same_number(session: Session, quantity: Any, text: str) -> None:
    script = Script(accepted)
    script.run(trading.place(session, Ticket("sBTC-USDC", "BUY", quantity, "60000")))
    assert script.sent("/orders")[0]["order"]["quantity"] == text


def test_an_unknown_market_names_the_known_ones(session: Session) -> None:
    with pytest.raises(Problem) as caught:
        Script().run(trading.place(session, Ticket("DOGE-USDC", "BUY", "1", "1")))
    assert (caught.value.code, caught.value.allowed) == ("MARKET_UNKNOWN", "sBTC-USDC")


def test_a_client_without_a_wallet_says_what_it_needs() -> None:
    with pytest.raises(Problem, match="WALLET_MISSING"):
        Script().run(trading.place(Session(None), BUY))


def batch_answer(*verdicts: str) -> Any:
    def answer(call: Call) -> Answer:
        assert call.body is not None
        entries = json.loads(call.body)["orders"]
        results: list[dict[str, Any]] = []
        for verdict, entry in zip(verdicts, entries, strict=True):
            if verdict == "ok":
                results.append({"order": order_state(entry["order"])})
            else:
                results.append(
                    {"problem": {"code": verdict, "status": 503 if verdict == "ENGINE_UNAVAILABLE" else 422}}
                )
        return ok({"results": results})

    return answer


def test_a_batch_tells_each_order_its_own_outcome(session: Session) -> None:
    script = Script(batch_answer("ok", "ORDER_POST_ONLY_WOULD_TRADE", "ENGINE_UNAVAILABLE"))
    outcomes = script.run(trading.place_many(session, [BUY] * 3))
    assert [outcome.outcome for outcome in outcomes] == ["accepted", "rejected", "unknown"]
    ids = ["0x" + signed_order(entry)[0].hex() for entry in script.sent("/orders/batch")[0]["orders"]]
    assert [outcome.id for outcome in outcomes] == ids
    assert len(set(ids)) == 3


def test_a_batch_without_an_answer_is_unknown_with_every_id(session: Session) -> None:
    script = Script(*[silence] * trading.PLACE_ATTEMPTS)
    outcomes = script.run(trading.place_many(session, [BUY] * 2))
    assert [outcome.outcome for outcome in outcomes] == ["unknown", "unknown"]
    assert all(outcome.id.startswith("0x") for outcome in outcomes)
    assert len({json.dumps(body) for body in script.sent("/orders/batch")}) == 1


def test_large_batches_are_cut_to_what_the_exchange_takes(session: Session) -> None:
    sizes: list[int] = []

    def answer(call: Call) -> Answer:
        assert call.body is not None
        sizes.append(len(json.loads(call.body)["orders"]))
        return batch_answer(*["ok"] * sizes[-1])(call)  # type: ignore[no-any-return]

    script = Script(answer, answer, answer)
    assert len(script.run(trading.place_many(session, [BUY] * 120))) == 120
    assert sizes == [50, 50, 20]
