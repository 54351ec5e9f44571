"""Money going out the slow way: announce, wait, claim. Nobody's leave is needed and nobody else is paid.

The fast way is in `test_instant_withdrawal`, the breaker in `test_breaker`.
"""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CXPT,
    DELAY,
    DEPLOYER,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STRANGER,
    USDC,
    World,
)

from cxdex.order import Side

AMOUNT = 40_000 * ONE_USDC
EVERYTHING = 100_000 * ONE_USDC
NOTHING = ("0x" + "00" * 20, 0, 0, False, 0, "0x" + "00" * 20, 0)


def request(world: World, amount: int = AMOUNT, as_cxpt: bool = False) -> int:
    logs = world.vault.send(ALICE, "requestWithdraw", USDC, amount, as_cxpt)
    identity: int = world.events(logs)[-1][1]["id"]
    return identity


def announced(world: World, account: bytes = ALICE, asset: int = USDC) -> tuple[int, int]:
    """By this account, and by all."""
    return world.vault.call("announcedOf", account, asset), world.vault.call("announcedTotal", asset)


def spend(world: World, amount: int) -> None:
    """A fill takes this much of Alice's cash, fee included, and more if need be."""
    world.borrow(BOB, SBTC, 10 * ONE_SYNTH, 10**12)
    lots = amount // 60_150_000 + 1  # a lot at 600,000 ticks costs 6 USDC and the fee
    maker = world.order(BOB, "sBTC-USDC", Side.SELL, lots, 600_000)
    taker = world.order(ALICE, "sBTC-USDC", Side.BUY, lots, 600_000)
    assert [name for name, _ in world.events(world.settle(maker, taker, lots))] == ["Fill"]


def only(world: World, logs: list[Any], name: str) -> dict[str, Any]:
    """The one event of the Vault among those of tokens."""
    (fields,) = [fields for found, fields in world.events(logs) if found == name]
    return fields


def test_a_request_announces_and_moves_nothing(funded: World) -> None:
    logs = funded.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)

    assert funded.events(logs) == [
        (
            "WithdrawRequested",
            {
                "id": 1,
                "account": "0x" + ALICE.hex(),
                "asset": USDC,
                "amount": AMOUNT,
                "asCxpt": False,
                "claimableAt": funded.evm.now + DELAY,
            },
        )
    ]
    assert funded.cash(ALICE) == EVERYTHING
    assert announced(funded) == (AMOUNT, AMOUNT)
    assert funded.vault.call("totalAssets") == 2 * EVERYTHING
    account = "0x" + ALICE.hex()
    waiting = (account, USDC, AMOUNT, False, funded.evm.now + DELAY, account, funded.evm.now)
    assert funded.vault.call("withdrawals", 1) == waiting


@pytest.mark.parametrize("moment", [2**31 + 1, 2**39 + 1, 2**40 - 1])
def test_a_request_keeps_the_second_that_it_was_made_in(funded: World, refuses, moment: int) -> None:
    """As long as there are seconds that fit: until the year 36812."""
    funded.evm.advance(moment - funded.evm.now)
    identity = request(funded, as_cxpt=True)
    waiting = ("0x" + ALICE.hex(), USDC, AMOUNT, True, moment + DELAY, "0x" + ALICE.hex(), moment)
    assert funded.vault.call("withdrawals", identity) == waiting
    if moment == 2**40 - 1:
        funded.evm.advance(1)
        with refuses("Q:RANGE"):
            request(funded)


def test_anyone_may_claim_after_the_delay_and_only_the_owner_is_paid(funded: World, refuses) -> None:
    identity = request(funded)
    funded.evm.advance(DELAY - 1)
    with refuses("V:DELAY"):
        funded.vault.send(ALICE, "claimWithdraw", identity)
    funded.evm.advance(1)

    logs = funded.vault.send(STRANGER, "claimWithdraw", identity)

    assert only(funded, logs, "WithdrawClaimed") == {
        "id": identity,
        "account": "0x" + ALICE.hex(),
        "asset": USDC,
        "amount": AMOUNT,
        "paid": AMOUNT,
        "asCxpt": False,
        "recipient": "0x" + ALICE.hex(),
        "balance": EVERYTHING - AMOUNT,
    }
    assert funded.usdc.call("balanceOf", ALICE) == AMOUNT
    assert funded.usdc.call("balanceOf", STRANGER) == 0
    assert funded.cash(ALICE) == EVERYTHING - AMOUNT
    assert funded.vault.call("ledgerTotal", USDC) == 2 * EVERYTHING - AMOUNT
    assert announced(funded) == (0, 0)
    assert funded.vault.call("withdrawals", identity) == NOTHING


def test_nothing_is_announced_twice(funded: World, refuses) -> None:
    request(funded, EVERYTHING - 5)
    for amount in (6, EVERYTHING, 2**256 - 1):
        with refuses("V:FUNDS"):
            request(funded, amount)
    request(funded, 5)
    with refuses("V:FUNDS"):
        request(funded, 1)
    assert announced(funded) == (EVERYTHING, EVERYTHING)
    funded.vault.send(BOB, "requestWithdraw", USDC, 1, False)
    assert announced(funded) == (EVERYTHING, EVERYTHING + 1)


def test_an_account_that_traded_its_announcement_away_announces_nothing_more(funded: World, refuses) -> None:
    request(funded, EVERYTHING)
    spend(funded, AMOUNT)
    assert funded.cash(ALICE) < announced(funded)[0]
    with refuses("V:FUNDS"):
        request(funded, 1)


def test_what_fills_have_left_is_paid_to_the_owner_and_at_the_owners_call_only(funded: World, refuses) -> None:
    identity = request(funded, EVERYTHING)
    spend(funded, AMOUNT)
    left = funded.cash(ALICE)
    funded.evm.advance(DELAY)
    for other in (STRANGER, BOB, ADMIN):
        with refuses("V:FUNDS"):
            funded.vault.send(other, "claimWithdraw", identity)

    fields = only(funded, funded.vault.send(ALICE, "claimWithdraw", identity), "WithdrawClaimed")

    assert (fields["amount"], fields["paid"], fields["balance"]) == (EVERYTHING, left, 0)
    assert funded.usdc.call("balanceOf", ALICE) == left
    assert announced(funded) == (0, 0)
    with refuses("Q:UNKNOWN"):
        funded.vault.send(ALICE, "claimWithdraw", identity)


def test_a_claim_on_nothing_is_refused_and_stays(funded: World, refuses) -> None:
    first, second = request(funded, AMOUNT), request(funded, EVERYTHING - AMOUNT)
    spend(funded, 1)
    funded.evm.advance(DELAY)
    funded.vault.send(ALICE, "claimWithdraw", second)
    funded.vault.send(ALICE, "claimWithdraw", first)
    assert funded.cash(ALICE) == 0

    third = deposit_and_request(funded, 5)
    funded.leave(ALICE, USDC, 5)
    funded.evm.advance(DELAY)
    with refuses("V:FUNDS"):
        funded.vault.send(ALICE, "claimWithdraw", third)
    funded.deposit(ALICE, 5)
    funded.vault.send(STRANGER, "claimWithdraw", third)
    assert funded.cash(ALICE) == 0


def deposit_and_request(world: World, amount: int) -> int:
    world.deposit(ALICE, amount)
    return request(world, amount)


def test_attack_50_a_claim_without_request_or_a_second_one_is_refused(funded: World, refuses) -> None:
    with refuses("Q:UNKNOWN"):
        funded.vault.send(ALICE, "claimWithdraw", 1)
    identity = request(funded)
    funded.evm.advance(DELAY)
    funded.vault.send(ALICE, "claimWithdraw", identity)
    for function, *more in (("claimWithdraw",), ("cancelWithdraw",), ("redirectWithdraw", BOB)):
        with refuses("Q:UNKNOWN"):
            funded.vault.send(ALICE, function, identity, *more)
    assert funded.usdc.call("balanceOf", ALICE) == AMOUNT


def test_attack_50_only_the_owner_re_arms_a_timer(funded: World, refuses) -> None:
    """Elsewhere anybody could start another's delay anew, for ever."""
    identity = request(funded)
    due = funded.vault.call("withdrawals", identity)[4]
    funded.evm.advance(DELAY - 1)
    for other in (STRANGER, BOB, ADMIN):
        with refuses("V:OWNER"):
            funded.vault.send(other, "redirectWithdraw", identity, other)
    assert funded.vault.call("withdrawals", identity)[4] == due
    funded.evm.advance(1)
    funded.vault.send(STRANGER, "claimWithdraw", identity)


def test_attack_59_a_cancelled_withdrawal_cannot_be_claimed(funded: World, refuses) -> None:
    identity = request(funded)
    logs = funded.vault.send(ALICE, "cancelWithdraw", identity)
    fields = {"id": identity, "account": "0x" + ALICE.hex(), "asset": USDC, "amount": AMOUNT}
    assert funded.events(logs) == [("WithdrawCancelled", fields)]
    assert (funded.cash(ALICE), announced(funded)) == (EVERYTHING, (0, 0))
    funded.evm.advance(DELAY)
    with refuses("Q:UNKNOWN"):
        funded.vault.send(ALICE, "claimWithdraw", identity)


def test_attack_15_only_the_owner_cancels(funded: World, refuses) -> None:
    identity = request(funded)
    for other in (BOB, STRANGER, ADMIN):
        with refuses("V:OWNER"):
            funded.vault.send(other, "cancelWithdraw", identity)
    assert announced(funded) == (AMOUNT, AMOUNT)


def test_attack_52_a_flood_of_dust_holds_up_nobody(funded: World, refuses) -> None:
    """There is no order in the queue and nothing walks it: each request keeps its own time and its own cost."""
    for _ in range(40):
        funded.vault.send(BOB, "requestWithdraw", USDC, 1, False)
    funded.evm.advance(DELAY // 2)
    mine = request(funded)
    funded.evm.advance(DELAY // 2)
    with refuses("V:DELAY"):
        funded.vault.send(STRANGER, "claimWithdraw", mine)
    funded.vault.send(STRANGER, "claimWithdraw", 40)
    funded.evm.advance(DELAY // 2)
    funded.vault.send(STRANGER, "claimWithdraw", mine)
    assert funded.usdc.call("balanceOf", ALICE) == AMOUNT
    assert announced(funded) == (0, 39)


@pytest.mark.parametrize(
    ("asset", "amount", "as_cxpt", "code"),
    [
        (USDC, 0, False, "V:ZERO"),
        (USDC, EVERYTHING + 1, False, "V:FUNDS"),
        (USDC, 2**256 - 1, False, "V:FUNDS"),
        (SBTC, 1, False, "V:FUNDS"),
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


def test_attack_51_a_blacklisted_owner_redirects_with_a_fresh_delay(funded: World, refuses) -> None:
    for account in (ALICE, BOB):
        funded.vault.send(account, "requestWithdraw", USDC, AMOUNT, False)
    funded.usdc.send(DEPLOYER, "blacklist", ALICE)
    funded.evm.advance(DELAY)
    with refuses("A:BLOCKED"):
        funded.vault.send(ALICE, "claimWithdraw", 1)
    funded.vault.send(BOB, "claimWithdraw", 2)
    assert funded.usdc.call("balanceOf", BOB) == AMOUNT

    logs = funded.vault.send(ALICE, "redirectWithdraw", 1, CAROL)

    due = funded.evm.now + DELAY
    fields = {"id": 1, "account": "0x" + ALICE.hex(), "recipient": "0x" + CAROL.hex(), "claimableAt": due}
    assert funded.events(logs) == [("WithdrawRedirected", fields)]
    assert funded.vault.call("withdrawals", 1)[4:] == (due, "0x" + CAROL.hex(), funded.evm.now)
    assert announced(funded) == (AMOUNT, AMOUNT)
    funded.evm.advance(DELAY - 1)
    with refuses("V:DELAY"):
        funded.vault.send(STRANGER, "claimWithdraw", 1)
    funded.evm.advance(1)
    claimed = only(funded, funded.vault.send(STRANGER, "claimWithdraw", 1), "WithdrawClaimed")
    assert (claimed["recipient"], claimed["account"]) == ("0x" + CAROL.hex(), "0x" + ALICE.hex())
    assert (funded.usdc.call("balanceOf", CAROL), funded.usdc.call("balanceOf", ALICE)) == (AMOUNT, 0)


def test_attack_51_a_blacklisted_owner_may_also_take_cxpt_or_stay(funded: World) -> None:
    funded.usdc.send(DEPLOYER, "blacklist", ALICE)
    as_cash, as_cxpt = request(funded), request(funded, AMOUNT, True)
    funded.evm.advance(DELAY)
    funded.vault.send(STRANGER, "claimWithdraw", as_cxpt)
    assert funded.cxpt.call("balanceOf", ALICE) == AMOUNT
    funded.vault.send(ALICE, "cancelWithdraw", as_cash)
    assert funded.cash(ALICE) == EVERYTHING - AMOUNT


def test_money_is_sent_to_nobody_and_to_the_vault_never(funded: World, refuses) -> None:
    identity = request(funded)
    for recipient in (bytes(20), funded.vault.address):
        with refuses("V:RECIPIENT"):
            funded.vault.send(ALICE, "redirectWithdraw", identity, recipient)


def test_attack_53_a_claim_that_the_token_refused_works_later(refuses) -> None:
    world = World("HostileUSDC")
    world.deposit(ALICE, AMOUNT)
    world.vault.send(ALICE, "requestWithdraw", USDC, AMOUNT, False)
    world.evm.advance(DELAY)
    world.usdc.send(STRANGER, "setBlocked", world.vault.address, True)
    with refuses("blocked"):
        world.vault.send(ALICE, "claimWithdraw", 1)
    assert (announced(world), world.cash(ALICE)) == ((AMOUNT, AMOUNT), AMOUNT)
    world.usdc.send(STRANGER, "setLies", True)
    world.usdc.send(STRANGER, "setBlocked", world.vault.address, False)
    with refuses("V:TRANSFER"):
        world.vault.send(ALICE, "claimWithdraw", 1)
    world.usdc.send(STRANGER, "setLies", False)
    world.vault.send(STRANGER, "claimWithdraw", 1)
    assert world.usdc.call("balanceOf", ALICE) == AMOUNT


def test_attack_53_the_issuer_freezes_the_vault_and_lets_go(funded: World, refuses) -> None:
    identity = request(funded)
    funded.usdc.send(DEPLOYER, "blacklist", funded.vault.address)
    funded.evm.advance(DELAY)
    with refuses("A:BLOCKED"):
        funded.vault.send(ALICE, "claimWithdraw", identity)
    with refuses("A:BLOCKED"):
        funded.leave(ALICE, USDC, 1)
    funded.usdc.send(DEPLOYER, "unBlacklist", funded.vault.address)
    funded.vault.send(STRANGER, "claimWithdraw", identity)
    assert funded.usdc.call("balanceOf", ALICE) == AMOUNT


def test_nobody_can_be_made_to_wait_longer_than_six_hours(refuses) -> None:
    assert World(withdrawal_delay=6 * 3600).vault.call("withdrawalDelay") == 6 * 3600
    with refuses("Q:DELAY"):
        World(withdrawal_delay=6 * 3600 + 1)
