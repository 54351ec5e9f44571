"""Every privileged function, and everybody who may not call it."""

from __future__ import annotations

import pytest
from custody_world import ADDRESSES, ADMIN, ALICE, CORE, COSIGNER, GATEWAY, GUARDIAN, ONE_SYNTH, SBTC, USDC, World

from cxdex.eip712 import market_hash

MARKET = market_hash("sBTC-USDC")
PEOPLE = ("admin", "guardian", "core", "gateway", "reporter", "cosigner", "deployer", "alice")

# contract, function, arguments, error code, who may: a person's or a contract's name
PRIVILEGED = (
    ("Vault", "registerSynth", (ALICE,), "V:FACTORY", "SynthFactory"),
    ("Vault", "lockCollateral", (ALICE, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "releaseCollateral", (ALICE, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "mintSynth", (SBTC, ALICE, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "burnSynth", (SBTC, ALICE, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "escrowSynth", (SBTC, ALICE, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "burnEscrow", (SBTC, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "returnEscrow", (SBTC, ALICE, 1), "V:ENGINE", "SynthEngine"),
    ("Vault", "lockProceeds", (ALICE, 1, 0), "V:SETTLEMENT", "Settlement"),
    ("Vault", "withdrawFees", (ALICE, 1), "V:ADMIN", "admin"),
    ("Vault", "payRebates", ([ALICE], [1]), "V:ADMIN", "admin"),
    ("Vault", "pause", (1,), "B:GUARDIAN", "guardian"),
    ("Vault", "resume", (), "B:RELEASER", "admin"),
    ("Vault", "allowPause", (), "B:RELEASER", "admin"),
    ("SynthEngine", "openAsset", (SBTC, 1), "E:GATEWAY", "gateway"),
    ("SynthEngine", "raiseCap", (SBTC, 1), "E:TIMELOCK", "Timelock"),
    ("SynthEngine", "lowerCap", (SBTC, 1), "E:GUARDIAN", "guardian"),
    ("SynthEngine", "mintForFill", (ALICE, SBTC, 1, 0, 0), "E:SETTLEMENT", "Settlement"),
    ("SynthEngine", "pause", (1,), "B:GUARDIAN", "guardian"),
    ("SynthEngine", "resume", (), "B:RELEASER", "Timelock"),
    ("SynthEngine", "allowPause", (), "B:RELEASER", "Timelock"),
    ("Settlement", "credit", (ALICE, USDC, 1), "S:VAULT", "Vault"),
    ("Settlement", "debit", (ALICE, USDC, 1), "S:VAULT", "Vault"),
    ("Settlement", "openMarket", (bytes(32), 1), "S:REGISTRY", "MarketRegistry"),
    ("Settlement", "setMarketStatus", (MARKET, 1), "S:REGISTRY", "MarketRegistry"),
    ("Settlement", "settleBatch", (0,), "S:CORE", "core"),
    ("Settlement", "voidSequence", (MARKET, 1), "S:CORE", "core"),
    ("Settlement", "takeFees", (MARKET,), "S:VAULT", "Vault"),
    ("Settlement", "beat", (), "S:CORE", "core"),
    ("MarketRegistry", "listMarket", ("X-USDC", 0, SBTC, 14, 10, 1, 25, 25), "R:GATEWAY", "gateway"),
    ("SynthFactory", "createSynth", ("Synthetic X", "sX"), "R:GATEWAY", "gateway"),
    ("Oracle", "setReporter", (ALICE, True), "O:TIMELOCK", "Timelock"),
    ("Oracle", "setQuorum", (1,), "O:TIMELOCK", "Timelock"),
    ("Oracle", "setSource", (SBTC, bytes(20), 0), "O:TIMELOCK", "Timelock"),
    ("Oracle", "unfreeze", (SBTC,), "O:TIMELOCK", "Timelock"),
    ("Oracle", "removeReporter", (ALICE,), "O:GUARDIAN", "guardian"),
    ("Oracle", "freeze", (SBTC, 1), "O:GUARDIAN", "guardian"),
    ("CXPT", "mint", (ALICE, 1), "C:VAULT", "Vault"),
    ("CXPT", "burn", (ALICE, 1), "C:VAULT", "Vault"),
)
SYNTH_PRIVILEGED = (("mint", (1,)), ("burn", (1,)))


@pytest.mark.parametrize(("contract", "function", "arguments", "code", "holder"), PRIVILEGED)
def test_only_the_holder_of_the_role_may(
    funded: World, refuses, contract: str, function: str, arguments: tuple, code: str, holder: str
) -> None:
    callers = {**{name: ADDRESSES[name] for name in PEOPLE}, **funded.addresses}
    for name, caller in callers.items():
        if name not in (holder, contract):
            with refuses(code):
                funded.contracts[contract].send(caller, function, *arguments)


@pytest.mark.parametrize(("function", "arguments"), SYNTH_PRIVILEGED)
def test_attack_66_only_the_vault_mints_and_burns_synths(funded: World, refuses, function: str, arguments) -> None:
    callers = {**{name: ADDRESSES[name] for name in PEOPLE}, **funded.addresses}
    for name, caller in callers.items():
        if name != "Vault":
            with refuses("T:VAULT"):
                funded.synths[SBTC].send(caller, function, *arguments)


def test_the_vault_cannot_burn_synths_in_a_wallet(funded: World, refuses) -> None:
    synth = funded.synths[SBTC]
    synth.send(funded.vault.address, "mint", ONE_SYNTH)
    synth.send(funded.vault.address, "transfer", ALICE, ONE_SYNTH)
    with refuses("T:BALANCE"):
        synth.send(funded.vault.address, "burn", ONE_SYNTH)


def test_the_table_names_every_function_that_is_not_for_everybody(funded: World) -> None:
    """A new function must be put either into the table or here."""
    for_everybody = {
        "Vault": {
            "deposit", "depositWithPermit", "depositWithAuthorization", "depositAsset", "requestWithdraw",
            "redirectWithdraw", "cancelWithdraw", "claimWithdraw", "withdraw", "redeemCxpt", "collectFees",
        },
        "Settlement": {
            "cancelOrders", "cancelAll", "cancelOrdersBySignature", "cancelAllBySignature", "setSession",
            "revokeSession",
        },
        "MarketRegistry": {  # tables of its own: test_market_registry
            "setStatus", "reopen", "allowMarketPause", "pause", "resume", "allowPause",
        },
        "SynthFactory": set(),
        "SynthEngine": {
            "mint", "burn", "addCollateral", "withdrawCollateral", "liquidate", "takeOver", "requestRedemption",
            "executeRedemption", "cancelRedemption", "processPositions", "claimWound",
            "windDown",  # test_synth_engine_wind_down
        },
        "Oracle": {"submit", "poke"},
        "CXPT": {"approve", "transfer", "transferFrom"},  # test_cxpt
    }  # fmt: skip
    for contract, everybody in for_everybody.items():
        listed = {function for name, function, *_ in PRIVILEGED if name == contract}
        writing = {
            entry["name"]
            for entry in funded.artifacts[contract].abi
            if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
        }
        assert writing == everybody | listed, contract


@pytest.mark.parametrize("contract", ["MarketRegistry", "SynthFactory"])
def test_attack_65_two_roles_on_one_key_or_none_on_a_role_cannot_be_deployed(
    world: World, refuses, contract: str
) -> None:
    head: dict[str, tuple] = {
        "MarketRegistry": (world.settlement.address, world.vault.address, world.timelock.address),
        "SynthFactory": (world.vault.address, ALICE, bytes(32)),
    }
    keys = [ADMIN, GUARDIAN, CORE, GATEWAY]
    world.create(contract, *head[contract], *keys)
    for first in range(4):
        with refuses("R:ZERO"):
            world.create(contract, *head[contract], *[bytes(20) if i == first else k for i, k in enumerate(keys)])
        for second in range(first):
            same = [keys[second] if i == first else k for i, k in enumerate(keys)]
            with refuses("R:SAME"):
                world.create(contract, *head[contract], *same)


@pytest.mark.parametrize(
    ("contract", "arguments", "code"),
    [
        ("Vault", (ALICE, ALICE, ALICE, ALICE, bytes(20), ADMIN, GUARDIAN, COSIGNER, 0), "V:ZERO"),
        ("Vault", (bytes(20), ALICE, ALICE, ALICE, ALICE, ADMIN, GUARDIAN, COSIGNER, 0), "V:ZERO"),
        ("CXPT", (bytes(20),), "C:VAULT"),
        *[
            ("SynthEngine", (*[ALICE] * zero, bytes(20), *[ALICE] * (5 - zero)), "B:ZERO" if zero == 4 else "E:ZERO")
            for zero in range(6)
        ],
        ("MarketRegistry", (bytes(20), ALICE, ALICE, ADMIN, GUARDIAN, CORE, GATEWAY), "M:ZERO"),
        ("MarketRegistry", (ALICE, ALICE, bytes(20), ADMIN, GUARDIAN, CORE, GATEWAY), "M:ZERO"),
        ("SynthFactory", (ALICE, bytes(20), bytes(32), ADMIN, GUARDIAN, CORE, GATEWAY), "F:ZERO"),
    ],
)
def test_a_contract_without_its_partners_cannot_be_deployed(
    world: World, refuses, contract: str, arguments: tuple, code: str
) -> None:
    with refuses(code):
        world.create(contract, *arguments)
