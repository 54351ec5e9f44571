"""Each role plays the thief with every power it has, for a week; every user still leaves with all that is theirs.

A user here has cash, a debt position, a withdrawal under way and a past trade, and no open order: what an order can be
made to do is in `docs/security.md`. The thief ends the week without a unit of USDC, ADMIN with the fees and no more.
What ADMIN can do through the Timelock is another test's: it takes longer than leaving does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from custody_evm import Refused
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CORE,
    COSIGNER,
    DELAY,
    GATEWAY,
    GUARDIAN,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    REPORTER,
    SBTC,
    SETH,
    STRANGER,
    USDC,
    World,
    sign_leave,
)
from test_privileges import PRIVILEGED

from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus
from cxdex.order import Side

DAY = 86_400
CASH = 300_000 * ONE_USDC
COLLATERAL = {SBTC: 100_000 * ONE_USDC, SETH: 10_000 * ONE_USDC}
USERS = (ALICE, BOB, CAROL)
SYMBOLS = ("sBTC-USDC", "sETH-USDC")
MARKETS = tuple(market_hash(symbol) for symbol in SYMBOLS)
LOWEST, HIGHEST = 1, 2**80 - 1
LOTS, TICKS = 1_000, 600_000  # a tenth of an sBTC, 6,000 USDC
FEE = 15 * ONE_USDC  # from each side
SIX_HOURS = 6 * 3600

BROUGHT = CASH + sum(COLLATERAL.values())
# Carol has sold to Bob and bought it back: both have paid the fee twice and nothing else.
LEAVES_WITH = {ALICE: BROUGHT, BOB: BROUGHT - 2 * FEE, CAROL: BROUGHT - 2 * FEE}


@pytest.fixture
def lived_in(world: World) -> World:
    for account in USERS:
        world.deposit(account, CASH)
        for asset, collateral in COLLATERAL.items():
            world.borrow(account, asset, ONE_SYNTH, collateral)
        world.vault.send(account, "requestWithdraw", USDC, 1_000 * ONE_USDC, False)
    for seller, buyer in ((CAROL, BOB), (BOB, CAROL)):
        sale = world.order(seller, SYMBOLS[0], Side.SELL, LOTS, TICKS)
        world.settle(sale, world.order(buyer, SYMBOLS[0], Side.BUY, LOTS, TICKS), LOTS)
    return world


# ------------------------------------------------------------------ what each one tries, on each day


def guardian(world: World, day: int) -> None:
    """Pauses what it can for as long as it can, freezes and lowers what it can."""
    for market in MARKETS:
        attempt(world, "MarketRegistry", GUARDIAN, "setStatus", market, MarketStatus.PAUSED)
        attempt(world, "MarketRegistry", GUARDIAN, "setStatus", market, MarketStatus.DELISTED)
    for contract in ("Vault", "SynthEngine", "MarketRegistry"):
        attempt(world, contract, GUARDIAN, "pause", 72 * 3600)
    for asset in (SBTC, SETH):
        attempt(world, "SynthEngine", GUARDIAN, "lowerCap", asset, 0)
        attempt(world, "Oracle", GUARDIAN, "freeze", asset, 72 * 3600)
    attempt(world, "Oracle", GUARDIAN, "removeReporter", REPORTER)


def admin(world: World, day: int) -> None:
    """Takes the fees, closes and opens markets, ends and allows pauses, mints itself rebates of what is not there."""
    for market in MARKETS:
        attempt(world, "Vault", ADMIN, "collectFees", market)
        status = MarketStatus.DELISTED if day == 6 else MarketStatus.PAUSED
        attempt(world, "MarketRegistry", ADMIN, "setStatus", market, status)
    pocket = world.vault.call("feePocket")
    for amount in (world.vault.call("ledgerTotal", USDC), world.vault.call("collateralTotal"), pocket + 1):
        attempt(world, "Vault", ADMIN, "payRebates", [ADMIN], [amount])
        attempt(world, "Vault", ADMIN, "withdrawFees", ADMIN, amount)
    attempt(world, "Vault", ADMIN, "withdrawFees", ADMIN, pocket)
    for function in ("resume", "allowPause", "pause"):
        attempt(world, "Vault", ADMIN, function, *([1] if function == "pause" else []))


def core(world: World, day: int) -> None:
    """Goes silent or not, voids what it can, settles orders that it signed for others."""
    attempt(world, "Settlement", CORE, "beat")
    for market in MARKETS:
        attempt(world, "Settlement", CORE, "voidSequence", market, 4_096)
    attempt(world, "Settlement", CORE, "cancelAll")
    for victim, thief in ((ALICE, BOB), (BOB, ALICE)):
        bid = world.order(victim, SYMBOLS[0], Side.BUY, LOTS, TICKS, key="core")
        ask = world.order(thief, SYMBOLS[0], Side.SELL, LOTS, TICKS, key="core")
        with pytest.raises(Refused):
            world.settle(ask, bid, LOTS)


def gateway(world: World, day: int) -> None:
    attempt(world, "SynthFactory", GATEWAY, "createSynth", f"Synthetic trap {day}", f"sTRAP{day}")
    attempt(world, "SynthEngine", GATEWAY, "openAsset", SBTC + 2 + day, 2**100)
    attempt(world, "SynthEngine", GATEWAY, "openAsset", SBTC, 2**100)
    terms = (0, SBTC, 18, 2**32 - 1, 1, 50, 0)
    attempt(world, "MarketRegistry", GATEWAY, "listMarket", f"TRAP{day}", *terms)
    attempt(world, "MarketRegistry", GATEWAY, "listMarket", SYMBOLS[0], *terms)


def cosigner(world: World, day: int) -> None:
    """Signs whatever it likes: for itself, for users whose calls it cannot make, and all that it signed before."""
    for account in (COSIGNER, *USERS):
        for asset in (USDC, SBTC):
            terms = (asset, world.vault.call("balanceOf", account, asset), False, COSIGNER, day, 2**255)
            signature = sign_leave(KEYS["cosigner"], world.vault, account, *terms)
            attempt(world, "Vault", COSIGNER, "withdraw", *terms, *signature)
    for identity in range(1, 4):
        attempt(world, "Vault", COSIGNER, "redirectWithdraw", identity, COSIGNER)
        attempt(world, "Vault", COSIGNER, "cancelWithdraw", identity)


def reporter(world: World, day: int) -> None:
    """One of several: no price without another one."""
    for asset in (SBTC, SETH):
        try:
            world.report(asset, HIGHEST if day % 2 else LOWEST, reporters=("reporter",))
        except Refused:
            continue


THIEVES: dict[str, tuple[Callable[[World, int], None], bytes]] = {
    "guardian": (guardian, GUARDIAN),
    "admin": (admin, ADMIN),
    "core": (core, CORE),
    "gateway": (gateway, GATEWAY),
    "cosigner": (cosigner, COSIGNER),
    "reporter": (reporter, REPORTER),
}


@pytest.mark.parametrize("name", THIEVES)
def test_no_role_alone_keeps_a_user_in_or_takes_their_money(lived_in: World, name: str) -> None:
    thief, key = THIEVES[name]
    for day in range(7):
        thief(lived_in, day)
        for contract, function, arguments, _code, _holder in PRIVILEGED:
            if function not in ("withdrawFees", "collectFees"):  # each of these has a rule of its own above
                attempt(lived_in, contract, key, function, *arguments)
        lived_in.evm.advance(DAY)
    for account in USERS:
        leave(lived_in, account)
    assert {account: lived_in.usdc.call("balanceOf", account) for account in USERS} == LEAVES_WITH
    assert all(lived_in.synths[asset].call("totalSupply") == 0 for asset in (SBTC, SETH))
    taken = lived_in.usdc.call("balanceOf", key)
    assert taken == (4 * FEE if name == "admin" else 0)
    assert lived_in.usdc.call("balanceOf", lived_in.vault.address) == 4 * FEE - taken


def attempt(world: World, contract: str, key: bytes, function: str, *arguments: object) -> None:
    """What is refused is refused; the thief goes on."""
    target = world.contracts.get(contract) or world.synths[SBTC]
    try:
        target.send(key, function, *arguments)
    except Refused:
        return


def leave(world: World, account: bytes) -> None:
    """Takes the synths out, pays the debt back, takes everything out. Needs no price, no open market, no role."""
    for asset in (SBTC, SETH):
        world.vault.send(account, "requestWithdraw", asset, world.vault.call("balanceOf", account, asset), False)
    claim_all(world, DELAY)
    for asset in (SBTC, SETH):
        world.synths[asset].send(account, "approve", world.vault.address, ONE_SYNTH)
        world.engine.send(account, "burn", asset, ONE_SYNTH)
        world.engine.send(account, "withdrawCollateral", asset, COLLATERAL[asset])
    free = world.cash(account) - world.vault.call("announcedOf", account, USDC)
    world.vault.send(account, "requestWithdraw", USDC, free, False)
    claim_all(world, SIX_HOURS)  # the breaker may ask for that


def claim_all(world: World, wait: int) -> None:
    world.evm.advance(wait)
    for identity in range(1, world.vault.call("withdrawalCount") + 1):
        attempt(world, "Vault", STRANGER, "claimWithdraw", identity)
