"""Withdrawals at once: who may ask, what the answer carries, and that it is the contract's call to the letter."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cxdex import facts
from cxdex.eip712 import Domain, InstantWithdrawal, instant_withdrawal_digest, to_checksum
from cxdex.signature import address_of, recover, to_compact
from tests.api.conftest import TERMS as SBTC
from tests.api.conftest import Exchange, list_market, market_status, wait_for
from tests.api.test_vault import read_call

COSIGNER = b"\x0c" * 32


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory, node_url: str) -> Any:
    running = Exchange(tmp_path_factory.mktemp("cosigned"), node_url)
    key_file = running.state / "cosigner.key"
    key_file.write_text("0x" + COSIGNER.hex())
    running.start_engine("--cosigner-key-file", str(key_file))
    running.start_api()
    list_market(running, SBTC)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


def ask(exchange: Any, person: Any, token: str | None = None, **changes: Any) -> Any:
    body = {"account": person.address, "amount": "25", "nonce": "7", **changes}
    return exchange.http.post(
        "/v1/withdrawals/instant",
        json=body,
        headers={"Authorization": f"Bearer {token or exchange.login(person)}"},
    )


def cash(exchange: Any, person: Any) -> dict[str, Any]:
    reply = exchange.get(f"/v1/accounts/{person.address}/balances", exchange.login(person))
    found: dict[str, Any] = reply.json()["data"][0]
    return found


def test_the_answer_is_the_contracts_call_with_the_cosigners_word(exchange: Any) -> None:
    person = exchange.person()
    recipient = b"\x22" * 20
    reply = ask(exchange, person, recipient=to_checksum(recipient), asCxpt=True)
    assert reply.status_code == 200, reply.text
    shown = reply.json()
    vault = exchange.deployment.contracts["Vault"]
    (transaction,) = shown["transactions"]
    assert (transaction["to"], transaction["value"]) == (to_checksum(vault), "0")
    withdrawal = InstantWithdrawal(person.account, 0, 25_000_000, True, recipient, 7, int(shown["deadline"]))
    digest = instant_withdrawal_digest(Domain(31337, vault), withdrawal)
    signature = bytes.fromhex(shown["signature"][2:])
    assert recover(digest, signature) == address_of(COSIGNER)
    r, vs = (word.to_bytes(32, "big") for word in to_compact(signature))
    deadline = int(shown["deadline"])
    assert read_call("Vault", transaction["data"]) == (
        "withdraw",
        (0, 25_000_000, True, to_checksum(recipient).lower(), 7, deadline, r, vs),
    )
    assert 0 < deadline - time.time() <= 120
    after = cash(exchange, person)
    assert (after["total"], after["available"], after["leaving"]) == ("99975", "99975", "25")


def test_the_same_nonce_is_the_same_withdrawal(exchange: Any) -> None:
    person = exchange.person()
    first, again = ask(exchange, person).json(), ask(exchange, person).json()
    assert first == again
    other = ask(exchange, person, amount="26")
    assert (other.status_code, other.json()["code"]) == (409, "WITHDRAWAL_NONCE_USED")
    assert cash(exchange, person)["total"] == "99975"


def test_without_a_nonce_each_request_is_a_withdrawal_of_its_own(exchange: Any) -> None:
    person = exchange.person()
    nonces = {ask(exchange, person, nonce=None).json()["nonce"] for _ in range(2)}
    assert len(nonces) == 2
    assert cash(exchange, person)["total"] == "99950"


def test_attack_74_a_matched_fill_comes_first(exchange: Any) -> None:
    maker, taker = exchange.person(), exchange.person()
    exchange.place(maker, limitPrice="60000")
    exchange.place(taker, side="SELL", limitPrice="60000", timeInForce="IOC")
    for person in (maker, taker):
        reply = ask(exchange, person, amount=cash(exchange, person)["available"])
        assert (reply.status_code, reply.json()["code"]) == (409, "WITHDRAWAL_UNSETTLED")
        assert reply.json()["retryable"] is True
        assert cash(exchange, person)["leaving"] == "0"
        most = reply.json()["allowed"].removeprefix("at most ").split()[0]
        assert ask(exchange, person, amount=most).status_code == 200


def test_attack_15_a_stranger_sets_nothing_aside(exchange: Any) -> None:
    person, stranger = exchange.person(), exchange.person()
    reply = ask(exchange, person, exchange.login(stranger))
    assert (reply.status_code, reply.json()["code"]) == (401, "AUTH_INVALID")
    nobody = exchange.post("/v1/withdrawals/instant", {"account": person.address, "amount": "1"})
    assert (nobody.status_code, nobody.json()["code"]) == (401, "AUTH_REQUIRED")
    assert cash(exchange, person)["total"] == "100000"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"amount": "100000.000001"}, 422, "BALANCE_INSUFFICIENT"),
        ({"amount": "0"}, 400, "FIELD_INVALID"),
        ({"amount": 5}, 400, "NUMBER_NOT_STRING"),
        ({"asset": "DOGE"}, 400, "FIELD_INVALID"),
        ({"asset": "CXPT", "asCxpt": True}, 400, "FIELD_INVALID"),
        ({"recipient": "0x" + "00" * 20}, 400, "FIELD_INVALID"),
        ({"recipient": "me"}, 400, "FIELD_INVALID"),
        ({"nonce": str(2**64)}, 400, "FIELD_INVALID"),
        ({"nonce": "-1"}, 400, "DECIMAL_INVALID"),
        ({"fast": True}, 400, "FIELD_UNKNOWN"),
    ],
)
def test_a_mistake_has_its_code(exchange: Any, change: dict[str, Any], status: int, code: str) -> None:
    person = exchange.person()
    reply = ask(exchange, person, **change)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert cash(exchange, person)["total"] == "100000"


def test_the_account_shows_its_fee_tier(exchange: Any) -> None:
    person = exchange.person()
    path = f"/v1/accounts/{person.address}"
    assert exchange.get(path).json() == {
        "account": person.address,
        "epoch": 0,
        "feeTier": 0,
        "feeDiscountPercent": 0,
        "cxptToNextTier": "1000",
    }
    exchange.chain.say(facts.Credited(person.account, 1, 10_500_000_000))
    shown = wait_for("the tier", lambda: (found := exchange.get(path).json())["feeTier"] and found)
    assert (shown["feeTier"], shown["feeDiscountPercent"], shown["cxptToNextTier"]) == (2, 20, "89500")
    exchange.chain.say(facts.Credited(person.account, 1, 10**12))
    shown = wait_for("the tier", lambda: (found := exchange.get(path).json())["feeTier"] == 4 and found)
    assert shown["cxptToNextTier"] is None
    maker = exchange.person()
    exchange.place(maker, side="SELL", limitPrice="61000")
    placed = exchange.place(person, limitPrice="61000", timeInForce="IOC")
    assert placed["fills"][0]["fee"] == "0.915", "0.15 % of 610 USDC"
