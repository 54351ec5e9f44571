"""Who may sign for an account: its own key, a session key of the chain's, or the contract that is the account."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from api import signers
from api.node import Node
from cxdex import facts
from cxdex.eip712 import cancel_orders_digest, login_digest, to_checksum
from cxdex.keccak import keccak
from cxdex.order import SignatureKind
from cxdex.problem import Problem
from cxdex.signature import address_of, sign_digest
from relayer.client import EngineClient
from relayer.wire import SOCKET_NAME
from tests.api.conftest import SYMBOL, Person, wait_for

LONG = int(time.time()) + 10**6
ANSWER = "631626ba7e60e01b"  # isValidSignature's selector, in the highest bytes of a word
RETURN = "60005260206000f3"


@pytest.fixture
def put_code(node_url: str) -> Any:
    def put(address: bytes, code: str) -> None:
        body = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setCode", "params": [to_checksum(address), "0x" + code]}
        assert "error" not in httpx.post(node_url, json=body).json()

    return put


def accepts(digest: bytes) -> str:
    """Code of a wallet that accepts any signature of this digest and no other."""
    return "7f" + digest.hex() + "60043514" + ANSWER + "02" + RETURN


def with_session(exchange: Any, person: Person, **changes: Any) -> bytes:
    """A key that may sign for the person; the engine knows it."""
    key = keccak(b"session" + person.key)
    fields = {"market": None, "notional": 10**12, "expiry": LONG, **changes}
    exchange.chain.say(facts.SessionSet(person.account, address_of(key), *fields.values()))
    wait_for("the session", lambda: sessions(exchange, person))
    return key


def sessions(exchange: Any, person: Person) -> list[dict[str, Any]]:
    reply = exchange.get(f"/v1/accounts/{person.address}/sessions", exchange.login(person))
    shown: list[dict[str, Any]] = reply.json()["data"]
    return shown


def body_by(key: bytes, person: Person, order: dict[str, Any]) -> dict[str, Any]:
    return {**person.signed(order), "signature": "0x" + sign_digest(key, person.digest(order)).hex()}


def test_a_session_key_places_and_cancels(exchange: Any) -> None:
    person = exchange.person()
    key = with_session(exchange, person, market=SYMBOL)
    order = person.order(exchange.nonce(person), expiry=str(LONG - 100))
    reply = exchange.post("/v1/orders", body_by(key, person, order))
    assert (reply.status_code, reply.json()["status"]) == (200, "OPEN")
    (shown,) = sessions(exchange, person)
    assert shown == {
        "key": to_checksum(address_of(key)),
        "market": SYMBOL,
        "notionalLeft": "1000000",
        "notionalAvailable": "999400",
        "expiry": str(LONG),
    }
    deadline = int(time.time()) + 60
    signed = sign_digest(
        key, cancel_orders_digest(exchange.deployment.domain, person.account, [int(order["nonce"])], deadline)
    )
    cancel = {
        "account": person.address,
        "nonces": [order["nonce"]],
        "deadline": str(deadline),
        "signature": "0x" + signed.hex(),
    }
    (result,) = exchange.post("/v1/orders/cancel", cancel).json()["results"]
    assert result["order"]["status"] == "CANCELLED"


def test_attack_17_a_session_key_cancels_nothing_but_its_own_orders(exchange: Any) -> None:
    person = exchange.person()
    key = with_session(exchange, person)
    owners = exchange.place(person)
    deadline = int(time.time()) + 60
    digest = cancel_orders_digest(exchange.deployment.domain, person.account, [int(owners["nonce"])], deadline)
    body = {
        "account": person.address,
        "nonces": [owners["nonce"]],
        "deadline": str(deadline),
        "signature": "0x" + sign_digest(key, digest).hex(),
    }
    (result,) = exchange.post("/v1/orders/cancel", body).json()["results"]
    assert result["problem"]["code"] == "ORDER_UNKNOWN"
    assert exchange.get(f"/v1/orders/{owners['id']}").json()["status"] == "OPEN"


def test_the_kind_of_signature_reaches_the_order_table(exchange: Any) -> None:
    person = exchange.person()
    key = with_session(exchange, person)
    order = person.order(exchange.nonce(person), expiry=str(LONG - 100))
    placed = exchange.post("/v1/orders", body_by(key, person, order)).json()
    digest = bytes.fromhex(placed["id"][2:])

    def row() -> Any:
        return next((row for row in exchange.rows("order") if row.digest == digest), None)

    found = wait_for("the row", row)
    assert (found.signature_kind, found.signature) == (SignatureKind.SESSION, sign_digest(key, digest))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expiry": str(LONG + 1)}, "SESSION_TOO_SHORT"),
        ({"quantity": "1", "limitPrice": "10000.1", "side": "SELL"}, "SESSION_LIMIT_EXCEEDED"),
    ],
)
def test_attack_17_a_session_key_stays_within_its_limits(exchange: Any, change: dict[str, Any], code: str) -> None:
    person = exchange.person()
    key = with_session(exchange, person, notional=10_000_000_000)
    order = person.order(exchange.nonce(person), **{"expiry": str(LONG - 1), **change})
    reply = exchange.post("/v1/orders", body_by(key, person, order))
    assert (reply.status_code, reply.json()["code"]) == (422, code)


def test_attack_17_a_revoked_session_key_signs_nothing_more(exchange: Any) -> None:
    person = exchange.person()
    key = with_session(exchange, person)
    order = person.order(exchange.nonce(person), expiry=str(LONG - 100))
    placed = exchange.post("/v1/orders", body_by(key, person, order)).json()
    assert placed["status"] == "OPEN"
    exchange.chain.say(facts.SessionRevoked(person.account, address_of(key)))
    wait_for("the revocation", lambda: exchange.get(f"/v1/orders/{placed['id']}").json()["status"] != "OPEN")
    again = person.order(exchange.nonce(person), expiry=str(LONG - 100))
    assert exchange.post("/v1/orders", body_by(key, person, again)).json()["code"] == "SESSION_NOT_LIVE"


def test_attack_17_a_session_key_cannot_sign_in(exchange: Any) -> None:
    person = exchange.person()
    key = with_session(exchange, person)
    expires_at = int(time.time()) + 3600
    signature = sign_digest(key, login_digest(exchange.deployment.domain, person.account, expires_at))
    body = {**person.login_body(expires_at), "signature": "0x" + signature.hex()}
    assert exchange.post("/v1/auth/login", body).json()["code"] == "AUTH_INVALID"


@pytest.mark.parametrize("length", [1, 65, 97, 1024])
def test_a_contract_wallet_signs_with_what_its_code_takes(exchange: Any, put_code: Any, length: int) -> None:
    person = exchange.person()
    order = person.order(exchange.nonce(person))
    put_code(person.account, accepts(person.digest(order)))
    signature = bytes([1]) * length  # with a last byte that a key's signature would have changed
    body = {**person.signed(order), "signature": "0x" + signature.hex()}
    (result,) = exchange.post("/v1/orders/batch", {"orders": [body]}).json()["results"]
    digest = bytes.fromhex(result["order"]["id"][2:])
    wait_for("the row", lambda: any(row.digest == digest for row in exchange.rows("order")))
    (row,) = [row for row in exchange.rows("order") if row.digest == digest]
    assert (row.signature_kind, row.signature) == (SignatureKind.CONTRACT, signature)


async def test_an_account_without_code_is_looked_at_again_after_a_while(
    exchange: Any, node_url: str, put_code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judges = signers.Signers(exchange.deployment.domain, EngineClient(exchange.state / SOCKET_NAME), Node(node_url))
    account, digest, raw = b"\x77" * 20, b"\x12" * 32, b"two owners"

    async def kind() -> SignatureKind:
        found = signers.recover_key(digest, raw)
        return (await judges.judge(account, digest, raw, found, dict, sessions=False)).kind

    with pytest.raises(Problem, match="SIGNATURE_MALFORMED"):
        await kind()
    put_code(account, accepts(digest))
    with pytest.raises(Problem, match="SIGNATURE_MALFORMED"):
        await kind()  # strangers must not make it ask the node each time
    later = time.monotonic() + signers.NO_CODE_SECONDS + 1
    monkeypatch.setattr(signers, "time", SimpleNamespace(monotonic=lambda: later))
    assert await kind() is SignatureKind.CONTRACT


def test_a_contract_wallet_signs_in(exchange: Any, put_code: Any) -> None:
    person = exchange.person()
    expires_at = int(time.time()) + 3600
    put_code(person.account, accepts(login_digest(exchange.deployment.domain, person.account, expires_at)))
    body = {"account": person.address, "expiresAt": str(expires_at), "signature": "0x01"}
    token = exchange.post("/v1/auth/login", body).json()["token"]
    assert exchange.get(f"/v1/accounts/{person.address}/balances", token).status_code == 200


@pytest.mark.parametrize(
    ("code", "signature", "expected"),
    [
        (accepts(bytes(32)), None, "SIGNATURE_MISMATCH"),  # it means another order
        ("fe", None, "SIGNATURE_MISMATCH"),  # it burns all its gas
        ("5b600056", None, "SIGNATURE_MISMATCH"),  # it never ends
        ("60016000526020" + "6000f3", "0x1234", "SIGNATURE_MALFORMED"),  # it answers something else
        ("631626ba7e60e01b600052" + "620100006000f3", "0x1234", "SIGNATURE_MALFORMED"),  # it answers 65,536 bytes
    ],
)
def test_attack_11_a_hostile_wallet_is_refused(
    exchange: Any, put_code: Any, code: str, signature: str | None, expected: str
) -> None:
    person = exchange.person()
    put_code(person.account, code)
    order = person.order(exchange.nonce(person))
    by_stranger = body_by(keccak(b"stranger"), person, order)
    reply = exchange.post("/v1/orders", {**by_stranger, **({"signature": signature} if signature else {})})
    assert (reply.json()["code"], reply.json()["field"]) == (expected, "signature")


def test_attack_12_a_delegated_account_still_signs_with_its_key(exchange: Any, put_code: Any) -> None:
    person = exchange.person()
    put_code(person.account, "ef0100" + "11" * 20)
    assert exchange.place(person)["status"] == "OPEN"


def test_a_signature_of_more_than_1024_bytes_is_malformed(exchange: Any) -> None:
    person = exchange.person()
    body = {**person.signed(person.order(exchange.nonce(person))), "signature": "0x" + "01" * 1025}
    assert exchange.post("/v1/orders", body).json()["code"] == "SIGNATURE_MALFORMED"
