"""Unsigned Vault transactions: their calldata, read back by the contract's own ABI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_abi import decode
from sqlalchemy import delete, insert
from sqlmodel import SQLModel

from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak

ABI = Path(__file__).parents[2] / "cxdex" / "abi"
SYNTH = b"\x5e" * 20


@pytest.fixture
def say(exchange: Any, node_url: str) -> Any:
    """Puts a contract on the node whose every view returns this word."""

    def put(contract: bytes, word: int) -> None:
        code = "0x7f" + word.to_bytes(32, "big").hex() + "60005260206000f3"
        body = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setCode", "params": [to_checksum(contract), code]}
        assert "error" not in httpx.post(node_url, json=body).json()

    return put


@pytest.fixture
def synth(exchange: Any) -> Any:
    rows = SQLModel.metadata.tables["synth_asset"]
    with exchange.database.begin() as connection:
        connection.execute(
            insert(rows).values(asset=2, address=SYNTH, name="Synthetic Bitcoin", symbol="sBTC", supply=0, escrow=0)
        )
    yield SYNTH
    with exchange.database.begin() as connection:
        connection.execute(delete(rows))


def read_call(contract: str, data: str) -> tuple[str, tuple[Any, ...]]:
    """(function, arguments) of calldata, by the ABI that integrators get."""
    raw = bytes.fromhex(data[2:])
    for entry in json.loads((ABI / f"{contract}.json").read_text()):
        if entry["type"] != "function":
            continue
        kinds = [argument["type"] for argument in entry["inputs"]]
        if keccak(f"{entry['name']}({','.join(kinds)})".encode())[:4] == raw[:4]:
            return entry["name"], decode(kinds, raw[4:])
    return pytest.fail(f"{contract} has no function for {data[:10]}")


def deposit(exchange: Any, **body: Any) -> list[dict[str, Any]]:
    account = to_checksum(b"\x11" * 20)
    reply = exchange.post("/v1/vault/deposit", {"account": account, "amount": "12.5", **body})
    assert reply.status_code == 200, reply.text
    transactions: list[dict[str, Any]] = reply.json()["transactions"]
    return transactions


def test_a_deposit_asks_for_an_approval_when_the_allowance_is_short(exchange: Any, say: Any) -> None:
    contracts = exchange.deployment.contracts
    say(contracts["USDC"], 12_499_999)
    approval, deposited = deposit(exchange)
    assert approval["to"] == to_checksum(contracts["USDC"])
    assert read_call("MockUSDC", approval["data"]) == (
        "approve",
        (to_checksum(contracts["Vault"]).lower(), 12_500_000),
    )
    assert deposited["to"] == to_checksum(contracts["Vault"])
    assert read_call("Vault", deposited["data"]) == ("deposit", (12_500_000,))
    assert {(t["value"], t["chainId"]) for t in (approval, deposited)} == {("0", 31337)}


def test_a_deposit_needs_no_second_approval(exchange: Any, say: Any) -> None:
    say(exchange.deployment.contracts["USDC"], 12_500_000)
    (only,) = deposit(exchange, asset="USDC")
    assert read_call("Vault", only["data"]) == ("deposit", (12_500_000,))


def test_a_synth_is_deposited_by_symbol(exchange: Any, say: Any, synth: bytes) -> None:
    say(exchange.deployment.contracts["Vault"], int.from_bytes(synth, "big"))
    say(synth, 0)
    approval, deposited = deposit(exchange, asset="sBTC", amount="0.5")
    assert approval["to"] == to_checksum(synth)
    assert read_call("Vault", deposited["data"]) == ("depositAsset", (2, 5 * 10**17))


def test_without_its_contracts_the_node_is_not_there(exchange: Any, synth: bytes) -> None:
    reply = exchange.post("/v1/vault/deposit", {"account": to_checksum(synth), "amount": "1", "asset": "CXPT"})
    assert (reply.status_code, reply.json()["code"]) == (503, "NODE_UNAVAILABLE")
    assert reply.headers["retry-after"] == "1"


def test_a_withdrawal_starts_with_a_request(exchange: Any) -> None:
    body = {"account": to_checksum(b"\x11" * 20), "amount": "25", "asCxpt": True}
    (request,) = exchange.post("/v1/vault/withdraw", body).json()["transactions"]
    assert request["to"] == to_checksum(exchange.deployment.contracts["Vault"])
    assert read_call("Vault", request["data"]) == ("requestWithdraw", (0, 25_000_000, True))


@pytest.mark.parametrize("number", ["7", 7])
def test_a_claim_names_the_withdrawal(exchange: Any, number: Any) -> None:
    (claim,) = exchange.post("/v1/vault/claim", {"id": number}).json()["transactions"]
    assert read_call("Vault", claim["data"]) == ("claimWithdraw", (7,))


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        ("deposit", {"amount": 5}, "NUMBER_NOT_STRING"),
        ("deposit", {"amount": "0"}, "FIELD_INVALID"),
        ("deposit", {"amount": "0.0000001"}, "DECIMAL_INVALID"),
        ("deposit", {"amount": "1" * 31 + "0" * 30}, "DECIMAL_INVALID"),
        ("deposit", {"asset": "DOGE"}, "FIELD_INVALID"),
        ("deposit", {"asset": "77"}, "FIELD_INVALID"),
        ("deposit", {"account": "me"}, "FIELD_INVALID"),
        ("withdraw", {"asset": "CXPT", "asCxpt": True}, "FIELD_INVALID"),
        ("withdraw", {"asCxpt": "yes"}, "FIELD_INVALID"),
        ("withdraw", {"fast": True}, "FIELD_UNKNOWN"),
    ],
)
def test_a_mistake_has_its_code(exchange: Any, path: str, change: dict[str, Any], code: str) -> None:
    body = {"account": to_checksum(b"\x11" * 20), "amount": "1", **change}
    assert exchange.post(f"/v1/vault/{path}", body).json()["code"] == code
