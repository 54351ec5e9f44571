"""The Timelock: what is executed was announced a day before, word for word and code for code."""

from __future__ import annotations

from typing import Any

import pytest
from ape.exceptions import ContractLogicError
from eth_abi import encode

from cxdex.keccak import keccak

DELAY = 24 * 3600
WINDOW = 7 * 24 * 3600
SALT = bytes(31) + b"\x01"
MOTTO = b"thrift".ljust(32, b"\0")


def scheduled(receipt: Any, timelock: Any) -> bytes:
    (event,) = receipt.decode_logs(timelock.OperationScheduled)
    return bytes(event.id)


@pytest.fixture
def calls(upgrade: Any, second: Any) -> list[Any]:
    return upgrade(second, bytes(second.initializeMotto.encode_input(MOTTO)))


@pytest.fixture
def operation(timelock: Any, calls: Any, admin: Any) -> bytes:
    """An announced upgrade to the second implementation."""
    return scheduled(timelock.schedule(calls, SALT, sender=admin), timelock)


def test_anyone_executes_after_the_delay_once(
    timelock: Any, proxy: Any, bank: Any, calls: Any, operation: bytes, admin: Any, stranger: Any, wait: Any,
    second: Any, refuses: Any,
) -> None:  # fmt: skip
    save = [(bank.address, 0, bytes(bank.save.encode_input()))]
    timelock.schedule(save, SALT, sender=admin)
    wait(DELAY)
    timelock.execute(save, SALT, sender=stranger)
    with refuses("L:DONE"):
        timelock.execute(save, SALT, sender=stranger)

    receipt = timelock.execute(calls, SALT, sender=stranger)
    assert [bytes(event.id) for event in receipt.decode_logs(timelock.OperationExecuted)] == [operation]
    assert [event.implementation for event in receipt.decode_logs(proxy.Upgraded)] == [second.address]
    with refuses("L:UNKNOWN"):  # an upgrade changes the code that it is bound to
        timelock.execute(calls, SALT, sender=stranger)


def test_the_announcement_says_everything(
    timelock: Any, calls: Any, admin: Any, proxy: Any, first: Any, second: Any
) -> None:
    receipt = timelock.schedule(calls, SALT, sender=admin)
    (event,) = receipt.decode_logs(timelock.OperationScheduled)
    (call,) = receipt.decode_logs(timelock.CallScheduled)
    block = timelock.provider.get_block(receipt.block_number)
    assert event.executableAt == block.timestamp + DELAY
    assert event.expiresAt == event.executableAt + WINDOW
    assert (call.index, call.target, call.value, bytes(call.data)) == (0, proxy.address, 0, calls[0][2])
    code = [keccak(bytes(one.provider.get_code(one.address))) for one in (proxy, first, second)]
    assert [bytes(call[name]) for name in ("targetCodeHash", "currentCodeHash", "upgradeCodeHash")] == code

    # The id from the documented formula, written a second time.
    chain_id = timelock.provider.chain_id
    head = keccak(encode(["uint256", "address", "bytes32", "uint256"], [chain_id, timelock.address, SALT, 1]))
    wanted = keccak(
        encode(
            ["bytes32", "address", "uint256", "bytes32", "bytes32", "bytes32", "bytes32"],
            [head, proxy.address, 0, keccak(calls[0][2]), *code],
        )
    )
    assert bytes(event.id) == wanted == bytes(timelock.operationId(calls, SALT))


def test_an_operation_expires_and_must_be_announced_again(
    timelock: Any, calls: Any, operation: bytes, admin: Any, guardian: Any, stranger: Any, wait: Any, refuses: Any
) -> None:
    wait(DELAY + WINDOW + 1)
    with refuses("L:EXPIRED"):
        timelock.execute(calls, SALT, sender=stranger)
    with refuses("L:KNOWN"):
        timelock.schedule(calls, SALT, sender=admin)
    timelock.cancel(operation, sender=guardian)
    timelock.schedule(calls, SALT, sender=admin)
    with refuses("L:EARLY"):
        timelock.execute(calls, SALT, sender=stranger)


def test_a_cancelled_operation_is_unknown(
    timelock: Any, calls: Any, operation: bytes, guardian: Any, stranger: Any, wait: Any, refuses: Any
) -> None:
    receipt = timelock.cancel(operation, sender=guardian)
    assert [bytes(event.id) for event in receipt.decode_logs(timelock.OperationCancelled)] == [operation]
    wait(DELAY)
    with refuses("L:UNKNOWN"):
        timelock.execute(calls, SALT, sender=stranger)
    with refuses("L:UNKNOWN"):
        timelock.cancel(operation, sender=guardian)


def test_roles_do_one_thing_each(
    timelock: Any, calls: Any, operation: bytes, admin: Any, guardian: Any, stranger: Any, refuses: Any
) -> None:
    for caller in (guardian, stranger):
        with refuses("L:ADMIN"):
            timelock.schedule(calls, bytes(32), sender=caller)
    for caller in (admin, stranger):
        with refuses("L:GUARDIAN"):
            timelock.cancel(operation, sender=caller)


@pytest.mark.parametrize(
    ("admin_index", "guardian_index", "delay", "code"),
    [
        (1, 1, DELAY, "L:SAME"),
        (None, 2, DELAY, "L:ZERO"),
        (1, None, DELAY, "L:ZERO"),
        (1, 2, DELAY - 1, "L:DELAY"),
        (1, 2, 0, "L:DELAY"),
        (1, 2, 30 * DELAY + 1, "L:DELAY"),
    ],
)
def test_what_a_timelock_is_not_made_with(
    project: Any, accounts: Any, refuses: Any, admin_index: Any, guardian_index: Any, delay: int, code: str
) -> None:
    holders = ["0x" + "00" * 20 if index is None else accounts[index] for index in (admin_index, guardian_index)]
    with refuses(code):
        project.Timelock.deploy(*holders, delay, sender=accounts[0])


def test_calls_that_cannot_be_announced(timelock: Any, admin: Any, stranger: Any, proxy: Any, refuses: Any) -> None:
    with refuses("L:EMPTY"):
        timelock.schedule([], SALT, sender=admin)
    with refuses("L:TARGET"):  # a call of nothing succeeds and does nothing
        timelock.schedule([(stranger.address, 0, b"")], SALT, sender=admin)
    with refuses("L:TARGET"):
        timelock.schedule([(timelock.address, 0, b"")], SALT, sender=admin)
    with pytest.raises(ContractLogicError):
        timelock.schedule([(proxy.address, 0, b"")] * 9, SALT, sender=admin)


def test_calls_are_made_all_or_none_with_exactly_their_value(
    timelock: Any, bank: Any, admin: Any, stranger: Any, wait: Any, refuses: Any
) -> None:
    save = bytes(bank.save.encode_input())
    both = [(bank.address, 3, save), (bank.address, 4, save)]
    spoiled = [(bank.address, 3, save), (bank.address, 0, bytes(bank.claimExit.encode_input()))]
    for calls in (both, spoiled):
        timelock.schedule(calls, SALT, sender=admin)
    wait(DELAY)
    with refuses("B:DELAY"):
        timelock.execute(spoiled, SALT, value=3, sender=stranger)
    assert bank.savingsOf(timelock) == 0
    with refuses("L:VALUE"):
        timelock.execute(both, SALT, value=8, sender=stranger)
    timelock.execute(both, SALT, value=7, sender=stranger)
    assert (bank.savingsOf(timelock), timelock.balance) == (7, 0)


def test_an_upgrade_voids_what_was_announced_for_the_old_code(
    timelock: Any, bank: Any, calls: Any, operation: bytes, admin: Any, stranger: Any, wait: Any, refuses: Any
) -> None:
    """A call through a Proxy is executed on the code for which it was announced, or not at all."""
    save = [(bank.address, 0, bytes(bank.save.encode_input()))]
    timelock.schedule(save, SALT, sender=admin)
    wait(DELAY)
    timelock.execute(calls, SALT, sender=stranger)
    with refuses("L:UNKNOWN"):
        timelock.execute(save, SALT, sender=stranger)
    timelock.schedule(save, SALT, sender=admin)
    wait(DELAY)
    timelock.execute(save, SALT, sender=stranger)


def test_a_target_that_is_no_proxy_is_bound_by_its_own_code_alone(timelock: Any, first: Any, admin: Any) -> None:
    receipt = timelock.schedule([(first.address, 0, b"")], SALT, sender=admin)
    (call,) = receipt.decode_logs(timelock.CallScheduled)
    assert (bytes(call.currentCodeHash), bytes(call.upgradeCodeHash)) == (bytes(32), bytes(32))


def test_attack_62_early_changed_shortened_or_by_the_guardian(
    timelock: Any,
    proxy: Any,
    calls: Any,
    operation: bytes,
    upgrade: Any,
    first: Any,
    second: Any,
    guardian: Any,
    stranger: Any,
    wait: Any,
    chain: Any,
    refuses: Any,
) -> None:
    """Early execution, changed calldata, changed code, a self-shortened delay, the guardian executing: all revert."""
    eta = timelock.executableAt(operation)
    with refuses("L:EARLY"):
        timelock.execute(calls, SALT, sender=stranger)
    chain.provider.make_request("evm_setNextBlockTimestamp", [eta - 1])
    with refuses("L:EARLY"):
        timelock.execute(calls, SALT, sender=stranger, gas_limit=1_000_000)

    wait(DELAY)
    with refuses("L:GUARDIAN"):
        timelock.execute(calls, SALT, sender=guardian)
    other_motto = upgrade(second, bytes(second.initializeMotto.encode_input(b"greed".ljust(32, b"\0"))))
    changed = [
        (other_motto, SALT),
        (upgrade(first), SALT),
        ([(*calls[0][:1], 1, calls[0][2])], SALT),
        ([(second.address, *calls[0][1:])], SALT),
        (calls * 2, SALT),
        (calls, bytes(32)),
    ]
    for what, salt in changed:
        with refuses("L:UNKNOWN"):
            timelock.execute(what, salt, sender=stranger)

    # The code at any of the three addresses is swapped between announcement and execution.
    for account in (second, first, proxy):
        code = bytes(account.provider.get_code(account.address))
        chain.provider.make_request("anvil_setCode", [account.address, "0x" + (code + b"\0").hex()])
        with refuses("L:UNKNOWN"):
            timelock.execute(calls, SALT, sender=stranger)
        chain.provider.make_request("anvil_setCode", [account.address, "0x" + code.hex()])

    # Nothing on the Timelock sets anything: only these three write, and it refuses itself as a target.
    writes = {entry.name for entry in timelock.contract_type.mutable_methods}
    assert writes == {"schedule", "cancel", "execute"}
    timelock.execute(calls, SALT, sender=stranger)
