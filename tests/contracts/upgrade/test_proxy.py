"""The Proxy: exact slots, storage kept, output whole or refused, and nothing to take over."""

from __future__ import annotations

import pytest
from bank_world import ADMIN, CREATOR, GUARDIAN, MOTTO, STRANGER, BankWorld, named, text

from cxdex.keccak import keccak
from scripts.artifacts import load_artifacts
from scripts.wiring import ADMIN_SLOT, IMPLEMENTATION_SLOT, PROXIED

MAX_OUTPUT = 1024
SLOTS = {
    "implementation": 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC,
    "admin": 0xB53127684A568B3173AE13B9F8A6016E243E63B6E8EE1178D6A717850B5D6103,
}  # as EIP-1967 prints them


def slot(world: BankWorld, number: int) -> bytes:
    return world.evm.storage(world.proxy.address, number)[12:]


def upgrade(world: BankWorld, sender: bytes, target: bytes, data: bytes = b"") -> list:
    return world.send(sender, world.proxy, "upgradeToAndCall", target, data)


def as_timelock(world: BankWorld, target: bytes, data: bytes = b"") -> list:
    """The Timelock's address as a sender: these tests are about the Proxy, not about waiting."""
    return upgrade(world, world.timelock.address, target, data)


def selectors(name: str) -> set[bytes]:
    functions = [entry for entry in load_artifacts()[name].abi if entry["type"] == "function"]
    return {
        keccak(f"{one['name']}({','.join(item['type'] for item in one['inputs'])})".encode())[:4] for one in functions
    }


def functions(name: str, *mutability: str) -> set[str]:
    entries = [entry for entry in load_artifacts()[name].abi if entry["type"] == "function"]
    return {entry["name"] for entry in entries if entry["stateMutability"] in mutability}


def words(outputs: list[dict]) -> int:
    """Size of an answer, in words. Only of types with a fixed size: another one has no largest answer."""
    total = 0
    for output in outputs:
        if output["type"] == "tuple":
            total += words(output["components"])
        else:
            assert output["type"] in ("uint256", "address", "bool", "bytes32", "uint8"), output
            total += 1
    return total


def test_the_two_addresses_are_exactly_on_the_erc1967_slots(world: BankWorld) -> None:
    assert {"implementation": IMPLEMENTATION_SLOT, "admin": ADMIN_SLOT} == SLOTS
    assert slot(world, SLOTS["implementation"]) == world.first.address
    assert slot(world, SLOTS["admin"]) == world.timelock.address


def test_creation_announces_admin_and_implementation(world: BankWorld) -> None:
    assert world.created_with == [
        ("AdminChanged", {"previousAdmin": text(bytes(20)), "newAdmin": text(world.timelock.address)}),
        ("Upgraded", {"implementation": text(world.first.address)}),
    ]


def test_storage_is_kept_across_an_upgrade(world: BankWorld) -> None:
    world.send(STRANGER, world.bank, "save", value=5)
    world.send(STRANGER, world.bank, "requestExit")
    exit_at = world.bank.call("exitAt", STRANGER)
    events = as_timelock(world, world.second.address, world.motto())
    assert events == [("Upgraded", {"implementation": text(world.second.address)})]

    upgraded = world.upgraded
    assert slot(world, IMPLEMENTATION_SLOT) == world.second.address
    assert (upgraded.call("owner"), upgraded.call("savingsOf", STRANGER)) == (ADMIN, 5)
    assert (upgraded.call("exitAt", STRANGER), upgraded.call("motto")) == (exit_at, MOTTO)
    assert world.evm.balance(world.proxy.address) == 5


def test_the_implementation_sees_the_real_caller_and_the_proxys_address(world: BankWorld) -> None:
    answer = world.evm.answer(STRANGER, world.proxy.address, world.bank.encode("whoCalls"))
    assert (answer[12:32], answer[44:]) == (STRANGER, world.proxy.address)


def test_errors_of_the_implementation_come_through(world: BankWorld, refuses) -> None:
    with refuses("B:DELAY"):
        world.send(STRANGER, world.bank, "claimExit")


def test_output_larger_than_the_buffer_is_refused_not_cut(world: BankWorld, refuses) -> None:
    largest = (MAX_OUTPUT - 64) // 32
    assert world.bank.call("countTo", largest) == tuple(range(1, largest + 1))
    for count in (largest + 1, largest + 2, 64):
        assert len(world.first.call("countTo", count)) == count
        with refuses("U:OUTPUT"):
            world.bank.call("countTo", count)


def test_the_largest_output_is_1024_bytes(world: BankWorld, refuses) -> None:
    calldatasize, push_zero, give_back = "36", "5f", "f3"
    world.evm.set_code(world.first.address, bytes.fromhex(calldatasize + push_zero + give_back))
    for size in (0, 1, 31, 33, MAX_OUTPUT - 1, MAX_OUTPUT):
        assert world.evm.call(world.proxy.address, bytes(size)) == bytes(size)
    with refuses("U:OUTPUT"):
        world.evm.call(world.proxy.address, bytes(MAX_OUTPUT + 1))


def test_only_the_admin_upgrades(world: BankWorld, refuses) -> None:
    for caller in (ADMIN, GUARDIAN, STRANGER, CREATOR, world.first.address):
        with refuses("U:ADMIN"):
            upgrade(world, caller, world.second.address)


def test_the_admin_is_a_contract_for_ever(world: BankWorld, refuses) -> None:
    with refuses("U:CODE"):
        world.create("Proxy", world.first.address, ADMIN, world.first.encode("initialize", ADMIN))
    with refuses("U:CODE"):
        world.create("Proxy", world.first.address, delegated(world), b"")
    smallest = b"\x78" * 20
    world.evm.set_code(smallest, bytes(24))  # a byte more than a delegation
    world.create("Proxy", world.first.address, smallest, b"")
    assert functions("Proxy", "nonpayable", "payable") == {"upgradeToAndCall"}  # nothing hands it over


def test_it_says_what_it_runs(world: BankWorld) -> None:
    assert world.proxy.call("implementation") == world.first.address
    as_timelock(world, world.second.address, world.motto())
    assert world.proxy.call("implementation") == world.second.address


@pytest.mark.parametrize("name", PROXIED)
def test_the_proxy_hides_no_function_of_the_contracts_behind_it(name: str) -> None:
    assert selectors("Proxy") & selectors(name) == set()
    assert len(selectors("Proxy")) == 2


@pytest.mark.parametrize("name", PROXIED)
def test_every_answer_of_the_contracts_behind_it_fits(name: str) -> None:
    entries = [entry for entry in load_artifacts()[name].abi if entry["type"] == "function"]
    assert 0 < max(32 * words(entry["outputs"]) for entry in entries) <= MAX_OUTPUT


def delegated(world: BankWorld) -> bytes:
    """An account with EIP-7702 code: it runs `first` for as long as its key wants."""
    account = b"\x77" * 20
    world.evm.set_code(account, bytes.fromhex("ef0100") + world.first.address)
    return account


def test_an_implementation_without_code_is_refused(world: BankWorld, refuses) -> None:
    for target in (STRANGER, delegated(world)):
        with refuses("U:CODE"):
            as_timelock(world, target)


def test_a_version_without_initialiser_is_installed_with_empty_data(world: BankWorld) -> None:
    created = world.create("Proxy", world.first.address, world.timelock.address, b"")
    assert world.at("SavingsOne", created.address).call("initializedVersion") == 0
    assert created.call("implementation") == world.first.address


def test_a_call_of_an_initialiser_has_at_most_1024_bytes(world: BankWorld, refuses) -> None:
    with refuses(""):
        as_timelock(world, world.second.address, world.motto().ljust(1025, b"\0"))
    as_timelock(world, world.second.address, world.motto().ljust(1024, b"\0"))
    assert world.upgraded.call("motto") == MOTTO


def test_a_failed_initialiser_undoes_the_upgrade(world: BankWorld, refuses) -> None:
    with refuses("I:DONE"):  # version 1 again, through new code
        as_timelock(world, world.first.address, world.first.encode("initialize", ADMIN))
    with refuses(""):  # no such function
        as_timelock(world, world.second.address, b"\x01\x02\x03\x04")
    assert slot(world, IMPLEMENTATION_SLOT) == world.first.address


def test_attack_63_bare_implementation_reinitialisation_and_foreign_targets(world: BankWorld, refuses) -> None:
    """Bare implementation initialised, proxy initialised again, target not made for a proxy: all revert."""
    with refuses("I:DONE"):
        world.send(STRANGER, world.first, "initialize", STRANGER)
    with refuses("I:DONE"):
        world.send(STRANGER, world.second, "initializeMotto", MOTTO)
    with refuses("I:DONE"):
        world.send(STRANGER, world.bank, "initialize", STRANGER)
    assert world.bank.call("owner") == ADMIN

    # No proxiableUUID; one that says something else; and a proxy's implementation refuses to answer through it.
    liar = world.create("SavingsOne").address
    push_word, store, answer_it, revert_with_it = "7f" + "11" * 32, "5f52", "60205ff3", "60205ffd"
    world.evm.set_code(liar, bytes.fromhex(push_word + store + answer_it))
    refuser = world.create("SavingsOne").address
    world.evm.set_code(refuser, bytes.fromhex(f"7f{IMPLEMENTATION_SLOT:064x}" + store + revert_with_it))
    other_proxy = world.create("Proxy", world.first.address, world.timelock.address, b"").address
    for foreign in (world.create("MockUSDC").address, liar, refuser, world.proxy.address, other_proxy):
        with refuses("U:UUID"):
            as_timelock(world, foreign)
    as_timelock(world, world.second.address, world.motto())
    with refuses("I:DONE"):
        world.send(STRANGER, world.upgraded, "initializeMotto", MOTTO)
    assert named(as_timelock(world, world.second.address), "Upgraded")
