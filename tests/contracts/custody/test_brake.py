"""GUARDIAN's pause of deposits: 72 hours at most, once in 30 days, and no way out is ever paused."""

from __future__ import annotations

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CORE,
    COSIGNER,
    CXPT,
    DELAY,
    GUARDIAN,
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

HOUR = 3600
LONGEST = 72 * HOUR
INTERVAL = 30 * 24 * HOUR


def test_a_pause_ends_by_itself_to_the_second(funded: World, refuses) -> None:
    logs = funded.vault.send(GUARDIAN, "pause", LONGEST)
    until, again = funded.evm.now + LONGEST, funded.evm.now + INTERVAL
    assert funded.events(logs) == [("Paused", {"until": until, "nextPauseFrom": again})]
    assert funded.vault.call("pausedUntil") == until
    funded.give(ALICE, 1)
    funded.evm.advance(LONGEST - 1)
    assert funded.vault.call("isPaused") is True
    with refuses("B:PAUSED"):
        funded.vault.send(ALICE, "deposit", 1)
    funded.evm.advance(1)
    assert funded.vault.call("isPaused") is False
    funded.vault.send(ALICE, "deposit", 1)


def test_every_way_in_is_paused(funded: World, refuses) -> None:
    funded.leave(BOB, USDC, 5, as_cxpt=True)
    funded.cxpt.send(BOB, "approve", funded.vault.address, 5)
    funded.give(ALICE, 10)
    end = funded.evm.now + LONGEST
    permit = sign_permit(KEYS["alice"], funded.usdc, funded.vault.address, 1, end)
    window = (0, end)
    signed = sign_authorization(KEYS["alice"], funded.usdc, funded.vault.address, 1, b"\1" * 32, window=window)
    funded.vault.send(GUARDIAN, "pause", 1)
    for account, function, *arguments in (
        (ALICE, "deposit", 1),
        (ALICE, "depositWithPermit", 1, end, *permit),
        (STRANGER, "depositWithAuthorization", ALICE, 1, *window, b"\1" * 32, *signed),
        (ALICE, "depositAsset", USDC, 1),
        (BOB, "depositAsset", CXPT, 5),
    ):
        with refuses("B:PAUSED"):
            funded.vault.send(account, function, *arguments)
    assert funded.usdc.call("balanceOf", ALICE) == 10


def test_no_way_out_is_paused(funded: World) -> None:
    funded.leave(ALICE, USDC, 5, as_cxpt=True)
    funded.borrow(BOB, SBTC, ONE_SYNTH, 90_000 * ONE_USDC)
    funded.to_wallet(BOB, SBTC, ONE_SYNTH)
    funded.vault.send(ALICE, "requestWithdraw", USDC, 1, False)
    funded.vault.send(GUARDIAN, "pause", LONGEST)

    funded.vault.send(ALICE, "redeemCxpt", 5)
    funded.vault.send(ALICE, "requestWithdraw", USDC, 2, True)
    funded.vault.send(ALICE, "cancelWithdraw", 2)
    funded.leave(ALICE, USDC, 3)
    funded.engine.send(BOB, "burn", SBTC, ONE_SYNTH)
    funded.engine.send(BOB, "withdrawCollateral", SBTC, 90_000 * ONE_USDC)
    funded.vault.send(ALICE, "redirectWithdraw", 1, BOB)
    funded.evm.advance(DELAY)
    funded.vault.send(STRANGER, "claimWithdraw", 1)
    assert funded.vault.call("isPaused") is True


def test_collateral_can_be_added_during_a_pause(funded: World) -> None:
    funded.borrow(ALICE, SBTC, ONE_SYNTH, 90_000 * ONE_USDC)
    funded.vault.send(GUARDIAN, "pause", LONGEST)
    funded.give(ALICE, 7)
    funded.engine.send(ALICE, "addCollateral", SBTC, 7)


def test_the_next_pause_is_thirty_days_after_the_last_began(funded: World, refuses) -> None:
    funded.vault.send(GUARDIAN, "pause", 1)
    funded.evm.advance(INTERVAL - 1)
    with refuses("B:SOON"):
        funded.vault.send(GUARDIAN, "pause", LONGEST)
    funded.evm.advance(1)
    funded.vault.send(GUARDIAN, "pause", LONGEST)
    assert funded.vault.call("isPaused") is True


def test_admin_ends_a_pause_and_may_allow_the_next_one(funded: World, refuses) -> None:
    funded.vault.send(GUARDIAN, "pause", LONGEST)
    assert funded.events(funded.vault.send(ADMIN, "resume")) == [("Resumed", {})]
    assert funded.vault.call("pausedUntil") == 0
    funded.give(ALICE, 1)
    funded.vault.send(ALICE, "deposit", 1)
    with refuses("B:SOON"):
        funded.vault.send(GUARDIAN, "pause", 1)
    assert funded.events(funded.vault.send(ADMIN, "allowPause")) == [("PauseAllowed", {})]
    assert funded.vault.call("nextPauseFrom") == 0
    funded.vault.send(GUARDIAN, "pause", 1)
    with refuses("B:SOON"):
        funded.vault.send(GUARDIAN, "pause", 1)


@pytest.mark.parametrize("duration", [0, LONGEST + 1, 2**256 - 1])
def test_a_pause_without_end_is_refused(funded: World, refuses, duration: int) -> None:
    with refuses("B:RANGE"):
        funded.vault.send(GUARDIAN, "pause", duration)


def test_nobody_else_pauses_or_resumes(funded: World, refuses) -> None:
    for other in (ADMIN, CORE, COSIGNER, ALICE):
        with refuses("B:GUARDIAN"):
            funded.vault.send(other, "pause", 1)
    for other in (GUARDIAN, CORE, COSIGNER, ALICE):
        for function in ("resume", "allowPause"):
            with refuses("B:RELEASER"):
                funded.vault.send(other, function)
