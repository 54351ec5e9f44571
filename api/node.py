"""What this process asks the Ethereum node: how far it is, what a view returns, what a contract wallet says.

Never: sends a transaction.
"""

from __future__ import annotations

from typing import Any

from api.vault_calls import call_data
from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from cxdex.rpc import JsonRpc, RpcError
from cxdex.signature import IS_VALID_SIGNATURE

TIMEOUT_SECONDS = 3.0
# A wallet that needs more than the contracts give it is refused on chain; the rest is what any call costs beforehand.
WALLET_GAS = 120_000
CALL_GAS = 60_000


class Node:
    """Used from worker threads. Every method raises NODE_UNAVAILABLE when the node does not answer."""

    def __init__(self, url: str) -> None:
        self._rpc = JsonRpc(url, attempts=1, timeout=TIMEOUT_SECONDS)

    def block_number(self) -> int:
        return int(self._ask("eth_blockNumber"), 16)

    def view(self, contract: bytes, signature: str, *values: Any) -> int:
        """The one word that a view function returns."""
        call = {"to": to_checksum(contract), "data": "0x" + call_data(signature, *values).hex()}
        answer = self._ask("eth_call", call, "latest")
        if not isinstance(answer, str) or len(answer) != 66:
            raise Problem("NODE_UNAVAILABLE", "the contract is not where the deployment file says, on this node")
        return int(answer, 16)

    def has_code(self, account: bytes) -> bool:
        """Whether the account is a contract now."""
        return str(self._ask("eth_getCode", to_checksum(account), "latest")) != "0x"

    def accepts_signature(self, wallet: bytes, caller: bytes, digest: bytes, signature: bytes) -> bool:
        """What a contract wallet says to a signature (ERC-1271) when `caller` asks. A wallet that fails says no."""
        data = call_data("isValidSignature(bytes32,bytes)", digest, signature)
        call = {
            "from": to_checksum(caller),
            "to": to_checksum(wallet),
            "data": "0x" + data.hex(),
            "gas": hex(WALLET_GAS + CALL_GAS),
        }
        try:
            answer = self._rpc.call("eth_call", (call, "latest"))
        except RpcError:
            return False
        except Problem:
            raise _away() from None
        return str(answer) == "0x" + IS_VALID_SIGNATURE.ljust(32, b"\0").hex()

    def close(self) -> None:
        self._rpc.close()

    def _ask(self, method: str, *parameters: Any) -> Any:
        try:
            return self._rpc.call(method, parameters)
        except (RpcError, Problem):  # the node's words may name hosts; a client needs to know only this
            raise _away() from None


def _away() -> Problem:
    return Problem("NODE_UNAVAILABLE", "the Ethereum node did not answer; try again")
