"""A flow's other half, on paper: answers in the order in which steps are expected, and what was asked.

The client decides everything in flows, which do no I/O; so a time-out or a lost answer is one line here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from cxdex.client.errors import Unreachable
from cxdex.client.steps import Answer, Call, Flow, NodeCall, Pause, Step
from cxdex.eip712 import to_checksum
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN

T = TypeVar("T")
Respond = Callable[[Call], Answer]

MARKET = {
    "symbol": "sBTC-USDC",
    "index": 1,
    "kind": "SPOT",
    "status": "ACTIVE",
    "baseAsset": 2,
    "baseSymbol": "sBTC",
    "quoteSymbol": "USDC",
    "lotSize": "0.0001",
    "tickSize": "0.1",
    "minQuantity": "0.0001",
    "lotExponent": 14,
    "quotePerLotTick": "10",
    "minLots": "1",
    "makerFeeBps": 20,
    "takerFeeBps": 25,
    "nextSequence": "0",
    "settledSequence": "0",
}
STATUS = {
    "mode": "normal",
    "chainId": DOMAIN.chain_id,
    "domain": {
        "name": "Cxmpute DEX",
        "version": "1",
        "chainId": DOMAIN.chain_id,
        "verifyingContract": to_checksum(DOMAIN.verifying_contract),
    },
    "contracts": {"Vault": "0x" + "11" * 20, "USDC": "0x" + "22" * 20, "CXPT": "0x" + "33" * 20},
}


def ok(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode())


def refusal(status: int, code: str, **members: Any) -> Answer:
    return Answer(status, json.dumps({"code": code, "detail": "because", "status": status, **members}).encode())


def silence(call: Call) -> Answer:
    raise Unreachable(f"no answer to {call.method} {call.path}")


def accepted(call: Call) -> Answer:
    """The exchange takes the order; it does not say another id than the client computed."""
    assert call.body is not None
    return ok(order_state(json.loads(call.body)["order"]))


def order_state(fields: dict[str, Any], **changed: Any) -> dict[str, Any]:
    state = {
        **fields,
        "id": "0x" + "ab" * 32,
        "status": "OPEN",
        "reason": None,
        "filled": "0",
        "remaining": fields["quantity"],
        "version": 1,
        "createdAt": 1,
        "updatedAt": 1,
        "clientOrderId": None,
        "fills": [],
    }
    return state | changed


class Script:
    """Answers of an exchange that works, and `orders`: what it says to each POST of an order, in turn."""

    def __init__(self, *orders: Respond | Answer, nonces: int = 1) -> None:
        self.orders = list(orders)
        self.calls: list[Call] = []
        self.pauses: list[float] = []
        self.node: Callable[[NodeCall], dict[str, Any]] = lambda call: {
            "error": {"message": f"unexpected {call.method}"}
        }
        self.routes: dict[str, Answer | Respond] = {}
        self._next_nonce = nonces

    def run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    result = self._answer(step)
                except Unreachable as problem:
                    step = flow.throw(problem)
                else:
                    step = flow.send(result)
        except StopIteration as done:
            value: T = done.value
            return value

    def sent(self, path: str) -> list[dict[str, Any]]:
        """Bodies of the POSTs to this path."""
        return [json.loads(call.body) for call in self.calls if call.path == path and call.body is not None]

    def _answer(self, step: Step) -> Any:
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            return None
        if isinstance(step, NodeCall):
            return self.node(step)
        self.calls.append(step)
        answer = self.routes.get(f"{step.method} {step.path}")
        if answer is None and step.method == "POST" and step.path in ("/orders", "/orders/batch"):
            answer = self.orders.pop(0)
        if answer is None:
            answer = self._usual(step)
        return answer(step) if callable(answer) else answer

    def _usual(self, call: Call) -> Answer:
        if call.path == "/status":
            return ok(STATUS)
        if call.path == "/markets":
            return ok({"data": [MARKET]})
        if call.path == "/auth/login":
            return ok({"token": "a-token", "account": to_checksum(ACCOUNT), "expiresAt": "1"})
        if call.path.endswith("/nonce"):
            count = int(call.query["count"])
            first, self._next_nonce = self._next_nonce, self._next_nonce + count
            return ok({"nonces": [str(number) for number in range(first, first + count)]})
        raise AssertionError(f"unexpected {call.method} {call.path}")
