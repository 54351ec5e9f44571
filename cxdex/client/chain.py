"""Transactions of the wallet's owner: deposits, withdrawals, claims, approvals. Straight to the node.

Promises: a transaction is built here, from the ABI that ships with this package, never taken from a server;
          it is simulated before it is signed, so a refusal costs nothing and names the contract's reason.
Never:    needs the exchange to be up, once the contracts' addresses are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode

from cxdex.abi import load_abi
from cxdex.client.steps import Flow, NodeCall, Pause
from cxdex.contract_errors import explain
from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak
from cxdex.problem import Problem
from cxdex.wallet import Wallet

GAS_MARGIN_PERCENT = 25
TIP_WEI = 10**9
RECEIPT_POLLS = 240
RECEIPT_PAUSE_SECONDS = 0.25
ERROR_SELECTOR = keccak(b"Error(string)")[:4].hex()


@dataclass(frozen=True, slots=True)
class Transaction:
    """A mined transaction. `logs` as the node gave them."""

    hash: str
    block: int
    gas_used: int
    logs: list[dict[str, Any]]


def node(method: str, *params: Any) -> Flow[Any]:
    """The result of one node call. Raises Problem NODE_REFUSED, TRANSACTION_REVERTED or NODE_UNAVAILABLE."""
    answer = yield NodeCall(method, params)
    if "error" in answer:
        raise _refusal(method, answer["error"])
    return answer.get("result")


def encode_call(contract: str, function: str, *arguments: Any) -> str:
    """Calldata as 0x hex. `contract` names an ABI of this package."""
    entry = _function(contract, function)
    types = [item["type"] for item in entry["inputs"]]
    return "0x" + (keccak(f"{function}({','.join(types)})".encode())[:4] + encode(types, arguments)).hex()


def view(contract: str, address: str, function: str, *arguments: Any) -> Flow[Any]:
    """The one value that a view returns."""
    values = yield from view_all(contract, address, function, *arguments)
    return values[0]


def view_all(contract: str, address: str, function: str, *arguments: Any) -> Flow[tuple[Any, ...]]:
    """All values that a view returns."""
    call = {"to": address, "data": encode_call(contract, function, *arguments)}
    result = yield from node("eth_call", call, "latest")
    types = [item["type"] for item in _function(contract, function)["outputs"]]
    return decode(types, bytes.fromhex(result[2:]))


def require_node(chain_id: int) -> Flow[None]:
    """Raises Problem NODE_MISSING, NODE_WRONG_CHAIN, or what the node answers instead."""
    node_chain = int((yield from node("eth_chainId")), 16)
    if node_chain != chain_id:
        raise Problem("NODE_WRONG_CHAIN", "the node is of another chain", given=str(node_chain), allowed=str(chain_id))


def send(wallet: Wallet, chain_id: int, to: str, data: str) -> Flow[Transaction]:
    """Simulates, signs, sends and waits until it is mined. Raises Problem TRANSACTION_REVERTED with the reason.

    After TRANSACTION_PENDING it may still be mined: its hash is in the message.
    """
    sender = to_checksum(wallet.account)
    call = {"from": sender, "to": to, "data": data}
    yield from require_node(chain_id)
    gas = int((yield from node("eth_estimateGas", call)), 16)
    head = yield from node("eth_getBlockByNumber", "latest", False)
    nonce = int((yield from node("eth_getTransactionCount", sender, "pending")), 16)
    raw = wallet.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": to,
            "value": 0,
            "data": data,
            "gas": gas + gas * GAS_MARGIN_PERCENT // 100,
            "maxFeePerGas": 2 * int(head["baseFeePerGas"], 16) + TIP_WEI,
            "maxPriorityFeePerGas": TIP_WEI,
        }
    )
    transaction_hash = yield from node("eth_sendRawTransaction", "0x" + raw.hex())
    return (yield from _receipt(transaction_hash))


def read_event(contract: str, event: str, transaction: Transaction, address: str) -> dict[str, Any]:
    """The transaction's first event of this name from `address`, by argument name. Raises Problem EVENT_MISSING."""
    entry = next(e for e in load_abi(contract) if e["type"] == "event" and e["name"] == event)
    inputs = entry["inputs"]
    topic = "0x" + keccak(f"{event}({','.join(item['type'] for item in inputs)})".encode()).hex()
    for log in transaction.logs:
        if log["topics"][0] != topic or log["address"].lower() != address.lower():
            continue
        indexed = [item for item in inputs if item["indexed"]]
        plain = [item for item in inputs if not item["indexed"]]
        values = {
            item["name"]: decode([item["type"]], bytes.fromhex(raw[2:]))[0]
            for item, raw in zip(indexed, log["topics"][1:], strict=True)
        }
        data = decode([item["type"] for item in plain], bytes.fromhex(log["data"][2:]))
        return values | {item["name"]: value for item, value in zip(plain, data, strict=True)}
    raise Problem("EVENT_MISSING", f"transaction {transaction.hash} has no {event} event of {address}")


def _receipt(transaction_hash: str) -> Flow[Transaction]:
    for _ in range(RECEIPT_POLLS):
        receipt = yield from node("eth_getTransactionReceipt", transaction_hash)
        if receipt is None:
            yield Pause(RECEIPT_PAUSE_SECONDS)
            continue
        if receipt["status"] != "0x1":
            raise Problem("TRANSACTION_REVERTED", f"transaction {transaction_hash} was mined but reverted")
        return Transaction(
            transaction_hash, int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16), receipt["logs"]
        )
    raise Problem("TRANSACTION_PENDING", f"transaction {transaction_hash} is not mined yet; it may still be")


def _function(contract: str, name: str) -> dict[str, Any]:
    return next(entry for entry in load_abi(contract) if entry["type"] == "function" and entry["name"] == name)


def _refusal(method: str, error: dict[str, Any]) -> Problem:
    data = error.get("data")
    message = str(error.get("message", error))
    if isinstance(data, str) and data.startswith("0x" + ERROR_SELECTOR):
        reason = decode(["string"], bytes.fromhex(data[10:]))[0]
        return Problem("TRANSACTION_REVERTED", f"the contract refused: {explain(reason)}")
    if "revert" in message:
        return Problem("TRANSACTION_REVERTED", f"the contract refused: {message}")
    return Problem("NODE_REFUSED", f"the node refused {method}: {message}")
