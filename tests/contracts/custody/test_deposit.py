"""Money coming in: by allowance, by permit, by signed transfer, with tokens that misbehave, and by gift."""

from __future__ import annotations

import pytest
from custody_evm import Refused
from custody_world import (
    ALICE,
    BOB,
    CXPT,
    DEPLOYER,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STRANGER,
    USDC,
    World,
    sign_authorization,
    sign_permit,
)

AMOUNT = 1_000 * ONE_USDC


def test_a_deposit_within_the_allowance_is_credited_and_announced_with_the_balance(world: World) -> None:
    world.deposit(ALICE, AMOUNT)
    world.usdc.send(ALICE, "mint", ALICE, 5)
    world.usdc.send(ALICE, "approve", world.vault.address, 5)

    name, fields = world.events(world.vault.send(ALICE, "deposit", 5))[-1]

    assert name == "Deposited"
    assert fields == {"account": "0x" + ALICE.hex(), "asset": USDC, "amount": 5, "balance": AMOUNT + 5}
    assert world.vault.call("sharesOf", ALICE) == world.cash(ALICE) == AMOUNT + 5
    assert world.vault.call("totalAssets") == AMOUNT + 5
    assert world.usdc.call("balanceOf", world.vault.address) == AMOUNT + 5


def test_a_deposit_without_allowance_money_or_amount_is_refused(world: World, refuses) -> None:
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    with refuses("T:ALLOWANCE"):
        world.vault.send(ALICE, "deposit", AMOUNT)
    world.usdc.send(ALICE, "approve", world.vault.address, 2 * AMOUNT)
    with refuses("T:BALANCE"):
        world.vault.send(ALICE, "deposit", AMOUNT + 1)
    with refuses("V:ZERO"):
        world.vault.send(ALICE, "deposit", 0)


def test_an_asset_that_does_not_exist_is_refused(world: World, refuses) -> None:
    for asset in (4, 65_535, 2**96 + SBTC, 2**256 - 1):
        with refuses("V:ASSET"):
            world.vault.send(ALICE, "depositAsset", asset, 1)


def test_a_synth_goes_out_to_the_wallet_and_back_in(funded: World) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, 90_000 * ONE_USDC)
    funded.vault.send(ALICE, "requestWithdraw", SBTC, ONE_SYNTH, False)
    funded.evm.advance(3600)
    funded.vault.send(STRANGER, "claimWithdraw", 1)
    synth = funded.synths[SBTC]
    assert synth.call("balanceOf", ALICE) == ONE_SYNTH

    synth.send(ALICE, "transfer", BOB, ONE_SYNTH)
    synth.send(BOB, "approve", funded.vault.address, ONE_SYNTH)
    funded.vault.send(BOB, "depositAsset", SBTC, ONE_SYNTH)

    assert funded.vault.call("balanceOf", BOB, SBTC) == ONE_SYNTH
    assert synth.call("balanceOf", funded.vault.address) == funded.vault.call("ledgerTotal", SBTC) == ONE_SYNTH


def test_a_permit_deposits_in_one_transaction(world: World) -> None:
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    deadline = world.evm.now
    signature = sign_permit(KEYS["alice"], world.usdc, world.vault.address, AMOUNT, deadline)

    world.vault.send(ALICE, "depositWithPermit", AMOUNT, deadline, *signature)

    assert world.cash(ALICE) == AMOUNT
    assert world.usdc.call("allowance", ALICE, world.vault.address) == 0


def test_attack_49_a_permit_that_was_front_run_still_deposits(world: World) -> None:
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    deadline = world.evm.now + 60
    signature = sign_permit(KEYS["alice"], world.usdc, world.vault.address, AMOUNT, deadline)
    world.usdc.send(STRANGER, "permit", ALICE, world.vault.address, AMOUNT, deadline, *signature)

    world.vault.send(ALICE, "depositWithPermit", AMOUNT, deadline, *signature)

    assert world.cash(ALICE) == AMOUNT


def test_a_permit_deposits_for_its_signer_only(world: World, refuses) -> None:
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    deadline = world.evm.now + 60
    signature = sign_permit(KEYS["alice"], world.usdc, world.vault.address, AMOUNT, deadline)
    with refuses("T:ALLOWANCE"):
        world.vault.send(STRANGER, "depositWithPermit", AMOUNT, deadline, *signature)
    assert world.usdc.call("balanceOf", ALICE) == AMOUNT


def test_an_expired_permit_deposits_nothing(world: World, refuses) -> None:
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    deadline = world.evm.now - 1
    signature = sign_permit(KEYS["alice"], world.usdc, world.vault.address, AMOUNT, deadline)
    with refuses("T:ALLOWANCE"):
        world.vault.send(ALICE, "depositWithPermit", AMOUNT, deadline, *signature)


WINDOW = (0, 2**40)
NONCE = bytes(range(32))


def authorized(world: World, amount: int = AMOUNT, window: tuple[int, int] = WINDOW, kind: str = "Receive") -> tuple:
    """Arguments of depositWithAuthorization, and of USDC's function less the recipient, as Alice signed them."""
    signature = sign_authorization(
        KEYS["alice"], world.usdc, world.vault.address, amount, NONCE, window=window, kind=kind
    )
    return (ALICE, amount, *window, NONCE, *signature)


@pytest.fixture
def moneyed(world: World) -> World:
    """Alice has money in her wallet, gave nobody an allowance, and needs no ether. Bob's is inside already."""
    world.deposit(BOB, AMOUNT)
    world.usdc.send(ALICE, "mint", ALICE, 2 * AMOUNT)
    return world


def test_a_signed_transfer_deposits_for_its_owner_whoever_submits_it(moneyed: World) -> None:
    logs = moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed))

    (fields,) = [fields for name, fields in moneyed.events(logs) if name == "Deposited"]
    assert fields == {"account": "0x" + ALICE.hex(), "asset": USDC, "amount": AMOUNT, "balance": AMOUNT}
    assert (moneyed.cash(ALICE), moneyed.cash(STRANGER)) == (AMOUNT, 0)
    assert moneyed.usdc.call("balanceOf", ALICE) == AMOUNT
    assert moneyed.vault.call("ledgerTotal", USDC) == 2 * AMOUNT


def test_attack_49_a_signed_transfer_cannot_be_front_run(moneyed: World, refuses) -> None:
    """USDC lets only the Vault use it, and the Vault credits only its owner; who is early has paid Alice's gas."""
    owner, amount, *rest = authorized(moneyed)
    for thief in (STRANGER, BOB, ALICE):
        with refuses("A:PAYEE"):
            moneyed.usdc.send(thief, "receiveWithAuthorization", owner, moneyed.vault.address, amount, *rest)
        with refuses("A:SIGNATURE"):
            moneyed.usdc.send(thief, "transferWithAuthorization", owner, moneyed.vault.address, amount, *rest)
    moneyed.vault.send(STRANGER, "depositWithAuthorization", owner, amount, *rest)
    with refuses("A:USED"):
        moneyed.vault.send(ALICE, "depositWithAuthorization", owner, amount, *rest)
    assert (moneyed.cash(ALICE), moneyed.usdc.call("balanceOf", ALICE)) == (AMOUNT, AMOUNT)


def test_attack_59_a_signed_transfer_deposits_once(moneyed: World, refuses) -> None:
    moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed))
    for _ in range(2):
        with refuses("A:USED"):
            moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed))
        moneyed.evm.advance(86_400)
    assert moneyed.cash(ALICE) == AMOUNT


def test_a_signature_for_the_other_kind_of_transfer_deposits_nothing(moneyed: World, refuses) -> None:
    """Anybody could submit that kind to USDC itself, and the money would be here without a credit."""
    with refuses("A:SIGNATURE"):
        moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed, kind="Transfer"))


@pytest.mark.parametrize(
    ("position", "value"), [(0, BOB), (1, AMOUNT - 1), (2, 1), (3, 2**40 + 1), (4, bytes(32)), (6, b"\1" * 32)]
)
def test_a_signed_transfer_is_good_for_what_was_signed(moneyed: World, refuses, position: int, value: object) -> None:
    changed = list(authorized(moneyed))
    changed[position] = value
    with refuses("A:SIGNATURE"):
        moneyed.vault.send(STRANGER, "depositWithAuthorization", *changed)
    assert moneyed.usdc.call("balanceOf", ALICE) == 2 * AMOUNT


def test_a_signed_transfer_is_good_between_its_two_seconds(moneyed: World, refuses) -> None:
    window = (moneyed.evm.now + 10, moneyed.evm.now + 20)
    moneyed.evm.advance(10)
    with refuses("A:EARLY"):
        moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed, window=window))
    moneyed.evm.advance(10)
    with refuses("A:LATE"):
        moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed, window=window))
    moneyed.evm.advance(-1)
    moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed, window=window))


def test_a_signed_transfer_of_nothing_or_of_too_much_is_refused(moneyed: World, refuses) -> None:
    with refuses("V:ZERO"):
        moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed, amount=0))
    with refuses("T:BALANCE"):
        moneyed.vault.send(STRANGER, "depositWithAuthorization", *authorized(moneyed, amount=2 * AMOUNT + 1))


def test_attack_54_a_signed_transfer_that_loses_a_fee_is_credited_as_received() -> None:
    world = World("HostileUSDC")
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    world.usdc.send(ALICE, "setFee", 100)
    signed = (ALICE, AMOUNT, *WINDOW, NONCE, 27, bytes(32), bytes(32))
    world.vault.send(STRANGER, "depositWithAuthorization", *signed)
    assert world.cash(ALICE) == world.usdc.call("balanceOf", world.vault.address) == AMOUNT * 99 // 100


def test_attack_55_a_signed_transfer_that_moves_nothing_deposits_nothing(refuses) -> None:
    world = World("HostileUSDC")
    world.usdc.send(ALICE, "mint", ALICE, AMOUNT)
    world.usdc.send(ALICE, "setLies", True)
    with refuses("V:ZERO"):
        world.vault.send(STRANGER, "depositWithAuthorization", ALICE, AMOUNT, *WINDOW, NONCE, 27, bytes(32), bytes(32))


def test_attack_28_a_donation_changes_nobodys_claim(funded: World) -> None:
    before = (funded.cash(ALICE), funded.vault.call("totalAssets"))
    funded.usdc.send(STRANGER, "mint", STRANGER, 10**12)
    funded.usdc.send(STRANGER, "transfer", funded.vault.address, 10**12)

    assert (funded.cash(ALICE), funded.vault.call("totalAssets")) == before
    assert funded.vault.call("convertToShares", 7) == funded.vault.call("convertToAssets", 7) == 7
    funded.deposit(STRANGER, 1)
    assert funded.vault.call("sharesOf", STRANGER) == 1


def test_attack_54_a_token_that_keeps_a_fee_is_credited_as_received() -> None:
    world = World("HostileUSDC")
    world.usdc.send(ALICE, "setFee", 100)
    world.deposit(ALICE, AMOUNT)

    assert world.cash(ALICE) == world.usdc.call("balanceOf", world.vault.address) == AMOUNT * 99 // 100


def test_attack_55_a_transfer_that_answers_false_deposits_nothing(refuses) -> None:
    world = World("HostileUSDC")
    world.usdc.send(ALICE, "setLies", True)
    with refuses("V:TRANSFER"):
        world.deposit(ALICE, AMOUNT)
    assert world.cash(ALICE) == 0


def test_attack_55_a_token_that_returns_nothing_works_in_and_out() -> None:
    world = World("SilentUSDC")
    world.deposit(ALICE, AMOUNT)
    world.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)
    world.evm.advance(3600)
    world.vault.send(ALICE, "claimWithdraw", 1)
    assert world.usdc.call("balanceOf", ALICE) == AMOUNT


def test_attack_71_a_deposit_that_cannot_be_credited_takes_no_money(refuses) -> None:
    """The ledger holds at most 104 bits of cash an account; what it refuses, the wallet keeps."""
    world = World()
    world.deposit(ALICE, 2**104 - 1)
    world.usdc.send(ALICE, "mint", ALICE, 1)
    world.usdc.send(ALICE, "approve", world.vault.address, 1)
    with refuses("S:PACK"):
        world.vault.send(ALICE, "deposit", 1)
    assert world.usdc.call("balanceOf", ALICE) == 1
    world.usdc.send(DEPLOYER, "blacklist", world.vault.address)
    with refuses("A:BLOCKED"):
        world.vault.send(ALICE, "deposit", 1)
    assert world.usdc.call("balanceOf", ALICE) == 1


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("deposit", (1,)),
        ("claimWithdraw", (1,)),
        ("requestWithdraw", (USDC, 1, False)),
        ("balanceOf", (ALICE, USDC)),
        ("sharesOf", (ALICE,)),
        ("totalAssets", ()),
        ("announcedTotal", (USDC,)),
        ("announcedOf", (ALICE, USDC)),
        ("withdrawals", (1,)),
        ("outflowWindow", ()),
        ("isNonceUsed", (ALICE, 1)),
        ("isPaused", ()),
        ("ledgerTotal", (USDC,)),
        ("cxptReserve", ()),
    ],
)
def test_attack_27_a_token_that_calls_back_finds_every_door_locked(function: str, arguments: tuple) -> None:
    world = World("HostileUSDC")
    world.deposit(ALICE, AMOUNT)
    world.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)
    world.evm.advance(3600)
    world.usdc.send(STRANGER, "setCall", world.vault.address, world.vault.encode(function, *arguments))

    world.vault.send(ALICE, "claimWithdraw", 1)

    assert world.usdc.call("calls") == 1
    assert world.usdc.call("callSucceeded") is False
    assert world.usdc.call("balanceOf", ALICE) == AMOUNT


def test_nobody_can_put_money_in_without_the_vault(world: World) -> None:
    with pytest.raises(Refused):
        world.settlement.send(ALICE, "credit", ALICE, CXPT, 1)
