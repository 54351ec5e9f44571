"""What ends a deployment: a fresh exchange passes, and whoever holds more than they should is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    CORE,
    DEPLOYER,
    GATEWAY,
    GUARDIAN,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    World,
)

from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from scripts.exchange import SYNTHS, role_addresses
from scripts.keys import REPORTERS
from scripts.self_check import Subject, self_check
from scripts.wiring import ADMIN_SLOT, IMPLEMENTATION_SLOT, PROXIED

DAY = 24 * 3600
CAP = next(synth.cap for synth in SYNTHS if synth.symbol == "sBTC")
ROLES = role_addresses(KEYS)


def subject_of(world: World, **changes: Any) -> Subject:
    subject = Subject(world.contracts, ROLES, DEPLOYER, world.options.settings, world.implementations)
    return dataclasses.replace(subject, **changes)


@pytest.fixture
def deployed(world: World) -> World:
    world.settlement.send(CORE, "beat")
    return world


def check_fails(subject: Subject, *sentences: str) -> None:
    with pytest.raises(Problem) as caught:
        self_check(subject)
    assert caught.value.code == "WIRING_WRONG"
    assert caught.value.detail.split("; ") == list(sentences)


def test_a_fresh_exchange_passes_and_says_who_holds_what(deployed: World) -> None:
    lines = self_check(subject_of(deployed))
    holders = {line.split()[0]: line for line in lines[: len(ROLES) + 2]}
    assert set(holders) == {*ROLES, "Timelock", "deployer"}
    assert holders["deployer"] == f"deployer   {to_checksum(DEPLOYER)}  nothing"
    assert holders["admin"].endswith(
        "Timelock.ADMIN, Vault.ADMIN, Vault.RELEASER, MarketRegistry.ADMIN, SynthFactory.ADMIN"
    )
    for name in PROXIED:
        assert f"admin slot of {name}" in holders["Timelock"]
    for line in holders.values():
        assert len(line.split("  ")[-1]) > 6, "every role is somewhere"
    assert lines[-3] == "an upgrade waits 24 hours, a withdrawal 3600 seconds"
    assert lines[-2].startswith("2 of 3 reporters make a price; most that may be minted: sBTC ")
    assert int(lines[-1].split()[0]) > 50


@pytest.mark.parametrize("role", ["admin", "guardian", "core", "gateway", "cosigner"])
def test_a_role_in_other_hands_is_named_everywhere(deployed: World, role: str) -> None:
    with pytest.raises(Problem) as caught:
        self_check(subject_of(deployed, roles={**ROLES, role: ALICE}))
    for sentence in caught.value.detail.split("; "):
        assert sentence.endswith(f" is {to_checksum(ROLES[role])} and should be {to_checksum(ALICE)}")


@pytest.mark.parametrize(
    ("setting", "subjects"),
    [
        ("upgrade_delay", ["Timelock.DELAY"]),
        ("withdrawal_delay", ["Vault.withdrawalDelay"]),
        ("oracle_quorum", ["Oracle.quorum"]),
        ("oracle_staleness", ["Oracle.STALENESS"]),
    ],
)
def test_another_setting_is_named(deployed: World, setting: str, subjects: list[str]) -> None:
    right = subject_of(deployed)
    found = getattr(right.settings, setting)
    wrong = dataclasses.replace(right.settings, **{setting: found + 1})
    sentences = [f"{subject} is {found} and should be {found + 1}" for subject in subjects]
    check_fails(dataclasses.replace(right, settings=wrong), *sentences)


def test_an_upgrade_delay_of_less_than_a_day_is_refused(deployed: World) -> None:
    right = subject_of(deployed)
    wrong = dataclasses.replace(right.settings, upgrade_delay=DAY - 1)
    check_fails(
        dataclasses.replace(right, settings=wrong),
        f"Timelock.DELAY is {DAY} and should be {DAY - 1}",
        f"the upgrade delay of {DAY - 1} seconds is less than {DAY}",
    )


@pytest.mark.parametrize("name", PROXIED)
def test_a_foreign_owner_of_a_proxy_is_named(deployed: World, name: str) -> None:
    deployed.evm.set_storage(deployed.addresses[name], ADMIN_SLOT, int.from_bytes(ALICE, "big"))
    timelock = to_checksum(deployed.timelock.address)
    check_fails(subject_of(deployed), f"admin slot of {name} is {to_checksum(ALICE)} and should be {timelock}")


def test_another_implementation_is_named(deployed: World) -> None:
    """The same code with other addresses inside: only the slot shows it."""
    wanted = deployed.implementations["Settlement"]
    others = [deployed.addresses[name] for name in ("Vault", "MarketRegistry", "SynthEngine")]
    other = deployed.create(
        "Settlement", CORE, *others, deployed.implementations["TraderControls"], deployed.addresses["Triggers"]
    ).address
    deployed.evm.set_storage(deployed.settlement.address, IMPLEMENTATION_SLOT, int.from_bytes(other, "big"))
    check_fails(
        subject_of(deployed),
        f"implementation slot of Settlement is {to_checksum(other)} and should be {to_checksum(wanted)}",
    )


def test_other_controls_are_named(deployed: World) -> None:
    """The implementation is the one that was wanted, and yet it hands the calls of traders to somebody else."""
    wanted = deployed.implementations["TraderControls"]
    others = [deployed.addresses[name] for name in ("Vault", "MarketRegistry", "SynthEngine")]
    strange = deployed.create("TraderControls").address
    other = deployed.create("Settlement", CORE, *others, strange, deployed.addresses["Triggers"]).address
    deployed.evm.set_storage(deployed.settlement.address, IMPLEMENTATION_SLOT, int.from_bytes(other, "big"))
    subject = subject_of(deployed, implementations={**deployed.implementations, "Settlement": other})
    check_fails(subject, f"Settlement.CONTROLS is {to_checksum(strange)} and should be {to_checksum(wanted)}")


def test_another_judge_of_conditional_orders_is_named(deployed: World) -> None:
    """The same code, which looks at the prices of somebody else."""
    wanted = deployed.addresses["Triggers"]
    others = [deployed.addresses[name] for name in ("Vault", "MarketRegistry", "SynthEngine")]
    strange = deployed.create("Triggers", ALICE).address
    controls = deployed.implementations["TraderControls"]
    other = deployed.create("Settlement", CORE, *others, controls, strange).address
    deployed.evm.set_storage(deployed.settlement.address, IMPLEMENTATION_SLOT, int.from_bytes(other, "big"))
    subject = subject_of(deployed, implementations={**deployed.implementations, "Settlement": other})
    check_fails(subject, f"Settlement.TRIGGERS is {to_checksum(strange)} and should be {to_checksum(wanted)}")


def test_an_open_implementation_is_named(deployed: World) -> None:
    bare = deployed.implementations["Vault"]
    deployed.evm.set_storage(bare, 0, 0)
    check_fails(subject_of(deployed), f"initialised version of Vault's implementation is 0 and should be {2**256 - 1}")


def with_reporter(world: World, account: bytes) -> Subject:
    """A fourth reporter needs a quorum of three, which is then as wanted."""
    world.oracle.send(world.timelock.address, "setQuorum", 3)
    world.oracle.send(world.timelock.address, "setReporter", account, True)
    right = subject_of(world)
    return dataclasses.replace(right, settings=dataclasses.replace(right.settings, oracle_quorum=3))


def test_one_reporter_too_many_is_named(deployed: World) -> None:
    check_fails(with_reporter(deployed, ALICE), "number of reporters is 4 and should be 3")


def test_a_foreign_reporter_in_place_of_ours_is_named(deployed: World) -> None:
    deployed.oracle.send(GUARDIAN, "removeReporter", ROLES[REPORTERS[1]])
    deployed.oracle.send(deployed.timelock.address, "setReporter", ALICE, True)
    found, wanted = to_checksum(bytes(20)), to_checksum(ROLES[REPORTERS[1]])
    check_fails(subject_of(deployed), f"{REPORTERS[1]} in Oracle.reporters is {found} and should be {wanted}")


def test_a_cap_that_was_not_asked_for_is_named(deployed: World) -> None:
    deployed.engine.send(deployed.timelock.address, "raiseCap", SBTC, CAP + 1)
    check_fails(subject_of(deployed), f"cap of sBTC is {CAP + 1} and should be {CAP}")


def test_a_synth_that_was_not_asked_for_is_named(deployed: World) -> None:
    deployed.factory.send(GATEWAY, "createSynth", "Synthetic X", "sX")
    check_fails(subject_of(deployed), "number of synths is 3 and should be 2")


def test_a_missing_beat_is_named(world: World) -> None:
    check_fails(subject_of(world), "CORE's first beat is not sent and should be sent")


@pytest.mark.parametrize("first", ROLES)
def test_attack_65_two_roles_on_one_key_are_named(deployed: World, first: str) -> None:
    """Every pair, the deployer included."""
    for second in [name for name in (*ROLES, "deployer") if name != first]:
        same = DEPLOYER if second == "deployer" else ROLES[second]
        with pytest.raises(Problem) as caught:
            self_check(subject_of(deployed, roles={**ROLES, first: same}))
        pair = {
            f"{one} and {two} have the same key, {to_checksum(same)}" for one, two in ((first, second), (second, first))
        }
        assert len(pair & set(caught.value.detail.split("; "))) == 1


def test_a_role_without_a_key_is_named(deployed: World) -> None:
    with pytest.raises(Problem, match="cosigner has no key"):
        self_check(subject_of(deployed, roles={**ROLES, "cosigner": bytes(20)}))


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        (lambda world: world.deposit(DEPLOYER, 1), "deployer has a trading balance in asset 0"),
        (
            lambda world: world.borrow(DEPLOYER, SBTC, ONE_SYNTH, 100_000 * ONE_USDC),
            f"deployer has a trading balance in asset {SBTC}",
        ),
        (lambda world: keep_cxpt(world, DEPLOYER), "deployer has CXPT in its wallet"),
    ],
    ids=["cash", "synths", "CXPT"],
)
def test_a_deployer_who_keeps_something_is_named(deployed: World, keep: Callable[[World], None], sentence: str) -> None:
    keep(deployed)
    check_fails(subject_of(deployed), sentence)


def keep_cxpt(world: World, account: bytes) -> None:
    world.deposit(account, 1)
    world.leave(account, 0, 1, as_cxpt=True)


def test_a_deployer_who_reports_prices_is_named(deployed: World) -> None:
    check_fails(with_reporter(deployed, DEPLOYER), "number of reporters is 4 and should be 3", "deployer is a reporter")


def test_an_address_that_the_table_does_not_know_is_named(deployed: World) -> None:
    owner = {"type": "function", "name": "CORE", "inputs": [], "outputs": [{"type": "address"}]}
    vault = dataclasses.replace(deployed.vault, abi=[*deployed.vault.abi, owner])
    subject = subject_of(deployed, contracts={**deployed.contracts, "Vault": vault})
    check_fails(subject, "nobody knows who should be Vault.CORE")


def test_a_blueprint_of_another_token_is_named(deployed: World) -> None:
    blueprint = deployed.factory.call("BLUEPRINT")
    deployed.evm.set_code(blueprint, bytes.fromhex("fe710000"))
    check_fails(subject_of(deployed), "code at SynthFactory.BLUEPRINT is another and should be the Synth's")


def test_a_contract_that_is_not_there_is_named(deployed: World) -> None:
    strayed = dataclasses.replace(deployed.oracle, address=bytes(19) + b"\x99")
    with pytest.raises(Problem, match="there is no Oracle"):
        self_check(subject_of(deployed, contracts={**deployed.contracts, "Oracle": strayed}))


def test_a_usdc_with_other_decimals_is_named(deployed: World) -> None:
    """Every number of cash in the contracts is 1e-6; --usdc can name any token."""
    token = dataclasses.replace(deployed.usdc, address=deployed.synths[SBTC].address)
    with pytest.raises(Problem, match=r"USDC\.decimals is 18 and should be 6"):
        self_check(subject_of(deployed, contracts={**deployed.contracts, "USDC": token}))


def test_roles_are_those_of_the_keys() -> None:
    assert ROLES["admin"] == ADMIN
    assert len(set(ROLES.values())) == len(ROLES) == 8
