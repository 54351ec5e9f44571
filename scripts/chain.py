"""A JSON-RPC node as a script sees it: read a contract, send a signed transaction, wait for its receipt.

Promises: a refused transaction raises Problem with the contract's own error code; a node that is away raises
          Problem NODE_UNAVAILABLE. No raw error of the node reaches the person who runs a script.
Never:    keeps a key, or asks the node to sign.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx
import rlp
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.signers.local import LocalAccount

from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak
from cxdex.problem import Problem

RPC_TIMEOUT_SECONDS = 20.0
RECEIPT_TIMEOUT_SECONDS = 180.0
FIRST_POLL_SECONDS = 0.005
SLOWEST_POLL_SECONDS = 1.0
GAS_MARGIN_PERCENT = 25
TIP_WEI = 10**9
ERROR_SELECTOR = keccak(b"Error(string)")[:4]


class Chain:
    """One node."""

    def __init__(self, rpc_url: str) -> None:
        self.rpc_url = rpc_url
        self._client = httpx.Client(timeout=RPC_TIMEOUT_SECONDS)
        self.chain_id = int(self.rpc("eth_chainId"), 16)

    def rpc(self, method: str, *params: object) -> Any:
        """One call. Raises Problem NODE_UNAVAILABLE or NODE_REFUSED."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = self._client.post(self.rpc_url, json=body).json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Problem("NODE_UNAVAILABLE", f"the node at {self.rpc_url} does not answer: {error}") from error
        if "error" in answer:
            raise _refusal(method, answer["error"])
        return answer["result"]

    def code(self, address: bytes) -> bytes:
        return bytes.fromhex(self.rpc("eth_getCode", _hex(address), "latest")[2:])

    def storage(self, address: bytes, slot: int) -> bytes:
        return bytes.fromhex(self.rpc("eth_getStorageAt", _hex(address), hex(slot), "latest")[2:].rjust(64, "0"))

    def balance(self, address: bytes) -> int:
        """In wei."""
        return int(self.rpc("eth_getBalance", _hex(address), "latest"), 16)

    def nonce(self, address: bytes) -> int:
        return int(self.rpc("eth_getTransactionCount", _hex(address), "pending"), 16)

    def block_number(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def timestamp(self) -> int:
        """Unix time of the latest block."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def call(self, to: bytes, data: bytes) -> bytes:
        return bytes.fromhex(self.rpc("eth_call", {"to": _hex(to), "data": _hex(data)}, "latest")[2:])

    def send(self, key: str, to: bytes | None, data: bytes, value: int = 0) -> dict[str, Any]:
        """Signs, sends and waits; returns the receipt. `to` None creates a contract. Raises Problem when refused."""
        account: LocalAccount = Account.from_key(key)
        transaction: dict[str, Any] = {"from": account.address, "data": _hex(data), "value": hex(value)}
        if to is not None:
            transaction["to"] = to_checksum(to)
        gas = int(self.rpc("eth_estimateGas", transaction), 16)
        base_fee = int(self.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        signed = account.sign_transaction(
            {
                **transaction,
                "type": 2,
                "chainId": self.chain_id,
                "nonce": self.nonce(bytes.fromhex(account.address[2:])),
                "gas": gas + gas * GAS_MARGIN_PERCENT // 100,
                "maxFeePerGas": 2 * base_fee + TIP_WEI,
                "maxPriorityFeePerGas": TIP_WEI,
            }
        )
        return self._receipt(self.rpc("eth_sendRawTransaction", _hex(bytes(signed.raw_transaction))))

    def _receipt(self, transaction_hash: str) -> dict[str, Any]:
        deadline = time.monotonic() + RECEIPT_TIMEOUT_SECONDS
        pause = FIRST_POLL_SECONDS
        while time.monotonic() < deadline:
            receipt: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", transaction_hash)
            if receipt is None:
                time.sleep(pause)
                pause = min(2 * pause, SLOWEST_POLL_SECONDS)
                continue
            if receipt["status"] != "0x1":
                raise Problem("TRANSACTION_REVERTED", f"transaction {transaction_hash} reverted")
            return receipt
        raise Problem("TRANSACTION_PENDING", f"transaction {transaction_hash} was not mined in time")


@dataclass(frozen=True)
class Contract:
    """A contract at an address, called by function name. No function of ours is overloaded."""

    chain: Chain
    name: str
    address: bytes
    abi: list[dict[str, Any]]

    def call(self, function: str, *arguments: Any) -> Any:
        """The one value, or the tuple of values, that a view returns. Addresses are bytes."""
        entry = self._entry(function)
        data = self.chain.call(self.address, self.encode(function, *arguments))
        values = decode([_type(output) for output in entry["outputs"]], data)
        values = tuple(bytes.fromhex(v[2:]) if _is_address(v) else v for v in values)
        return values[0] if len(values) == 1 else values

    def send(self, key: str, function: str, *arguments: Any) -> dict[str, Any]:
        try:
            return self.chain.send(key, self.address, self.encode(function, *arguments))
        except Problem as problem:
            raise Problem(problem.code, f"{self.name}.{function}: {problem.detail}") from problem

    def encode(self, function: str, *arguments: Any) -> bytes:
        types = [_type(item) for item in self._entry(function)["inputs"]]
        return keccak(f"{function}({','.join(types)})".encode())[:4] + encode(types, _addresses(arguments))

    def _entry(self, function: str) -> dict[str, Any]:
        return next(entry for entry in self.abi if entry["type"] == "function" and entry["name"] == function)


def constructor_arguments(abi: list[dict[str, Any]], arguments: tuple[Any, ...]) -> bytes:
    inputs = next((entry["inputs"] for entry in abi if entry["type"] == "constructor"), [])
    return encode([_type(item) for item in inputs], _addresses(arguments))


def create_address(deployer: bytes, nonce: int) -> bytes:
    """Where a transaction of this nonce creates its contract."""
    return keccak(rlp.encode([deployer, nonce]))[12:]


def address_of(key: str) -> bytes:
    return bytes.fromhex(Account.from_key(key).address[2:])


def _type(item: dict[str, Any]) -> str:
    kind: str = item["type"]
    if kind.startswith("tuple"):
        return f"({','.join(_type(part) for part in item['components'])}){kind[5:]}"
    return kind


def _addresses(arguments: Any) -> list[Any]:
    """Addresses travel as 20 bytes here and as text in the encoder."""
    return [
        _hex(a) if isinstance(a, bytes) and len(a) == 20 else _addresses(a) if isinstance(a, list) else a
        for a in arguments
    ]


def _is_address(value: object) -> bool:
    return isinstance(value, str) and len(value) == 42 and value.startswith("0x")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _refusal(method: str, error: dict[str, Any]) -> Problem:
    data = error.get("data")
    if isinstance(data, str) and data.startswith("0x" + ERROR_SELECTOR.hex()):
        reason = decode(["string"], bytes.fromhex(data[10:]))[0]
        return Problem("TRANSACTION_REVERTED", f"the contract refused: {reason}", given=reason)
    if "revert" in str(error.get("message", "")):
        return Problem("TRANSACTION_REVERTED", f"the contract refused: {error['message']}")
    return Problem("NODE_REFUSED", f"the node refused {method}: {error.get('message', error)}")
