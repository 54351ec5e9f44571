"""The chain as the settler needs it: what Settlement expects next, what a batch would do, what became of one.

Owns:     the JSON-RPC calls and how a node's refusals are read.
Promises: a revert is told from a node's failure: only `Refusal` means that the contract said no. Sending the
          same bytes again is harmless.
Never:    signs, decides or remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode

from cxdex.deployment import Deployment
from cxdex.eip712 import market_hash, to_checksum
from cxdex.keccak import keccak
from cxdex.market import MarketStatus
from cxdex.problem import Problem
from cxdex.rpc import RpcError
from relayer.settler.endpoints import Endpoints
from relayer.settler.plan import TRANSACTION_GAS_CAP

_ERROR_SELECTOR = "0x08c379a0"  # Error(string)
_REVERT_CODE = 3  # JSON-RPC error code of "execution reverted"
OUT_OF_GAS = "OUT_OF_GAS"  # not a word of the contract: the batch is too large for one transaction


def _selector(signature: str) -> str:
    return "0x" + keccak(signature.encode())[:4].hex()


_CORE = _selector("CORE()")
_DOMAIN_SEPARATOR = _selector("DOMAIN_SEPARATOR()")
_MARKET_WORD = _selector("marketWord(bytes32)")
_BEAT = _selector("beat()")
_LAST_BEAT = _selector("lastBeat()")
_VOID_SEQUENCE = _selector("voidSequence(bytes32,uint256)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The contract reverted. code: its word, such as ``S:SIG``, OUT_OF_GAS, or empty when it gave none."""

    code: str
    message: str

    def __str__(self) -> str:
        return self.code or self.message


@dataclass(frozen=True, slots=True)
class MarketState:
    """next_sequence: number of the market's next fill."""

    status: int
    next_sequence: int

    @property
    def active(self) -> bool:
        return self.status == MarketStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block. base_fee in wei a unit of gas; nonce: CORE's transactions mined up to it."""

    block: int
    block_hash: bytes
    base_fee: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """fee_per_gas: wei that was paid for a unit of gas."""

    tx_hash: bytes
    succeeded: bool
    block: int
    block_hash: bytes
    gas_used: int
    fee_per_gas: int


class SendRefused(Problem):
    """The node did not take a transaction. underpriced: higher fees would help."""

    def __init__(self, message: str) -> None:
        lowered = message.lower()
        self.underpriced = "underpriced" in lowered or "base fee" in lowered or "fee too low" in lowered
        super().__init__("SEND_REFUSED", f"the node refuses the transaction: {message}")


def encode_void_sequence(market: str, count: int) -> bytes:
    """Calldata that uses up the market's next `count` sequence numbers."""
    return bytes.fromhex(_VOID_SEQUENCE[2:]) + market_hash(market) + count.to_bytes(32, "big")


def encode_beat() -> bytes:
    """Calldata of CORE's sign of life."""
    return bytes.fromhex(_BEAT[2:])


class SettlementChain:
    """One Settlement contract, seen as the account `core`. gas_cap: most that one transaction may use."""

    def __init__(self, rpc: Endpoints, deployment: Deployment, core: bytes, gas_cap: int = TRANSACTION_GAS_CAP) -> None:
        self._gas = hex(gas_cap)
        self._rpc = rpc
        self._deployment = deployment
        self._to = to_checksum(deployment.contracts["Settlement"])
        self.core = to_checksum(core)

    @property
    def node(self) -> str:
        """Name of the node that is asked now."""
        return self._rpc.name

    def choose_node(self) -> bool:
        """To be called before each look. True when another node is asked from now on. Raises Problem."""
        return self._rpc.choose()

    def require_ours(self) -> None:
        """Raises Problem when this node, this contract or this key is not what the settler was told."""
        chain_id = int(self._rpc.call("eth_chainId"), 16)
        if chain_id != self._deployment.chain_id:
            raise Problem(
                "WRONG_CHAIN",
                f"the node is on chain {chain_id}, the deployment file names chain {self._deployment.chain_id}",
                allowed="a node of that chain, with --rpc",
            )
        if self._rpc.call("eth_getCode", [self._to, "latest"]) in ("0x", None):
            raise Problem("NOT_DEPLOYED", f"there is no contract at {self._to} on this node", allowed="deploy first")
        separator = bytes.fromhex(self._view(_DOMAIN_SEPARATOR)[2:])
        if separator != self._deployment.domain.separator:
            raise Problem("WRONG_CONTRACT", f"the contract at {self._to} has another signing domain than this program")
        core = to_checksum(bytes.fromhex(self._view(_CORE)[-40:]))
        if core != self.core:
            raise Problem(
                "WRONG_KEY", f"the key file is of {self.core}, but the contract's CORE is {core}", allowed="CORE's key"
            )

    def head(self) -> Head:
        block, nonce = self._rpc.batch(
            [("eth_getBlockByNumber", ["latest", False]), ("eth_getTransactionCount", [self.core, "latest"])]
        )
        return Head(
            int(block["number"], 16),
            bytes.fromhex(block["hash"][2:]),
            int(block.get("baseFeePerGas", "0x0"), 16),
            int(nonce, 16),
        )

    def last_beat(self) -> tuple[int, int]:
        """(unix time of CORE's last sign of life, 0 before the first; the newest block's time)"""
        call = {"to": self._to, "data": _LAST_BEAT}
        last, block = self._rpc.batch([("eth_call", [call, "latest"]), ("eth_getBlockByNumber", ["latest", False])])
        return int(last, 16), int(block["timestamp"], 16)

    def balance(self) -> int:
        """CORE's wei."""
        return int(self._rpc.call("eth_getBalance", [self.core, "latest"]), 16)

    def markets(self, symbols: Sequence[str]) -> dict[str, MarketState]:
        """Each market's status and next sequence number, all at one block."""
        block = self._rpc.call("eth_blockNumber")
        words = self._rpc.batch(
            [
                ("eth_call", [{"to": self._to, "data": _MARKET_WORD + market_hash(symbol).hex()}, block])
                for symbol in symbols
            ]
        )
        return {symbol: _market_state(int(word, 16)) for symbol, word in zip(symbols, words, strict=True)}

    def simulate(self, data: bytes) -> Refusal | None:
        """What the contract would answer on top of the pending block. Raises Problem if the node cannot say."""
        try:
            self._rpc.call("eth_call", [self._transaction(data), "pending"])
        except RpcError as error:
            return _refusal(error)
        return None

    def estimate_gas(self, data: bytes) -> int | Refusal:
        """Gas units that the transaction needs, on top of the pending block."""
        try:
            return int(self._rpc.call("eth_estimateGas", [self._transaction(data), "pending"]), 16)
        except RpcError as error:
            return _refusal(error)

    def send(self, raw: bytes) -> None:
        """Hands the transaction to the node. What the node has seen already is no error. Raises SendRefused."""
        try:
            self._rpc.call("eth_sendRawTransaction", ["0x" + raw.hex()])
        except RpcError as error:
            message = error.message.lower()
            if "already" in message or "nonce too low" in message:
                return  # known, or resolved: the receipts tell which
            raise SendRefused(error.message) from None

    def receipts(self, hashes: Iterable[bytes]) -> dict[bytes, Receipt]:
        """Receipts of those that are in a block now."""
        answers = self._rpc.batch([("eth_getTransactionReceipt", ["0x" + one.hex()]) for one in hashes])
        found = (_receipt(answer) for answer in answers if answer and answer.get("blockHash"))
        return {receipt.tx_hash: receipt for receipt in found}

    def _view(self, data: str) -> str:
        return str(self._rpc.call("eth_call", [{"to": self._to, "data": data}, "latest"]))

    def _transaction(self, data: bytes) -> dict[str, str]:
        return {"from": self.core, "to": self._to, "data": "0x" + data.hex(), "gas": self._gas}


def _market_state(word: int) -> MarketState:
    return MarketState(word >> 248, word >> 80 & 2**40 - 1)


def _receipt(answer: dict[str, Any]) -> Receipt:
    return Receipt(
        bytes.fromhex(answer["transactionHash"][2:]),
        int(answer["status"], 16) == 1,
        int(answer["blockNumber"], 16),
        bytes.fromhex(answer["blockHash"][2:]),
        int(answer["gasUsed"], 16),
        int(answer.get("effectiveGasPrice", "0x0"), 16),
    )


def _refusal(error: RpcError) -> Refusal:
    """Raises Problem when it was the node that failed, not the contract that refused."""
    data = error.data if isinstance(error.data, str) else ""
    message = error.message.lower()
    if any(words in message for words in ("out of gas", "outofgas", "oog", "gas required exceeds")):
        return Refusal(OUT_OF_GAS, error.message)
    if error.code != _REVERT_CODE and not data.startswith("0x") and "revert" not in message:
        raise Problem("SIMULATION_FAILED", f"the node cannot simulate the batch: {error}") from None
    code = ""
    if data.startswith(_ERROR_SELECTOR):
        code = str(decode(["string"], bytes.fromhex(data[len(_ERROR_SELECTOR) :]))[0])
    return Refusal(code, error.message)
