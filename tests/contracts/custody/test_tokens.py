"""ERC-20 and EIP-2612, as wallets expect them, and the mock's EIP-3009 and blacklist, as those of the real USDC."""

from __future__ import annotations

import pytest
from custody_world import (
    ADDRESSES,
    ALICE,
    BOB,
    CAROL,
    DEPLOYER,
    KEYS,
    ONE_SYNTH,
    SBTC,
    STRANGER,
    World,
    sign_authorization,
    sign_permit,
    sign_typed,
    token_domain,
)

from scripts.chain import Contract

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 2 * HALF_ORDER + 1


@pytest.fixture
def synth(world: World) -> Contract:
    """sBTC, one of which is in Alice's wallet."""
    token = world.synths[SBTC]
    token.send(world.vault.address, "mint", ONE_SYNTH)
    token.send(world.vault.address, "transfer", ALICE, ONE_SYNTH)
    return token


def test_transfers_move_the_whole_amount_or_nothing(synth: Contract, refuses) -> None:
    synth.send(ALICE, "transfer", BOB, 1)
    synth.send(ALICE, "transfer", ALICE, ONE_SYNTH - 1)
    synth.send(ALICE, "transfer", BOB, 0)
    assert (synth.call("balanceOf", ALICE), synth.call("balanceOf", BOB)) == (ONE_SYNTH - 1, 1)
    with refuses("T:BALANCE"):
        synth.send(BOB, "transfer", ALICE, 2)
    with refuses("T:ZERO"):
        synth.send(BOB, "transfer", bytes(20), 1)
    assert synth.call("totalSupply") == ONE_SYNTH


def test_an_allowance_is_used_up_unless_it_is_without_limit(synth: Contract, refuses) -> None:
    synth.send(ALICE, "approve", BOB, 5)
    synth.send(BOB, "transferFrom", ALICE, CAROL, 3)
    assert synth.call("allowance", ALICE, BOB) == 2
    with refuses("T:ALLOWANCE"):
        synth.send(BOB, "transferFrom", ALICE, CAROL, 3)
    synth.send(ALICE, "approve", BOB, 2**256 - 1)
    synth.send(BOB, "transferFrom", ALICE, CAROL, 3)
    assert synth.call("allowance", ALICE, BOB) == 2**256 - 1


def test_a_permit_works_once_and_for_what_was_signed(world: World, synth: Contract, refuses) -> None:
    deadline = world.evm.now + 5
    v, r, s = sign_permit(KEYS["alice"], synth, BOB, 7, deadline)
    for spender, amount, until in ((CAROL, 7, deadline), (BOB, 8, deadline), (BOB, 7, deadline + 1)):
        with refuses("P:SIGNATURE"):
            synth.send(STRANGER, "permit", ALICE, spender, amount, until, v, r, s)
    synth.send(STRANGER, "permit", ALICE, BOB, 7, deadline, v, r, s)
    assert (synth.call("allowance", ALICE, BOB), synth.call("nonces", ALICE)) == (7, 1)
    with refuses("P:SIGNATURE"):
        synth.send(STRANGER, "permit", ALICE, BOB, 7, deadline, v, r, s)


def test_a_permit_is_good_up_to_its_last_second(world: World, synth: Contract, refuses) -> None:
    deadline = world.evm.now + 5
    signature = sign_permit(KEYS["alice"], synth, BOB, 7, deadline)
    world.evm.advance(6)
    with refuses("P:EXPIRED"):
        synth.send(STRANGER, "permit", ALICE, BOB, 7, deadline, *signature)
    world.evm.advance(-1)
    synth.send(STRANGER, "permit", ALICE, BOB, 7, deadline, *signature)


def test_attack_7_the_second_form_of_a_signature_is_refused(world: World, synth: Contract, refuses) -> None:
    deadline = world.evm.now + 5
    v, r, s = sign_permit(KEYS["alice"], synth, BOB, 7, deadline)
    high = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    with refuses("P:SIGNATURE"):
        synth.send(STRANGER, "permit", ALICE, BOB, 7, deadline, 55 - v, r, high)


def test_attack_8_nobody_signs_for_the_zero_address(world: World, synth: Contract, refuses) -> None:
    with refuses("P:SIGNATURE"):
        synth.send(STRANGER, "permit", bytes(20), BOB, 7, world.evm.now, 27, bytes(32), bytes(32))


def test_attack_2_a_permit_for_one_synth_is_nothing_to_another(world: World, synth: Contract, refuses) -> None:
    deadline = world.evm.now + 5
    signature = sign_permit(KEYS["alice"], synth, BOB, 7, deadline)
    other = world.synths[SBTC + 1]
    assert other.call("DOMAIN_SEPARATOR") != synth.call("DOMAIN_SEPARATOR")
    with refuses("P:SIGNATURE"):
        other.send(STRANGER, "permit", ALICE, BOB, 7, deadline, *signature)


NONCE = b"\7" * 32


def test_the_mock_sends_what_its_owner_signed_once(world: World, refuses) -> None:
    usdc, window = world.usdc, (0, world.evm.now + 5)
    usdc.send(ALICE, "mint", ALICE, 10)
    signature = sign_authorization(KEYS["alice"], usdc, BOB, 7, NONCE, window=window, kind="Transfer")
    usdc.send(STRANGER, "transferWithAuthorization", ALICE, BOB, 7, *window, NONCE, *signature)
    assert (usdc.call("balanceOf", BOB), usdc.call("authorizationState", ALICE, NONCE)) == (7, True)
    with refuses("A:USED"):
        usdc.send(STRANGER, "transferWithAuthorization", ALICE, BOB, 7, *window, NONCE, *signature)


def test_a_cancelled_authorization_sends_nothing(world: World, refuses) -> None:
    usdc, window = world.usdc, (0, world.evm.now + 5)
    usdc.send(ALICE, "mint", ALICE, 10)
    signature = sign_authorization(KEYS["alice"], usdc, BOB, 7, NONCE, window=window)
    fields, values = "address authorizer,bytes32 nonce", (ALICE, NONCE)
    for signer in ("bob", "alice"):
        cancel = sign_typed(KEYS[signer], token_domain(usdc), "CancelAuthorization", fields, values)
        if signer == "bob":
            with refuses("A:SIGNATURE"):
                usdc.send(STRANGER, "cancelAuthorization", ALICE, NONCE, *cancel)
    usdc.send(STRANGER, "cancelAuthorization", ALICE, NONCE, *cancel)
    with refuses("A:USED"):
        usdc.send(STRANGER, "cancelAuthorization", ALICE, NONCE, *cancel)
    with refuses("A:USED"):
        usdc.send(BOB, "receiveWithAuthorization", ALICE, BOB, 7, *window, NONCE, *signature)


def test_the_mocks_issuer_alone_blocks_accounts_in_both_directions(world: World, refuses) -> None:
    usdc = world.usdc
    usdc.send(ALICE, "mint", ALICE, 10)
    usdc.send(ALICE, "approve", CAROL, 10)
    for name, caller in ADDRESSES.items():
        if name != "deployer":
            with refuses("A:ISSUER"):
                usdc.send(caller, "blacklist", ALICE)
            with refuses("A:ISSUER"):
                usdc.send(caller, "unBlacklist", ALICE)
    usdc.send(DEPLOYER, "blacklist", ALICE)
    assert usdc.call("isBlacklisted", ALICE) is True
    with refuses("A:BLOCKED"):
        usdc.send(ALICE, "transfer", BOB, 1)
    with refuses("A:BLOCKED"):
        usdc.send(BOB, "transfer", ALICE, 0)
    with refuses("A:BLOCKED"):
        usdc.send(CAROL, "transferFrom", ALICE, BOB, 1)
    usdc.send(DEPLOYER, "unBlacklist", ALICE)
    usdc.send(DEPLOYER, "blacklist", CAROL)
    with refuses("A:BLOCKED"):
        usdc.send(CAROL, "transferFrom", ALICE, BOB, 1)
    usdc.send(ALICE, "transfer", BOB, 1)
