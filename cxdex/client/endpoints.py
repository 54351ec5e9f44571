"""Every endpoint as a pure pair: how the request is built, and how the answer is read.

Never: does I/O, keeps state or decides about retries.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.steps import Answer, Call
from cxdex.eip712 import order_message, to_checksum
from cxdex.market import MarketTerms
from cxdex.order import SignedOrder
from cxdex.units import format_price, format_quantity, format_usdc

T = TypeVar("T")

_json = msgspec.json.Encoder()


def read(answer: Answer, kind: type[T]) -> T:
    """The typed answer. Raises ApiProblem for a refusal, Unreachable for what this exchange would not say."""
    if answer.status >= 400:
        raise _problem(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise Unreachable(f"the answer is not one of this exchange: {error}") from None


def status() -> Call:
    return Call("GET", "/status")


def markets() -> Call:
    return Call("GET", "/markets")


def book(market: str, depth: int | None) -> Call:
    return Call("GET", f"/book/{market}", _query(depth=depth))


def tickers() -> Call:
    return Call("GET", "/tickers")


def ticker(market: str) -> Call:
    return Call("GET", f"/tickers/{market}")


def trades(market: str, limit: int, cursor: str | None) -> Call:
    return Call("GET", f"/trades/{market}", _query(limit=limit, cursor=cursor))


def login(account: bytes, expires_at: int, signature: bytes) -> Call:
    body = {"account": to_checksum(account), "expiresAt": str(expires_at), "signature": _hex(signature)}
    return Call("POST", "/auth/login", body=_json.encode(body))


def place(
    terms: MarketTerms,
    signed: SignedOrder,
    chain_id: int,
    client_order_id: str | None,
    reject_after: int | None = None,
    display: str | None = None,
) -> Call:
    entry = signed_order_json(terms, signed, chain_id, client_order_id, reject_after, display)
    return Call("POST", "/orders", body=_json.encode(entry), op="place")


def place_batch(entries: list[dict[str, Any]]) -> Call:
    """`entries` are `signed_order_json`."""
    return Call("POST", "/orders/batch", body=_json.encode({"orders": entries}), op="placeBatch")


def steps(entries: list[dict[str, Any]], needs_login: bool) -> Call:
    return Call("POST", "/orders/batch", body=_json.encode({"steps": entries}), needs_login=needs_login, op="steps")


def amend(order_id: str, quantity: str) -> Call:
    body, op_body = {"quantity": quantity}, {"orderId": order_id, "quantity": quantity}
    return Call(
        "PUT",
        f"/orders/{order_id}",
        body=_json.encode(body),
        needs_login=True,
        op="amend",
        op_body=_json.encode(op_body),
    )


def replace(order_id: str, entry: dict[str, Any]) -> Call:
    """`entry` is `signed_order_json` of the new order."""
    op_body = _json.encode({"orderId": order_id, **entry})
    return Call("POST", f"/orders/{order_id}/replace", body=_json.encode(entry), op="replace", op_body=op_body)


def cancel_and_place(entry: dict[str, Any], needs_login: bool) -> Call:
    body = _json.encode(entry)
    return Call("POST", "/orders/cancel-and-place", body=body, needs_login=needs_login, op="cancelAndPlace")


def validate(entry: dict[str, Any]) -> Call:
    return Call("POST", "/orders/validate", body=_json.encode(entry))


def order(order_id: str) -> Call:
    return Call("GET", f"/orders/{order_id}")


def orders(
    market: str | None, order_status: str | None, client_order_id: str | None, limit: int, cursor: str | None
) -> Call:
    query = _query(market=market, status=order_status, clientOrderId=client_order_id, limit=limit, cursor=cursor)
    return Call("GET", "/orders", query, needs_login=True)


def cancel(order_id: str) -> Call:
    op_body = _json.encode({"orderId": order_id})
    return Call("DELETE", f"/orders/{order_id}", needs_login=True, op="cancel", op_body=op_body)


def cancel_all(market: str | None, side: str | None = None) -> Call:
    query = _query(market=market, side=side)
    return Call("DELETE", "/orders", query, needs_login=True, op="cancelAll", op_body=_json.encode(query))


def cancel_batch(ids: list[str], client_order_ids: list[str]) -> Call:
    body = {"ids": ids, "clientOrderIds": client_order_ids}
    return Call("POST", "/orders/cancel/batch", body=_json.encode(body), needs_login=True, op="cancelBatch")


def deadman(seconds: int) -> Call:
    return Call("POST", "/deadman", body=_json.encode({"seconds": seconds}), needs_login=True)


def protections(account: bytes) -> Call:
    return Call("GET", f"/accounts/{to_checksum(account)}/protection", needs_login=True)


def set_protection(account: bytes, market: str, body: dict[str, Any]) -> Call:
    path = f"/accounts/{to_checksum(account)}/protection/{market}"
    return Call("PUT", path, body=_json.encode(body), needs_login=True)


def reset_protection(account: bytes, market: str) -> Call:
    path = f"/accounts/{to_checksum(account)}/protection/{market}/reset"
    return Call("POST", path, needs_login=True)


def remove_protection(account: bytes, market: str) -> Call:
    return Call("DELETE", f"/accounts/{to_checksum(account)}/protection/{market}", needs_login=True)


def limits(account: bytes) -> Call:
    return Call("GET", f"/accounts/{to_checksum(account)}/limits", needs_login=True)


def cancel_signed(account: bytes, nonces: list[int], deadline: int, signature: bytes) -> Call:
    body = {
        "account": to_checksum(account),
        "nonces": [str(nonce) for nonce in nonces],
        "deadline": str(deadline),
        "signature": _hex(signature),
    }
    return Call("POST", "/orders/cancel", body=_json.encode(body), op="cancelSigned")


def nonces(account: bytes, count: int) -> Call:
    return Call("GET", f"/accounts/{to_checksum(account)}/nonce", _query(count=count))


def balances(account: bytes) -> Call:
    return Call("GET", f"/accounts/{to_checksum(account)}/balances", needs_login=True)


def sessions(account: bytes) -> Call:
    return Call("GET", f"/accounts/{to_checksum(account)}/sessions", needs_login=True)


def account(account: bytes) -> Call:
    return Call("GET", f"/accounts/{to_checksum(account)}")


def withdraw_instantly(withdrawal: dict[str, Any]) -> Call:
    """`withdrawal`: the body of POST /withdrawals/instant. Its nonce makes it safe to send again."""
    return Call("POST", "/withdrawals/instant", body=_json.encode(withdrawal), needs_login=True)


def fills(account: bytes, limit: int, cursor: str | None) -> Call:
    path = f"/accounts/{to_checksum(account)}/fills"
    return Call("GET", path, _query(limit=limit, cursor=cursor))


def settled_fills(account: bytes, limit: int, cursor: str | None) -> Call:
    path = f"/accounts/{to_checksum(account)}/settled-fills"
    return Call("GET", path, _query(limit=limit, cursor=cursor))


def withdrawals(account: bytes, limit: int, cursor: str | None) -> Call:
    path = f"/accounts/{to_checksum(account)}/withdrawals"
    return Call("GET", path, _query(limit=limit, cursor=cursor))


def signed_order_json(
    terms: MarketTerms,
    signed: SignedOrder,
    chain_id: int,
    client_order_id: str | None,
    reject_after: int | None = None,
    display: str | None = None,
) -> dict[str, Any]:
    """The body of POST /orders: decimals are strings. reject_after: unix milliseconds."""
    fields = order_message(signed.order)
    fields["quantity"] = format_quantity(terms, signed.order.quantity)
    fields["limitPrice"] = format_price(terms, signed.order.limit_price)
    fields["maxCollateral"] = format_usdc(signed.order.max_collateral)
    condition = signed.order.condition
    if condition is not None:
        words = {name: fields.pop(name) for name in ("trigger", "triggerPrice", "activeFrom")}
        fields["condition"] = {**words, "triggerPrice": format_price(terms, condition.trigger_price)}
    entry: dict[str, Any] = {"order": fields, "signature": _hex(signed.signature), "chainId": chain_id}
    if client_order_id is not None:
        entry["clientOrderId"] = client_order_id
    if reject_after is not None:
        entry["rejectAfter"] = reject_after
    if display is not None:
        entry["displayQuantity"] = display
    return entry


def _query(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _problem(answer: Answer) -> ApiProblem | Unreachable:
    try:
        members = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        members = {}
    if "code" in members:
        return ApiProblem(answer.status, members)
    return Unreachable(f"HTTP {answer.status} from something that is not this exchange")
