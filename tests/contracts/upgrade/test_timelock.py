"""The Timelock: what is executed was announced a day before, word for word and code for code."""

from __future__ import annotations

import pytest
from bank_world import ADMIN, CREATOR, DELAY, GUARDIAN, MOTTO, OTHER, SALT, STRANGER, BankWorld, Call, named, text
from eth_abi.abi import encode

from cxdex.keccak import keccak

WINDOW = 7 * 24 * 3600
MAX_DELAY = 30 * DELAY


@pytest.fixture
def calls(world: BankWorld) -> list[Call]:
    """An upgrade to the second implementation."""
    return world.upgrade(world.second, world.motto())


@pytest.fixture
def operation(world: BankWorld, calls: list[Call]) -> bytes:
    """Its number, announced."""
    (scheduled,) = named(world.schedule(calls), "OperationScheduled")
    return scheduled["id"]


def save(world: BankWorld, value: int = 0) -> Call:
    return world.call(world.bank, "save", value=value)


def test_anyone_executes_after_the_delay_once(world: BankWorld, calls: list[Call], operation: bytes, refuses) -> None:
    world.schedule([save(world)])
    world.evm.advance(DELAY)
    world.execute([save(world)])
    with refuses("L:DONE"):
        world.execute([save(world)])

    events = world.execute(calls)
    assert events == [
        ("OperationExecuted", {"id": operation}),
        ("Upgraded", {"implementation": text(world.second.address)}),
    ]
    assert world.timelock.call("executableAt", operation) == 1  # in place of a time
    with refuses("L:UNKNOWN"):  # an upgrade changes the code that it is bound to
        world.execute(calls)


def test_the_announcement_says_everything(world: BankWorld, calls: list[Call]) -> None:
    ((_, scheduled), (_, call)) = world.schedule(calls)
    number = scheduled["id"]
    assert scheduled == {
        "id": number,
        "salt": SALT,
        "executableAt": world.evm.now + DELAY,
        "expiresAt": world.evm.now + DELAY + WINDOW,
    }
    target, current, new = (world.evm.code_hash(one.address) for one in (world.proxy, world.first, world.second))
    assert call == {
        "id": number, "index": 0, "target": text(world.proxy.address), "value": 0, "data": calls[0][2],
        "targetCodeHash": target, "currentCodeHash": current, "upgradeCodeHash": new,
    }  # fmt: skip
    assert world.timelock.call("executableAt", number) == world.evm.now + DELAY

    # The number from the documented formula, written a second time.
    address = text(world.timelock.address)
    head = keccak(encode(["uint256", "address", "bytes32", "uint256"], [world.evm.chain_id, address, SALT, 1]))
    types = ["bytes32", "address", "uint256", "bytes32", "bytes32", "bytes32", "bytes32"]
    values = [head, text(world.proxy.address), 0, keccak(calls[0][2]), target, current, new]
    assert number == keccak(encode(types, values)) == world.timelock.call("operationId", calls, SALT)


def test_each_call_of_an_operation_is_announced_in_its_order(world: BankWorld) -> None:
    both = [save(world, 3), save(world, 4)]
    announced = named(world.schedule(both), "CallScheduled")
    assert [(call["index"], call["value"]) for call in announced] == [(0, 3), (1, 4)]


def test_an_operation_expires_and_must_be_announced_again(
    world: BankWorld, calls: list[Call], operation: bytes, refuses
) -> None:
    world.evm.advance(DELAY + WINDOW)
    with world.evm.imagined():
        world.execute(calls)
    world.evm.advance(1)
    with refuses("L:EXPIRED"):
        world.execute(calls)
    with refuses("L:KNOWN"):
        world.schedule(calls)
    world.send(GUARDIAN, world.timelock, "cancel", operation)
    world.schedule(calls)
    with refuses("L:EARLY"):
        world.execute(calls)


def test_a_cancelled_operation_is_unknown(world: BankWorld, calls: list[Call], operation: bytes, refuses) -> None:
    assert world.send(GUARDIAN, world.timelock, "cancel", operation) == [("OperationCancelled", {"id": operation})]
    world.evm.advance(DELAY)
    with refuses("L:UNKNOWN"):
        world.execute(calls)
    with refuses("L:UNKNOWN"):
        world.send(GUARDIAN, world.timelock, "cancel", operation)


def test_what_was_executed_cannot_be_cancelled(world: BankWorld, calls: list[Call], operation: bytes, refuses) -> None:
    world.evm.advance(DELAY)
    world.execute(calls)
    with refuses("L:DONE"):
        world.send(GUARDIAN, world.timelock, "cancel", operation)


def test_roles_do_one_thing_each(world: BankWorld, calls: list[Call], operation: bytes, refuses) -> None:
    for caller in (GUARDIAN, STRANGER, CREATOR):
        with refuses("L:ADMIN"):
            world.schedule(calls, bytes(32), sender=caller)
    for caller in (ADMIN, STRANGER, CREATOR):
        with refuses("L:GUARDIAN"):
            world.send(caller, world.timelock, "cancel", operation)


@pytest.mark.parametrize(
    ("admin", "guardian", "delay", "code"),
    [
        (ADMIN, ADMIN, DELAY, "L:SAME"),
        (bytes(20), GUARDIAN, DELAY, "L:ZERO"),
        (ADMIN, bytes(20), DELAY, "L:ZERO"),
        (ADMIN, GUARDIAN, DELAY - 1, "L:DELAY"),
        (ADMIN, GUARDIAN, 0, "L:DELAY"),
        (ADMIN, GUARDIAN, MAX_DELAY + 1, "L:DELAY"),
    ],
)
def test_what_a_timelock_is_not_made_with(
    world: BankWorld, refuses, admin: bytes, guardian: bytes, delay: int, code: str
) -> None:
    with refuses(code):
        world.create("Timelock", admin, guardian, delay)


@pytest.mark.parametrize("delay", [DELAY, MAX_DELAY])
def test_what_a_timelock_is_made_with_can_be_read(world: BankWorld, delay: int) -> None:
    timelock = world.create("Timelock", ADMIN, GUARDIAN, delay)
    read = [timelock.call(name) for name in ("ADMIN", "GUARDIAN", "DELAY", "MIN_DELAY", "MAX_DELAY")]
    assert read == [ADMIN, GUARDIAN, delay, DELAY, MAX_DELAY]
    assert timelock.call("EXECUTION_WINDOW") == WINDOW


def test_calls_that_cannot_be_announced(world: BankWorld, refuses) -> None:
    with refuses("L:EMPTY"):
        world.schedule([])
    for target in (STRANGER, world.timelock.address):  # a call of nothing succeeds and does nothing
        with refuses("L:TARGET"):
            world.schedule([(text(target), 0, b"")])
    with refuses(""):
        world.schedule([save(world)] * 9)
    world.schedule([save(world)] * 8)


def test_calls_are_made_all_or_none_with_exactly_their_value(world: BankWorld, refuses) -> None:
    both = [save(world, 3), save(world, 4)]
    spoiled = [save(world, 3), world.call(world.bank, "claimExit")]
    for calls in (both, spoiled):
        world.schedule(calls)
    world.evm.advance(DELAY)
    saved = ("savingsOf", world.timelock.address)
    with refuses("B:DELAY"):
        world.execute(spoiled, value=3)
    assert world.bank.call(*saved) == 0
    with refuses("L:VALUE"):
        world.execute(both, value=8)
    world.execute(both, value=7)
    assert (world.bank.call(*saved), world.evm.balance(world.timelock.address)) == (7, 0)


def test_an_upgrade_voids_what_was_announced_for_the_old_code(
    world: BankWorld, calls: list[Call], operation: bytes, refuses
) -> None:
    """A call through a Proxy is executed on the code for which it was announced, or not at all."""
    world.schedule([save(world)])
    world.evm.advance(DELAY)
    world.execute(calls)
    with refuses("L:UNKNOWN"):
        world.execute([save(world)])
    world.schedule([save(world)])
    world.evm.advance(DELAY)
    world.execute([save(world)])


def test_a_target_that_is_no_proxy_is_bound_by_its_own_code_alone(world: BankWorld) -> None:
    calls = [(text(world.first.address), 0, data) for data in (b"", b"\x4f\x1e\xf2\x86", bytes(36))]
    for call in named(world.schedule(calls), "CallScheduled"):
        assert (call["currentCodeHash"], call["upgradeCodeHash"]) == (bytes(32), bytes(32))
        assert call["targetCodeHash"] == world.evm.code_hash(world.first.address)


def test_attack_62_early_changed_shortened_or_by_the_guardian(
    world: BankWorld, calls: list[Call], operation: bytes, refuses
) -> None:
    """Early execution, changed calldata, changed code, a self-shortened delay, the guardian executing: all revert."""
    with refuses("L:EARLY"):
        world.execute(calls)
    world.evm.advance(DELAY - 1)
    with refuses("L:EARLY"):
        world.execute(calls)

    world.evm.advance(1)
    with refuses("L:GUARDIAN"):
        world.execute(calls, sender=GUARDIAN)
    (target, _, data) = calls[0]
    changed = [
        (world.upgrade(world.second, world.motto(MOTTO[::-1])), SALT),
        (world.upgrade(world.first), SALT),
        ([(target, 1, data)], SALT),
        ([(text(world.second.address), 0, data)], SALT),
        (calls * 2, SALT),
        (calls, bytes(32)),
    ]
    for what, salt in changed:
        with refuses("L:UNKNOWN"):
            world.execute(what, salt, sender=OTHER)

    # The code at any of the three addresses is swapped between announcement and execution.
    for contract in (world.second, world.first, world.proxy):
        with world.evm.longer_code(contract.address), refuses("L:UNKNOWN"):
            world.execute(calls)

    # Nothing on the Timelock sets anything: only these three write, and it refuses itself as a target.
    functions = [entry for entry in world.timelock.abi if entry["type"] == "function"]
    writes = {entry["name"] for entry in functions if entry["stateMutability"] not in ("view", "pure")}
    assert writes == {"schedule", "cancel", "execute"}
    world.execute(calls)


RETURN, REVERT = b"\xf3", b"\xfd"
SPEAKER = bytes.fromhex("5b" * 20)


def speaker(world: BankWorld, size: int, end: bytes) -> bytes:
    """A target that answers any call with the first bytes of the first implementation's address as a word."""
    store = b"\x73" + world.first.address + bytes.fromhex("5f52")  # PUSH20, PUSH0, MSTORE
    world.evm.set_code(SPEAKER, store + b"\x60" + bytes([size]) + b"\x5f" + end)
    return SPEAKER


def test_only_a_whole_word_that_is_an_answer_names_the_code_behind_a_target(world: BankWorld) -> None:
    for size, end, is_answer in ((32, RETURN, True), (31, RETURN, False), (32, REVERT, False)):
        target = speaker(world, size, end)
        (call,) = named(world.schedule([(text(target), 0, b"")], size.to_bytes(32, "big")), "CallScheduled")
        assert call["currentCodeHash"] == (world.evm.code_hash(world.first.address) if is_answer else bytes(32))
        world.evm.advance(1)


def test_an_upgrade_is_seen_in_the_shortest_data_that_names_one(world: BankWorld) -> None:
    data = keccak(b"upgradeToAndCall(address,bytes)")[:4] + bytes(12) + world.second.address
    for cut, code_hash in ((len(data), world.evm.code_hash(world.second.address)), (len(data) - 1, bytes(32))):
        announced = world.schedule([(text(world.proxy.address), 0, data[:cut])])
        (call,) = named(announced, "CallScheduled")
        assert call["upgradeCodeHash"] == code_hash


def test_the_longest_call_that_fits(world: BankWorld, refuses) -> None:
    world.schedule([(text(world.bank.address), 0, bytes(1280))])
    with refuses(""):
        world.schedule([(text(world.bank.address), 0, bytes(1281))])
