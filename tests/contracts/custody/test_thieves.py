"""Each role plays the thief with every power it has, for a week; every user still leaves with all that is theirs.

A user here has cash, a debt position and a withdrawal under way, and no open order: what an order can be made to do
is in `docs/security.md`. The thief must end the week without a unit of USDC.
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
    DELAY,
    GATEWAY,
    GUARDIAN,
    ONE_SYNTH,
    ONE_USDC,
    REPORTER,
    SBTC,
    SETH,
    STRANGER,
    USDC,
    World,
)
from test_privileges import PRIVILEGED

from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus

DAY = 86_400
BROUGHT = 300_000 * ONE_USDC
USERS = (ALICE, BOB, CAROL)
MARKETS = tuple(market_hash(f"{symbol}-USDC") for symbol in ("sBTC", "sETH"))
LOWEST, HIGHEST = 1, 2**96 - 1


@pytest.fixture
def lived_in(world: World) -> World:
    for account in USERS:
        world.deposit(account, BROUGHT)
        world.engine.send(account, "mint", SBTC, ONE_SYNTH, 100_000 * ONE_USDC)
        world.engine.send(account, "mint", SETH, ONE_SYNTH, 10_000 * ONE_USDC)
        world.vault.send(account, "requestWithdraw", USDC, 1_000 * ONE_USDC, False)
    return world


def guardian(world: World, day: int) -> None:
    for market in MARKETS:
        attempt(world, "registry", GUARDIAN, "setStatus", market, MarketStatus.PAUSED)
        attempt(world, "registry", GUARDIAN, "setStatus", market, MarketStatus.DELISTED)


def admin(world: World, day: int) -> None:
    """Lets itself report, says absurd prices, opens and closes markets, takes the fees."""
    attempt(world, "oracle", ADMIN, "setReporter", ADMIN, True)
    attempt(world, "oracle", ADMIN, "setReporter", REPORTER, False)
    for asset in (SBTC, SETH):
        attempt(world, "oracle", ADMIN, "report", asset, LOWEST if day % 2 else HIGHEST, world.evm.now)
    for market in MARKETS:
        status = MarketStatus.DELISTED if day == 6 else MarketStatus.PAUSED
        attempt(world, "registry", ADMIN, "setStatus", market, status)
        attempt(world, "settlement", ADMIN, "collectFees", market)


def core(world: World, day: int) -> None:
    """Voids what it can and settles nothing. Fills that nobody signed: test_hostile_machine."""
    for market in MARKETS:
        attempt(world, "settlement", CORE, "voidSequence", market, 10**9)
    attempt(world, "settlement", CORE, "cancelAll")


def gateway(world: World, day: int) -> None:
    attempt(world, "factory", GATEWAY, "createSynth", f"Synthetic trap {day}", f"sTRAP{day}")
    terms = (0, SBTC, 18, 2**32 - 1, 1, 50, 0)
    attempt(world, "registry", GATEWAY, "listMarket", f"TRAP{day}", *terms)
    attempt(world, "registry", GATEWAY, "listMarket", "sBTC-USDC", *terms)


def reporter(world: World, day: int) -> None:
    for asset in (SBTC, SETH):
        attempt(world, "oracle", REPORTER, "report", asset, HIGHEST if day % 2 else LOWEST, world.evm.now)


@pytest.mark.parametrize(
    ("thief", "key"),
    [(guardian, GUARDIAN), (admin, ADMIN), (core, CORE), (gateway, GATEWAY), (reporter, REPORTER)],
)
def test_no_role_alone_keeps_a_user_in_or_takes_their_money(
    lived_in: World, thief: Callable[[World, int], None], key: bytes
) -> None:
    for day in range(7):
        thief(lived_in, day)
        for contract, function, arguments, _code, _holder in PRIVILEGED:
            attempt(lived_in, contract, key, function, *arguments)
        lived_in.evm.advance(DAY)
    for account in USERS:
        leave(lived_in, account)
    assert [lived_in.usdc.call("balanceOf", account) for account in USERS] == [BROUGHT] * len(USERS)
    assert lived_in.usdc.call("balanceOf", key) == 0
    assert lived_in.usdc.call("balanceOf", lived_in.vault.address) == 0


def attempt(world: World, contract: str, key: bytes, function: str, *arguments: object) -> None:
    """What is refused is refused; the thief goes on."""
    target = world.contracts.get(contract) or getattr(world, contract)
    try:
        target.send(key, function, *arguments)
    except Refused:
        return


def leave(world: World, account: bytes) -> None:
    """Pays the debt back, takes everything out. Needs no price, no open market, no role."""
    for asset in (SBTC, SETH):
        world.engine.send(account, "burn", asset, ONE_SYNTH)
        _debt, collateral = world.engine.call("positions", account, asset)
        world.engine.send(account, "withdrawCollateral", asset, collateral)
    world.vault.send(account, "requestWithdraw", USDC, world.cash(account), False)
    world.evm.advance(DELAY)
    for identity in range(1, world.vault.call("withdrawalCount") + 1):
        attempt(world, "vault", STRANGER, "claimWithdraw", identity)
