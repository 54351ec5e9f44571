"""Money going out: request, wait, claim. Nobody's leave is needed and nobody else is paid."""

from __future__ import annotations

import pytest
from custody_world import ADMIN, ALICE, BOB, CXPT, DELAY, ONE_USDC, SBTC, STRANGER, USDC, World

AMOUNT = 40_000 * ONE_USDC


def request(world: World, amount: int = AMOUNT, as_cxpt: bool = False) -> int:
    logs = world.vault.send(ALICE, "requestWithdraw", USDC, amount, as_cxpt)
    identity: int = world.events(logs)[-1][1]["id"]
    return identity


def test_a_request_leaves_the_trading_balance_at_once(funded: World) -> None:
    logs = funded.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)

    name, fields = funded.events(logs)[-1]
    assert name == "WithdrawRequested"
    assert fields["balance"] == funded.cash(ALICE) == 60_000 * ONE_USDC
    assert fields["claimableAt"] == funded.evm.now + DELAY
    assert funded.vault.call("pendingTotal", USDC) == AMOUNT
    assert funded.vault.call("totalAssets") == 160_000 * ONE_USDC


def test_anyone_may_claim_after_the_delay_and_only_the_owner_is_paid(funded: World, refuses) -> None:
    identity = request(funded)
    funded.evm.advance(DELAY - 1)
    with refuses("V:DELAY"):
        funded.vault.send(ALICE, "claimWithdraw", identity)
    funded.evm.advance(1)

    name, fields = funded.events(funded.vault.send(STRANGER, "claimWithdraw", identity))[0]

    assert (name, fields["amount"], fields["asCxpt"]) == ("WithdrawClaimed", AMOUNT, False)
    assert funded.usdc.call("balanceOf", ALICE) == AMOUNT
    assert funded.usdc.call("balanceOf", STRANGER) == 0
    assert funded.vault.call("pendingTotal", USDC) == 0
    assert funded.vault.call("withdrawals", identity) == ("0x" + "00" * 20, 0, 0, False, 0)


def test_attack_50_a_claim_without_request_or_a_second_one_is_refused(funded: World, refuses) -> None:
    with refuses("Q:UNKNOWN"):
        funded.vault.send(ALICE, "claimWithdraw", 1)
    identity = request(funded)
    funded.evm.advance(DELAY)
    funded.vault.send(ALICE, "claimWithdraw", identity)
    for function in ("claimWithdraw", "cancelWithdraw"):
        with refuses("Q:UNKNOWN"):
            funded.vault.send(ALICE, function, identity)


def test_a_cancelled_withdrawal_is_back_in_the_balance_and_cannot_be_claimed(funded: World, refuses) -> None:
    identity = request(funded)
    name, fields = funded.events(funded.vault.send(ALICE, "cancelWithdraw", identity))[-1]
    assert (name, fields["balance"]) == ("WithdrawCancelled", 100_000 * ONE_USDC)
    funded.evm.advance(DELAY)
    with refuses("Q:UNKNOWN"):
        funded.vault.send(ALICE, "claimWithdraw", identity)


def test_attack_15_only_the_owner_cancels(funded: World, refuses) -> None:
    identity = request(funded)
    for other in (BOB, STRANGER, ADMIN):
        with refuses("V:OWNER"):
            funded.vault.send(other, "cancelWithdraw", identity)
    assert funded.vault.call("pendingTotal", USDC) == AMOUNT


def test_requests_are_independent_and_keep_their_own_time(funded: World, refuses) -> None:
    first = request(funded, 1)
    funded.evm.advance(DELAY // 2)
    second = request(funded, 2)
    funded.evm.advance(DELAY // 2)
    funded.vault.send(STRANGER, "claimWithdraw", first)
    with refuses("V:DELAY"):
        funded.vault.send(STRANGER, "claimWithdraw", second)
    assert funded.vault.call("withdrawals", second) == (
        "0x" + ALICE.hex(),
        USDC,
        2,
        False,
        funded.evm.now + DELAY // 2,
    )


@pytest.mark.parametrize(
    ("asset", "amount", "as_cxpt", "code"),
    [
        (USDC, 0, False, "V:ZERO"),
        (USDC, 100_000 * ONE_USDC + 1, False, "S:FUNDS"),
        (USDC, 2**256 - 1, False, "S:FUNDS"),
        (SBTC, 1, False, "S:FUNDS"),
        (SBTC, 1, True, "V:CXPT"),
        (CXPT, 1, True, "V:CXPT"),
        (4, 1, False, "V:ASSET"),
        (2**96 + SBTC, 1, False, "V:ASSET"),
    ],
)
def test_what_cannot_be_withdrawn_is_refused(
    funded: World, refuses, asset: int, amount: int, as_cxpt: bool, code: str
) -> None:
    with refuses(code):
        funded.vault.send(ALICE, "requestWithdraw", asset, amount, as_cxpt)


def test_attack_51_a_blacklisted_owner_holds_up_nobody_else(refuses) -> None:
    world = World("HostileUSDC")
    for account in (ALICE, BOB):
        world.deposit(account, AMOUNT)
        world.vault.send(account, "requestWithdraw", USDC, AMOUNT, False)
    world.usdc.send(STRANGER, "setBlocked", ALICE, True)
    world.evm.advance(DELAY)
    with refuses("blocked"):
        world.vault.send(ALICE, "claimWithdraw", 1)
    world.vault.send(BOB, "claimWithdraw", 2)
    assert world.usdc.call("balanceOf", BOB) == AMOUNT

    world.vault.send(ALICE, "cancelWithdraw", 1)
    assert world.cash(ALICE) == AMOUNT


def test_attack_53_a_claim_that_the_token_refused_works_later(refuses) -> None:
    world = World("HostileUSDC")
    world.deposit(ALICE, AMOUNT)
    world.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)
    world.evm.advance(DELAY)
    world.usdc.send(STRANGER, "setBlocked", world.vault.address, True)
    with refuses("blocked"):
        world.vault.send(ALICE, "claimWithdraw", 1)
    assert world.vault.call("pendingTotal", USDC) == AMOUNT
    world.usdc.send(STRANGER, "setLies", True)
    world.usdc.send(STRANGER, "setBlocked", world.vault.address, False)
    with refuses("V:TRANSFER"):
        world.vault.send(ALICE, "claimWithdraw", 1)
    world.usdc.send(STRANGER, "setLies", False)
    world.vault.send(STRANGER, "claimWithdraw", 1)
    assert world.usdc.call("balanceOf", ALICE) == AMOUNT


def test_nobody_can_be_made_to_wait_longer_than_six_hours(refuses) -> None:
    assert World(withdrawal_delay=6 * 3600).vault.call("withdrawalDelay") == 6 * 3600
    with refuses("Q:DELAY"):
        World(withdrawal_delay=6 * 3600 + 1)
