"""The Proxy: exact slots, storage kept, output whole or refused, and nothing to take over."""

from __future__ import annotations

from typing import Any

import pytest
from ape.exceptions import ContractLogicError

from cxdex.keccak import keccak
from scripts.artifacts import load_artifacts
from scripts.wiring import PROXIED

IMPLEMENTATION_SLOT = int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1
ADMIN_SLOT = int.from_bytes(keccak(b"eip1967.proxy.admin"), "big") - 1
MAX_OUTPUT = 1024
MOTTO = b"thrift".ljust(32, b"\0")


def slot(proxy: Any, number: int) -> str:
    return "0x" + bytes(proxy.provider.get_storage(proxy.address, number))[12:].hex()


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


@pytest.fixture
def played_timelock(timelock: Any, accounts: Any) -> Any:
    """The Timelock's address as a sender: these tests are about the Proxy, not about waiting."""
    timelock.provider.set_balance(timelock.address, 10**18)
    return accounts[timelock.address]


def test_the_two_addresses_are_exactly_on_the_erc1967_slots(proxy: Any, first: Any, timelock: Any) -> None:
    assert slot(proxy, IMPLEMENTATION_SLOT) == first.address.lower()
    assert slot(proxy, ADMIN_SLOT) == timelock.address.lower()


def test_creation_announces_admin_and_implementation(proxy: Any, first: Any, timelock: Any) -> None:
    receipt = proxy.creation_metadata.receipt
    (changed,) = receipt.decode_logs(proxy.AdminChanged)
    (upgraded,) = receipt.decode_logs(proxy.Upgraded)
    assert int(changed.previousAdmin, 16) == 0
    assert changed.newAdmin == timelock.address
    assert upgraded.implementation == first.address


def test_storage_is_kept_across_an_upgrade(
    project: Any, proxy: Any, bank: Any, second: Any, admin: Any, stranger: Any, played_timelock: Any
) -> None:
    bank.save(sender=stranger, value=5)
    bank.requestExit(sender=stranger)
    exit_at = bank.exitAt(stranger)
    receipt = proxy.upgradeToAndCall(second, second.initializeMotto.encode_input(MOTTO), sender=played_timelock)
    assert [event.implementation for event in receipt.decode_logs(proxy.Upgraded)] == [second.address]

    upgraded = project.SavingsTwo.at(proxy.address, fetch_from_explorer=False, detect_proxy=False)
    assert slot(proxy, IMPLEMENTATION_SLOT) == second.address.lower()
    assert (upgraded.owner(), upgraded.savingsOf(stranger), upgraded.exitAt(stranger)) == (admin, 5, exit_at)
    assert upgraded.motto() == MOTTO
    assert proxy.balance == 5


def test_the_implementation_sees_the_real_caller_and_the_proxys_address(bank: Any, proxy: Any, stranger: Any) -> None:
    assert tuple(bank.whoCalls(sender=stranger)) == (stranger.address, proxy.address)


def test_errors_of_the_implementation_come_through(bank: Any, stranger: Any, refuses: Any) -> None:
    with refuses("B:DELAY"):
        bank.claimExit(sender=stranger)


def test_output_larger_than_the_buffer_is_refused_not_cut(bank: Any, first: Any, refuses: Any) -> None:
    largest = (MAX_OUTPUT - 64) // 32
    assert bank.countTo(largest) == list(range(1, largest + 1))
    for words in (largest + 1, largest + 2, 64):
        assert len(first.countTo(words)) == words
        with refuses("U:OUTPUT"):
            bank.countTo(words)


def test_only_the_admin_upgrades(
    proxy: Any, second: Any, admin: Any, guardian: Any, stranger: Any, refuses: Any
) -> None:
    for caller in (admin, guardian, stranger):
        with refuses("U:ADMIN"):
            proxy.upgradeToAndCall(second, b"", sender=caller)


def test_the_admin_is_a_contract_for_ever(project: Any, first: Any, admin: Any, accounts: Any, refuses: Any) -> None:
    with refuses("U:CODE"):
        project.Proxy.deploy(first, admin, first.initialize.encode_input(admin), sender=accounts[0])
    assert functions("Proxy", "nonpayable", "payable") == {"upgradeToAndCall"}  # nothing hands it over


def test_it_says_what_it_runs(proxy: Any, first: Any, second: Any, played_timelock: Any) -> None:
    assert proxy.implementation() == first.address
    proxy.upgradeToAndCall(second, second.initializeMotto.encode_input(MOTTO), sender=played_timelock)
    assert proxy.implementation() == second.address


@pytest.mark.parametrize("name", PROXIED)
def test_the_proxy_hides_no_function_of_the_contracts_behind_it(name: str) -> None:
    assert selectors("Proxy") & selectors(name) == set()
    assert len(selectors("Proxy")) == 2


@pytest.mark.parametrize("name", PROXIED)
def test_every_answer_of_the_contracts_behind_it_fits(name: str) -> None:
    entries = [entry for entry in load_artifacts()[name].abi if entry["type"] == "function"]
    assert 0 < max(32 * words(entry["outputs"]) for entry in entries) <= MAX_OUTPUT


def test_an_implementation_without_code_is_refused(
    proxy: Any, stranger: Any, first: Any, played_timelock: Any, refuses: Any
) -> None:
    with refuses("U:CODE"):
        proxy.upgradeToAndCall(stranger, b"", sender=played_timelock)
    delegated = "0x" + "77" * 20  # EIP-7702: runs the code of `first` for as long as its key wants
    code = "0xef0100" + first.address[2:]
    proxy.provider.make_request("anvil_setCode", [delegated, code])
    with refuses("U:CODE"):
        proxy.upgradeToAndCall(delegated, b"", sender=played_timelock)


def test_a_version_without_initialiser_is_installed_with_empty_data(
    project: Any, accounts: Any, first: Any, timelock: Any
) -> None:
    created = project.Proxy.deploy(first, timelock, b"", sender=accounts[0])
    bank = project.SavingsOne.at(created.address, fetch_from_explorer=False, detect_proxy=False)
    assert (bank.initializedVersion(), created.implementation()) == (0, first.address)


def test_a_failed_initialiser_undoes_the_upgrade(
    proxy: Any, first: Any, second: Any, admin: Any, played_timelock: Any, refuses: Any
) -> None:
    with refuses("I:DONE"):  # version 1 again, through new code
        proxy.upgradeToAndCall(first, first.initialize.encode_input(admin), sender=played_timelock)
    with pytest.raises(ContractLogicError):  # no such function
        proxy.upgradeToAndCall(second, b"\x01\x02\x03\x04", sender=played_timelock)
    assert slot(proxy, IMPLEMENTATION_SLOT) == first.address.lower()


def test_attack_63_bare_implementation_reinitialisation_and_foreign_targets(
    project: Any,
    proxy: Any,
    bank: Any,
    first: Any,
    second: Any,
    timelock: Any,
    admin: Any,
    stranger: Any,
    played_timelock: Any,
    refuses: Any,
) -> None:
    """Bare implementation initialised, proxy initialised again, target not made for a proxy: all revert."""
    for bare, call in ((first, first.initialize), (second, second.initializeMotto)):
        argument = stranger if bare is first else MOTTO
        with refuses("I:DONE"):
            call(argument, sender=stranger)
    with refuses("I:DONE"):
        bank.initialize(stranger, sender=stranger)
    assert bank.owner() == admin

    for foreign in (timelock, proxy):  # no proxiableUUID; and a proxy's implementation refuses to answer through it
        with refuses("U:UUID"):
            proxy.upgradeToAndCall(foreign, b"", sender=played_timelock)
    proxy.upgradeToAndCall(second, second.initializeMotto.encode_input(MOTTO), sender=played_timelock)
    upgraded = project.SavingsTwo.at(proxy.address, fetch_from_explorer=False, detect_proxy=False)
    with refuses("I:DONE"):
        upgraded.initializeMotto(MOTTO, sender=stranger)
