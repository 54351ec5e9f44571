"""What this process asks the Ethereum node: how far it is, what a view returns, what a contract wallet says.

Owns:     the threads in which others wait for it: a node that hangs holds up nobody who asks the database.
Promises: who asks how far it is while that is being asked waits for the same answer.
Never:    sends a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from api.vault_calls import call_data
from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from cxdex.rpc import JsonRpc, RpcError
from cxdex.signature import IS_VALID_SIGNATURE

T = TypeVar("T")

TIMEOUT_SECONDS = 3.0
THREADS = 6  # four for the questions of `signers`
# A wallet that needs more than the contracts give it is refused on chain; the rest is what any call costs beforehand.
WALLET_GAS = 120_000
CALL_GAS = 60_000


class Node:
    """Used from worker threads, but for what is awaited. Every method raises NODE_UNAVAILABLE when the node does not
    answer."""

    def __init__(self, url: str) -> None:
        self._rpc = JsonRpc(url, attempts=1, timeout=TIMEOUT_SECONDS)
        self._threads = ThreadPoolExecutor(THREADS, "node")
        self._head: asyncio.Task[int | None] | None = None

    async def apart(self, work: Callable[..., T], *arguments: Any) -> T:
        """`work`, which asks this node, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def head(self) -> int | None:
        """The newest block; None while the node does not answer."""
        if self._head is None:
            self._head = asyncio.create_task(self._ask_head())
        return await asyncio.shield(self._head)

    async def _ask_head(self) -> int | None:
        try:
            return await self.apart(self.block_number)
        except Problem:
            return None
        finally:
            self._head = None

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
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._rpc.close()

    def _ask(self, method: str, *parameters: Any) -> Any:
        try:
            return self._rpc.call(method, parameters)
        except (RpcError, Problem):  # the node's words may name hosts; a client needs to know only this
            raise _away() from None


def _away() -> Problem:
    return Problem("NODE_UNAVAILABLE", "the Ethereum node did not answer; try again")
