"""ERC-20 and EIP-2612, as wallets expect them."""

from __future__ import annotations

import pytest
from custody_world import ALICE, BOB, CAROL, KEYS, ONE_SYNTH, SBTC, STRANGER, World, sign_permit

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
