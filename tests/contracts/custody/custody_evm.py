"""An EVM inside the test's process, behind the door that `scripts.chain.Contract` knocks at.

Promises: `send` either changes state and returns its logs, or raises Refused with the contract's error code.
Never:    checks signatures of transactions: a sender is an address, not a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyrevm
from eth_abi.abi import decode

CHAIN_ID = 31337
START = 1_800_000_000
ERROR_SELECTOR = "0x08c379a0"
INVALID_OPCODE = b"\xfe"


class Refused(Exception):
    """A call reverted. `code` is the contract's error string, empty when it gave none."""

    def __init__(self, code: str) -> None:
        super().__init__(code or "no reason given")
        self.code = code


class Evm:
    def __init__(self) -> None:
        self._evm = pyrevm.EVM(spec_id="PRAGUE", env=pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=CHAIN_ID)))
        self.chain_id = CHAIN_ID
        self.now = START
        self.watch: Callable[[list[Any]], object] = lambda _logs: None  # told the logs of every call that counts
        self.advance(0)

    def advance(self, seconds: int) -> None:
        self.now += seconds
        self._evm.set_block_env(pyrevm.BlockEnv(timestamp=self.now, number=1 + (self.now - START) // 12))

    def call(self, to: bytes, data: bytes) -> bytes:
        return self._run(bytes(20), to, data, is_static=True)

    def send(self, sender: bytes, to: bytes, data: bytes, value: int = 0) -> list[Any]:
        with self._as_wallet(sender):
            self._run(sender, to, data, is_static=False, value=value)
        logs = list(self._evm.result.logs)
        self.watch(logs)
        return logs

    def answer(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        """What a call that may change something returns; it has changed nothing afterwards."""
        with self.imagined(), self._as_wallet(sender):
            return self._run(sender, to, data, is_static=False)

    def create(self, sender: bytes, code: bytes) -> bytes:
        try:
            created: str = self._evm.deploy(_text(sender), code)
        except RuntimeError as error:
            raise Refused(_reason(str(error))) from None
        return bytes.fromhex(created[2:])

    def code(self, address: bytes) -> bytes:
        return bytes(self._evm.get_code(_text(address)) or b"").rstrip(b"\0")

    def code_hash(self, address: bytes) -> bytes:
        return bytes(self._evm.basic(_text(address)).code_hash)

    def last_logs(self) -> list[Any]:
        """Of the newest call or creation."""
        return list(self._evm.result.logs)

    def storage(self, address: bytes, slot: int) -> bytes:
        value: int = self._evm.storage(_text(address), slot)
        return value.to_bytes(32, "big")

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self._evm.insert_account_storage(_text(address), slot, value)

    def set_code(self, address: bytes, code: bytes) -> None:
        before = self._evm.basic(_text(address))
        self._evm.insert_account_info(_text(address), pyrevm.AccountInfo(nonce=before.nonce, code=code))

    @contextmanager
    def longer_code(self, address: bytes) -> Iterator[None]:
        """The contract has another byte behind its code meanwhile: the same to run, another to hash."""
        before = self._evm.basic(_text(address))
        self.set_code(address, self.code(address) + b"\x01")
        try:
            yield
        finally:
            self._evm.insert_account_info(_text(address), before)

    def balance(self, address: bytes) -> int:
        """In wei."""
        wei: int = self._evm.get_balance(_text(address))
        return wei

    def give_ether(self, address: bytes, wei: int) -> None:
        self._evm.set_balance(_text(address), self.balance(address) + wei)

    def nonce(self, address: bytes) -> int:
        nonce: int = self._evm.basic(_text(address)).nonce
        return nonce

    @contextmanager
    def imagined(self) -> Iterator[None]:
        """What happens inside has not happened afterwards, and nobody is told."""
        now, watch, checkpoint = self.now, self.watch, self._evm.snapshot()
        self.watch = lambda _logs: None
        try:
            yield
        finally:
            self._evm.revert(checkpoint)
            self.now, self.watch = now, watch
            self.advance(0)

    @contextmanager
    def broken(self, *addresses: bytes) -> Iterator[None]:
        """Every call of these contracts fails meanwhile."""
        before = {address: self._evm.basic(_text(address)) for address in addresses}
        for address, account in before.items():
            self._evm.insert_account_info(_text(address), pyrevm.AccountInfo(nonce=account.nonce, code=INVALID_OPCODE))
        try:
            yield
        finally:
            for address, account in before.items():
                self._evm.insert_account_info(_text(address), account)

    @contextmanager
    def _as_wallet(self, sender: bytes) -> Iterator[None]:
        """Contracts cannot send transactions (EIP-3607): one that plays the sender lays its code aside meanwhile."""
        if not self.code(sender):
            yield
            return
        address = _text(sender)
        before = self._evm.basic(address)
        self._evm.insert_account_info(address, pyrevm.AccountInfo(nonce=before.nonce))
        try:
            yield
        finally:
            self._evm.insert_account_info(address, before)

    def _run(self, sender: bytes, to: bytes, data: bytes, *, is_static: bool, value: int = 0) -> bytes:
        self._evm.reset_transient_storage()
        try:
            return bytes(self._evm.message_call(_text(sender), _text(to), data, value=value, is_static=is_static))
        except RuntimeError as error:
            raise Refused(_reason(str(error))) from None


def _reason(text: str) -> str:
    _, found, output = text.partition("output: ")
    if found and output.startswith(ERROR_SELECTOR):
        reason: str = decode(["string"], bytes.fromhex(output[10:].rstrip(" }")))[0]
        return reason
    return ""


def _text(address: bytes) -> str:
    return "0x" + address.hex()
