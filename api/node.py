"""The two questions this process asks the Ethereum node: how far is it, and what does a view return.

Never: sends a transaction.
"""

from __future__ import annotations

from typing import Any

from api.vault_calls import call_data
from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from cxdex.rpc import JsonRpc, RpcError

TIMEOUT_SECONDS = 3.0


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

    def close(self) -> None:
        self._rpc.close()

    def _ask(self, method: str, *parameters: Any) -> Any:
        try:
            return self._rpc.call(method, parameters)
        except (RpcError, Problem):  # the node's words may name hosts; a client needs to know only this
            raise Problem("NODE_UNAVAILABLE", "the Ethereum node did not answer; try again") from None
