"""Attack 74: between the match of a fill and its settlement, its owner tries to make it worth nothing.

Who could void a fill that turned out badly and keep one that turned out well would trade for free. So a trading balance
has three exits: a fill, a withdrawal that was announced a delay ago, a withdrawal that COSIGNER signed. Every other
door is tried here, by both sides of a matched fill, and the fill settles all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from custody_evm import Refused
from custody_world import (
    ALICE,
    BOB,
    CXPT,
    DELAY,
    KEYS,
    ONE_SYNTH,
    ONE_USDC,
    SBTC,
    STRANGER,
    USDC,
    World,
    sign_authorization,
    sign_leave,
    sign_permit,
)

from cxdex.eip712 import market_hash
from cxdex.order import Side

CASH = 100_000 * ONE_USDC
LOTS, TICKS = 10_000, 600_000  # one sBTC for 60,000 USDC
FOR_EVER = 2**40
MARKET = market_hash("sBTC-USDC")
SETTLES_WITHIN = 299  # seconds; a cancel on chain counts after 300

Call = tuple[str, str, tuple[Any, ...]]


@pytest.fixture
def matched(funded: World) -> World:
    """Alice has cash for one sBTC, Bob has one sBTC; both have money in their wallets and gave every allowance."""
    funded.borrow(BOB, SBTC, ONE_SYNTH, CASH)
    for account in (ALICE, BOB):
        funded.leave(account, USDC, 10, as_cxpt=True)
        funded.cxpt.send(account, "approve", funded.vault.address, 2**256 - 1)
        funded.synths[SBTC].send(account, "approve", funded.vault.address, 2**256 - 1)
        funded.usdc.send(account, "mint", account, CASH)
        funded.usdc.send(account, "approve", funded.vault.address, 2**256 - 1)
    return funded


def exits(world: World, owner: bytes) -> Iterator[Call]:
    """Calls that are, or pretend to be, a way out of the trading balance."""
    me, other = ("alice", "bob") if owner == ALICE else ("bob", "alice")
    for asset, amount in ((USDC, world.cash(owner)), (SBTC, world.vault.call("balanceOf", owner, SBTC))):
        yield "Vault", "requestWithdraw", (asset, amount, False)
        yield "Vault", "redirectWithdraw", (world.vault.call("withdrawalCount"), STRANGER)
        yield "Vault", "claimWithdraw", (world.vault.call("withdrawalCount"),)
        terms = (asset, amount, False, owner, 1, world.evm.now)
        for signer, account in ((me, owner), (other, owner), ("core", owner), ("cosigner", STRANGER)):
            yield "Vault", "withdraw", (*terms, *sign_leave(KEYS[signer], world.vault, account, *terms))
        late = (*terms[:5], world.evm.now - 1)
        yield "Vault", "withdraw", (*late, *sign_leave(KEYS["cosigner"], world.vault, owner, *late))
        yield "Settlement", "debit", (owner, asset, amount)
        yield "Vault", "lockProceeds", (owner, amount, 0)
        yield "SynthEngine", "addCollateral", (asset, amount)
    yield "Vault", "cancelWithdraw", (world.vault.call("withdrawalCount"),)
    yield "SynthEngine", "mint", (SBTC, ONE_SYNTH, 0)
    yield "SynthEngine", "mint", (SBTC, ONE_SYNTH // 2, CASH // 2)
    yield "SynthEngine", "addCollateral", (SBTC, 1)
    yield "SynthEngine", "burn", (SBTC, ONE_SYNTH)
    yield "SynthEngine", "liquidate", (owner, SBTC, ONE_SYNTH)
    yield "SynthEngine", "takeOver", (ALICE if owner == BOB else BOB, SBTC, ONE_SYNTH, 0)
    yield "SynthEngine", "requestRedemption", (SBTC, ONE_SYNTH, 300)
    yield "SynthEngine", "executeRedemption", (1, [BOB])
    yield "SynthEngine", "cancelRedemption", (1,)
    yield "SynthEngine", "windDown", (SBTC,)
    yield "SynthEngine", "processPositions", (SBTC, [BOB])
    yield "SynthEngine", "claimWound", (SBTC, ONE_SYNTH)
    yield "Vault", "burnSynth", (SBTC, owner, ONE_SYNTH)
    yield "Vault", "escrowSynth", (SBTC, owner, ONE_SYNTH)
    yield "SynthEngine", "requestRedemption", (SBTC, ONE_SYNTH, 300)
    counterparty = BOB if owner == ALICE else ALICE
    yield "SynthEngine", "liquidate", (counterparty, SBTC, ONE_SYNTH)
    yield "SynthEngine", "liquidate", (owner, SBTC, ONE_SYNTH)
    yield "SynthEngine", "takeOver", (counterparty, SBTC, ONE_SYNTH, CASH)
    yield "SynthEngine", "claimWound", (SBTC, ONE_SYNTH)


def entrances(world: World, owner: bytes) -> Iterator[Call]:
    """Calls that bring something in, and those on orders and sessions."""
    key = KEYS["alice" if owner == ALICE else "bob"]
    yield "Vault", "deposit", (1,)
    yield "Vault", "depositAsset", (CXPT, 5)
    permit = sign_permit(key, world.usdc, world.vault.address, 1, FOR_EVER)
    yield "Vault", "depositWithPermit", (1, FOR_EVER, *permit)
    window, nonce = (0, FOR_EVER), b"\1" * 32
    signed = sign_authorization(key, world.usdc, world.vault.address, 1, nonce, window=window)
    yield "Vault", "depositWithAuthorization", (owner, 1, *window, nonce, *signed)
    yield "Vault", "redeemCxpt", (5,)
    yield "Vault", "collectFees", (MARKET,)
    yield "SynthEngine", "withdrawCollateral", (SBTC, 1)
    yield "SynthEngine", "executeRedemption", (1, [owner])
    yield "SynthEngine", "cancelRedemption", (1,)
    yield "SynthEngine", "windDown", (SBTC,)
    yield "SynthEngine", "processPositions", (SBTC, [owner])
    yield "Settlement", "cancelOrders", ([2**40 + 1],)
    yield "Settlement", "cancelAll", ()
    yield "Settlement", "setSession", (STRANGER, bytes(32), 1, FOR_EVER - 1)
    yield "Settlement", "revokeSession", (STRANGER,)


# what is accepted, and changes no trading balance downwards
HARMLESS_EXITS = {"requestWithdraw", "redirectWithdraw", "cancelWithdraw", "mint", "addCollateral"}
HARMLESS_ENTRANCES = {
    "deposit", "depositAsset", "depositWithPermit", "depositWithAuthorization", "redeemCxpt",
    "cancelOrders", "cancelAll", "setSession", "revokeSession",
}  # fmt: skip


@pytest.mark.parametrize("owner", [ALICE, BOB], ids=["buyer", "seller"])
@pytest.mark.parametrize(("doors", "harmless"), [(exits, HARMLESS_EXITS), (entrances, HARMLESS_ENTRANCES)])
def test_attack_74_a_trader_cannot_void_a_matched_fill(
    matched: World, owner: bytes, doors: Callable[[World, bytes], Iterator[Call]], harmless: set[str]
) -> None:
    maker = matched.order(BOB, "sBTC-USDC", Side.SELL, LOTS, TICKS, nonce=2**40 + 1)
    taker = matched.order(ALICE, "sBTC-USDC", Side.BUY, LOTS, TICKS, nonce=2**40 + 1)

    accepted = set()
    for contract, function, arguments in doors(matched, owner):
        before = matched.cash(owner), matched.vault.call("balanceOf", owner, SBTC)
        if attempt(matched, contract, owner, function, *arguments):
            accepted.add(function)
        after = matched.cash(owner), matched.vault.call("balanceOf", owner, SBTC)
        assert after[0] >= before[0], function
        assert after[1] >= before[1], function

    assert accepted - {"withdrawCollateral"} == harmless  # only the seller has a position
    matched.evm.advance(SETTLES_WITHIN)
    assert [name for name, _ in matched.events(matched.settle(maker, taker, LOTS))] == ["Fill"]


def attempt(world: World, contract: str, sender: bytes, function: str, *arguments: Any) -> bool:
    """Whether the call was accepted."""
    try:
        world.contracts[contract].send(sender, function, *arguments)
    except Refused:
        return False
    return True


def test_attack_74_every_door_was_tried(matched: World) -> None:
    """A new function must be put into one of the lists above, or here when no trader can call it."""
    tried = {(contract, function) for doors in (exits, entrances) for contract, function, _ in doors(matched, ALICE)}
    roles = {
        "Vault": {
            "registerSynth", "lockCollateral", "releaseCollateral", "mintSynth", "burnEscrow", "returnEscrow",
            "withdrawFees", "payRebates", "pause", "resume", "allowPause",
        },
        "Settlement": {
            "credit", "takeFees", "openMarket", "setMarketStatus", "settleBatch", "voidSequence", "beat",
            # the same cancels, by signature
            "cancelOrdersBySignature", "cancelAllBySignature",
        },
        "SynthEngine": {"openAsset", "raiseCap", "lowerCap", "mintForFill", "pause", "resume", "allowPause"},
    }  # fmt: skip
    for contract, others in roles.items():
        writing = {
            entry["name"]
            for entry in matched.artifacts[contract].abi
            if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
        }
        assert writing - others == {function for name, function in tried if name == contract}, contract


def test_attack_74_a_due_announcement_is_the_warning_that_the_relayer_has(matched: World) -> None:
    """What remains: an announced amount may go at its claim. Whoever matches against it was warned a delay before."""
    matched.vault.send(ALICE, "requestWithdraw", USDC, matched.cash(ALICE), False)
    matched.evm.advance(DELAY)
    maker = matched.order(BOB, "sBTC-USDC", Side.SELL, LOTS, TICKS)
    taker = matched.order(ALICE, "sBTC-USDC", Side.BUY, LOTS, TICKS)
    matched.vault.send(ALICE, "claimWithdraw", 1)
    assert [name for name, _ in matched.events(matched.settle(maker, taker, LOTS))] == ["FillSkipped"]


def test_attack_74_collateral_comes_from_the_wallet_and_from_nowhere_else(matched: World, refuses) -> None:
    matched.usdc.send(ALICE, "transfer", BOB, CASH)
    for function, arguments in (("mint", (SBTC, ONE_SYNTH // 100, CASH)), ("addCollateral", (SBTC, 1))):
        with refuses("T:BALANCE"):
            matched.engine.send(ALICE, function, *arguments)
    assert matched.cash(ALICE) == CASH - 10


def test_attack_74_synths_are_burnt_in_the_wallet_and_nowhere_else(matched: World, refuses) -> None:
    with refuses("T:BALANCE"):
        matched.engine.send(BOB, "burn", SBTC, 1)
    assert matched.vault.call("balanceOf", BOB, SBTC) == ONE_SYNTH
