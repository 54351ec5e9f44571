"""py-evm behind the door of pyrevm, noting which instructions run.

Owns:     as much of `pyrevm.EVM` as the contract tests use, and the set of positions visited, by code.
Promises: the same answers, errors and logs as pyrevm for the tests' purposes. A hundred times as slow: only coverage
          is worth that.
Never:    measures gas: slots stay warm from call to call, as in pyrevm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.exceptions import Revert
from eth.vm.code_stream import CodeStream
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth_utils import keccak
from pyrevm import BlockEnv, Env

GAS = 500_000_000  # of a call that names none
TRANSACTION_GAS = 21_000  # what pyrevm takes off a call's gas before it begins
DELEGATION = bytes.fromhex("ef0100")  # EIP-7702

visited: defaultdict[bytes, set[int]] = defaultdict(set)  # positions, by code


class TracedStream(CodeStream):
    """Notes each position that it hands out."""

    __slots__ = ()

    def __iter__(self) -> Iterator[int]:
        seen = visited[self._raw_code_bytes]
        for opcode in super().__iter__():
            seen.add(self.program_counter - 1)
            yield opcode


class TracedComputation(PragueComputation):
    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self.code = TracedStream(bytes(message.code))


class TracedState(PragueState):
    computation_class = TracedComputation


class TracedEvm:
    """Addresses are hexadecimal text, as for pyrevm."""

    def __init__(self, env: Env | None = None, spec_id: str = "PRAGUE") -> None:
        assert spec_id == "PRAGUE"  # the only rules that the state below knows
        self._chain_id = env.cfg.chain_id if env is not None else 1
        self.env = SimpleNamespace(block=env.block if env is not None else BlockEnv(number=0, timestamp=1))
        self._state = TracedState(AtomicDB(), self._context(), BLANK_ROOT_HASH)
        self.result = SimpleNamespace(logs=[])

    # ------------------------------------------------------------------ calls

    def message_call(
        self,
        caller: str,
        to: str,
        calldata: bytes = b"",
        value: int = 0,
        gas: int | None = None,
        is_static: bool = False,
    ) -> bytes:
        target = _raw(to)
        code = self._state.get_code(target)
        if code.startswith(DELEGATION):
            code = self._state.get_code(code[len(DELEGATION) :])
        allowed = GAS if gas is None else max(gas - TRANSACTION_GAS, 0)
        message = Message(allowed, target, _raw(caller), value, bytes(calldata), code, is_static=is_static)
        return self._finished(TracedComputation.apply_message(self._state, message, self._transaction(caller)))

    def deploy(self, deployer: str, code: bytes, value: int = 0) -> str:
        sender = _raw(deployer)
        nonce = self._state.get_nonce(sender)
        self._state.increment_nonce(sender)
        encoded = b"\x94" + sender + (_number(nonce))
        address = keccak(bytes([0xC0 + len(encoded)]) + encoded)[12:]
        message = Message(GAS, CREATE_CONTRACT_ADDRESS, sender, value, b"", bytes(code), create_address=address)
        self._finished(TracedComputation.apply_create_message(self._state, message, self._transaction(deployer)))
        return "0x" + address.hex()

    def reset_transient_storage(self) -> None:
        self._state.clear_transient_storage()

    # ------------------------------------------------------------------ what there is

    def basic(self, address: str) -> Any:
        raw = _raw(address)
        code = self._state.get_code(raw)
        return SimpleNamespace(
            balance=self._state.get_balance(raw), nonce=self._state.get_nonce(raw), code=code, code_hash=keccak(code)
        )

    def get_code(self, address: str) -> bytes:
        return bytes(self._state.get_code(_raw(address)))

    def get_balance(self, address: str) -> int:
        return int(self._state.get_balance(_raw(address)))

    def set_balance(self, address: str, wei: int) -> None:
        self._state.set_balance(_raw(address), wei)

    def storage(self, address: str, slot: int) -> int:
        return int(self._state.get_storage(_raw(address), slot))

    def insert_account_storage(self, address: str, slot: int, value: int) -> None:
        self._state.set_storage(_raw(address), slot, value)

    def insert_account_info(self, address: str, account: Any) -> None:
        raw = _raw(address)
        self._state.set_balance(raw, account.balance)
        self._state.set_nonce(raw, account.nonce)
        if account.code:
            self._state.set_code(raw, bytes(account.code))
        else:
            self._state.delete_code(raw)

    # ------------------------------------------------------------------ time

    def set_block_env(self, block: BlockEnv) -> None:
        self.env.block = block
        self._state.execution_context = self._context()

    def snapshot(self) -> Any:
        return self._state.snapshot()

    def revert(self, snapshot: Any) -> None:
        self._state.revert(snapshot)

    # ------------------------------------------------------------------ internal

    def _context(self) -> ExecutionContext:
        block = self.env.block
        return ExecutionContext(
            coinbase=bytes(20),
            timestamp=block.timestamp,
            block_number=block.number or 0,
            difficulty=0,
            mix_hash=bytes(32),
            gas_limit=GAS,
            prev_hashes=[],
            chain_id=self._chain_id,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )

    def _transaction(self, sender: str) -> CancunTransactionContext:
        return CancunTransactionContext(gas_price=0, origin=_raw(sender))

    def _finished(self, computation: Any) -> bytes:
        """The output; errors in pyrevm's words, which the tests read the contract's code from."""
        if computation.is_error:
            self.result = SimpleNamespace(logs=[])
            if isinstance(computation.error, Revert):
                raise RuntimeError(f"Revert {{ gas_used: 0, output: 0x{computation.output.hex()} }}")
            raise RuntimeError(f"Halt {{ reason: {type(computation.error).__name__}, gas_used: 0 }}")
        logs = [
            SimpleNamespace(
                address="0x" + address.hex(),
                topics=[topic.to_bytes(32, "big") for topic in topics],
                data=([topic.to_bytes(32, "big") for topic in topics], bytes(data)),
            )
            for address, topics, data in computation.get_log_entries()
        ]
        self.result = SimpleNamespace(logs=logs)
        return bytes(computation.output)


def _number(value: int) -> bytes:
    """A number as RLP has it."""
    if value == 0:
        return b"\x80"
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return raw if value < 0x80 else bytes([0x80 + len(raw)]) + raw


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])
