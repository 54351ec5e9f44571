"""Money going out at once, with COSIGNER's word that nothing of the account is matched and unsettled."""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CORE,
    COSIGNER,
    CXPT,
    GUARDIAN,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STRANGER,
    USDC,
    World,
    sign_leave,
)

from cxdex.eip712 import Domain

AMOUNT = 40_000 * ONE_USDC
EVERYTHING = 100_000 * ONE_USDC
NONCE = 7
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1
RECOVERY_BIT = 1 << 255


def terms(world: World, **changed: Any) -> tuple[Any, ...]:
    usual = {
        "asset": USDC,
        "amount": AMOUNT,
        "as_cxpt": False,
        "recipient": ALICE,
        "nonce": NONCE,
        "deadline": world.evm.now + 60,
    }
    return tuple({**usual, **changed}.values())


def test_one_transaction_pays_and_announces_the_balance(funded: World) -> None:
    logs = funded.leave(ALICE, USDC, AMOUNT, recipient=CAROL, nonce=NONCE)

    ((name, fields),) = [event for event in funded.events(logs) if event[0] != "Transfer"]
    assert name == "Withdrawn"
    assert fields == {
        "account": "0x" + ALICE.hex(),
        "asset": USDC,
        "amount": AMOUNT,
        "asCxpt": False,
        "recipient": "0x" + CAROL.hex(),
        "nonce": NONCE,
        "balance": EVERYTHING - AMOUNT,
    }
    assert funded.usdc.call("balanceOf", CAROL) == AMOUNT
    assert funded.cash(ALICE) == EVERYTHING - AMOUNT
    assert funded.vault.call("ledgerTotal", USDC) == 2 * EVERYTHING - AMOUNT


def test_cash_leaves_as_cxpt_and_synths_leave_too(funded: World) -> None:
    funded.leave(ALICE, USDC, AMOUNT, as_cxpt=True)
    assert funded.cxpt.call("balanceOf", ALICE) == funded.vault.call("cxptReserve") == AMOUNT
    funded.borrow(ALICE, SBTC, ONE_SYNTH, 90_000 * ONE_USDC)
    funded.leave(ALICE, SBTC, ONE_SYNTH, recipient=BOB)
    assert funded.synths[SBTC].call("balanceOf", BOB) == ONE_SYNTH
    assert funded.vault.call("ledgerTotal", SBTC) == 0


def test_attack_16_a_stale_co_signature_is_refused(funded: World, refuses) -> None:
    """Used already, or its deadline is over; and none can be made usable again."""
    signed = terms(funded)
    signature = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *signed)
    assert funded.vault.call("isNonceUsed", ALICE, NONCE) is False
    funded.vault.send(ALICE, "withdraw", *signed, *signature)
    assert funded.vault.call("isNonceUsed", ALICE, NONCE) is True
    with refuses("V:NONCE"):
        funded.vault.send(ALICE, "withdraw", *signed, *signature)

    later = terms(funded, nonce=NONCE + 1)
    signature = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *later)
    funded.evm.advance(61)
    with refuses("V:EXPIRED"):
        funded.vault.send(ALICE, "withdraw", *later, *signature)
    funded.evm.advance(-1)
    funded.vault.send(ALICE, "withdraw", *later, *signature)
    assert funded.cash(ALICE) == EVERYTHING - 2 * AMOUNT


@pytest.mark.parametrize("other", [0, NONCE - 1, NONCE + 1, 255, 256, NONCE + 256, 2**256 - 1])
def test_a_used_nonce_uses_up_no_other_and_nobody_elses(funded: World, refuses, other: int) -> None:
    funded.leave(ALICE, USDC, 1, nonce=NONCE)
    funded.leave(ALICE, USDC, 1, nonce=other)
    funded.leave(BOB, USDC, 1, nonce=NONCE)
    for account, nonce in ((ALICE, NONCE), (ALICE, other), (BOB, NONCE)):
        with refuses("V:NONCE"):
            funded.leave(account, USDC, 1, nonce=nonce)


@pytest.mark.parametrize("signer", ["core", "admin", "guardian", "gateway", "alice", "stranger"])
def test_only_the_cosigner_can_sign(funded: World, refuses, signer: str) -> None:
    with refuses("V:COSIGNER"):
        funded.leave(ALICE, USDC, AMOUNT, signer=signer)


@pytest.mark.parametrize(
    "changed",
    [
        {"asset": CXPT},
        {"amount": AMOUNT - 1},
        {"as_cxpt": True},
        {"recipient": BOB},
        {"nonce": NONCE + 1},
        {"deadline": 2**255},
    ],
)
def test_every_field_is_covered_by_the_co_signature(funded: World, refuses, changed: dict[str, Any]) -> None:
    signature = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *terms(funded))
    with refuses("V:COSIGNER"):
        funded.vault.send(ALICE, "withdraw", *terms(funded, **changed), *signature)


def test_attack_9_a_co_signature_for_one_account_is_nothing_to_another(funded: World, refuses) -> None:
    signature = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *terms(funded))
    for other in (BOB, STRANGER, COSIGNER):
        with refuses("V:COSIGNER"):
            funded.vault.send(other, "withdraw", *terms(funded), *signature)


@pytest.mark.parametrize(
    "domain",
    [
        {"chainId": 1},
        {"verifyingContract": "0x" + ALICE.hex()},
        {"name": "Cxmpute DEX PAPER"},
        {"version": "2"},
    ],
)
def test_attack_1_2_a_co_signature_of_another_chain_or_deployment(funded: World, refuses, domain) -> None:
    signature = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *terms(funded), **domain)
    with refuses("V:COSIGNER"):
        funded.vault.send(ALICE, "withdraw", *terms(funded), *signature)


def test_attack_7_a_co_signature_has_one_form(funded: World, refuses) -> None:
    r, vs = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *terms(funded))
    packed = int.from_bytes(vs, "big")
    other = ORDER - (packed & (RECOVERY_BIT - 1))
    for form in (packed ^ RECOVERY_BIT, other, other | RECOVERY_BIT, 0, RECOVERY_BIT):
        with refuses("V:COSIGNER"):
            funded.vault.send(ALICE, "withdraw", *terms(funded), r, form.to_bytes(32, "big"))
    with refuses("V:COSIGNER"):
        funded.vault.send(ALICE, "withdraw", *terms(funded), bytes(32), vs)
    funded.vault.send(ALICE, "withdraw", *terms(funded), r, vs)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"amount": 0}, "V:ZERO"),
        ({"amount": EVERYTHING + 1}, "S:FUNDS"),
        ({"amount": 2**256 - 1}, "S:FUNDS"),
        ({"asset": CXPT, "as_cxpt": True}, "V:CXPT"),
        ({"asset": SBTC}, "S:FUNDS"),
        ({"asset": 4}, "V:ASSET"),
        ({"recipient": bytes(20)}, "V:RECIPIENT"),
    ],
)
def test_a_co_signature_does_not_help_what_cannot_be(
    funded: World, refuses, changed: dict[str, Any], code: str
) -> None:
    signed = terms(funded, **changed)
    signature = sign_leave(KEYS["cosigner"], funded.vault, ALICE, *signed)
    with refuses(code):
        funded.vault.send(ALICE, "withdraw", *signed, *signature)
    assert funded.cash(ALICE) == EVERYTHING


def test_nothing_is_paid_into_the_vault_itself(funded: World, refuses) -> None:
    with refuses("V:RECIPIENT"):
        funded.leave(ALICE, USDC, 1, recipient=funded.vault.address)


def test_a_refused_withdrawal_leaves_its_nonce_unused(funded: World, refuses) -> None:
    with refuses("S:FUNDS"):
        funded.leave(ALICE, USDC, EVERYTHING + 1, nonce=NONCE)
    assert funded.vault.call("isNonceUsed", ALICE, NONCE) is False


def test_leaving_at_once_overtakes_an_announcement(funded: World) -> None:
    """COSIGNER knows the announcement; the claim then pays what is left."""
    funded.vault.send(ALICE, "requestWithdraw", USDC, EVERYTHING, False)
    funded.leave(ALICE, USDC, AMOUNT)
    funded.evm.advance(3600)
    funded.vault.send(ALICE, "claimWithdraw", 1)
    assert funded.usdc.call("balanceOf", ALICE) == EVERYTHING
    assert funded.cash(ALICE) == 0


def test_attack_65_the_cosigner_is_no_other_role(funded: World, refuses) -> None:
    parts = [funded.addresses[name] for name in ("USDC", "CXPT", "Settlement", "SynthFactory", "SynthEngine")]
    for roles in ((ADMIN, GUARDIAN, ADMIN), (ADMIN, GUARDIAN, GUARDIAN), (ADMIN, ADMIN, COSIGNER)):
        with refuses("V:ROLES"):
            funded.create("Vault", *parts, *roles, 3600)
    for roles in ((bytes(20), GUARDIAN, COSIGNER), (ADMIN, bytes(20), COSIGNER), (ADMIN, GUARDIAN, bytes(20))):
        with refuses("V:ZERO"):
            funded.create("Vault", *parts, *roles, 3600)


def test_attack_65_core_cannot_be_the_cosigner(refuses) -> None:
    """Settlement need not exist when the Vault is made, so this one is found at the first use."""
    world = World()
    parts = [world.addresses[name] for name in ("USDC", "CXPT", "Settlement", "SynthFactory", "SynthEngine")]
    vault = world.create("Vault", *parts, ADMIN, GUARDIAN, CORE, 3600)
    signature = sign_leave(KEYS["core"], vault, ALICE, *terms(world))
    with refuses("V:ROLES"):
        vault.send(ALICE, "withdraw", *terms(world), *signature)


def test_the_domain_that_the_co_signer_signs_in_can_be_read(funded: World) -> None:
    assert funded.vault.call("DOMAIN_SEPARATOR") == Domain(funded.evm.chain_id, funded.vault.address).separator
