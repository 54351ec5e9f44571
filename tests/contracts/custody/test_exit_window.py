"""A malicious upgrade is announced for Vault, Settlement and SynthEngine; everybody has left when it comes.

The contracts are the real ones behind real proxies, and the Timelock is the one that the deploy script creates.
"""

from __future__ import annotations

import pytest
from custody_world import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    CORE,
    GUARDIAN,
    ONE_SYNTH,
    ONE_USDC,
    PRICES,
    SBTC,
    STRANGER,
    USDC,
    World,
)

from cxdex.keccak import keccak
from cxdex.order import Side, SignedOrder
from scripts.chain import Contract, address_of
from scripts.wiring import PROXIED

HOUR = 3600
DAY = 24 * HOUR
LONGEST_WITHDRAWAL = 6 * HOUR
MARGIN = 2 * HOUR  # for people to notice, and blocks to come
SALT = bytes(31) + b"\1"

DAVE, ERIN, FRANK = (address_of(keccak(name)) for name in (b"dave", b"erin", b"frank"))
THIEF = STRANGER

PRICE = PRICES[SBTC]
BROUGHT = 400_000 * ONE_USDC
COLLATERAL = 150_000 * ONE_USDC
LOTS, TICKS = 10_000, 600_000  # one sBTC at 60,000 USDC
Call = tuple[str, int, bytes]


def text(address: bytes) -> str:
    return "0x" + address.hex()


def upgrade(world: World, name: str, implementation: bytes) -> Call:
    """The call that puts another implementation behind the proxy of a contract."""
    proxy = world.contract("Proxy", world.addresses[name])
    return text(proxy.address), 0, proxy.encode("upgradeToAndCall", implementation, b"")


def schedule(world: World, calls: list[Call], sender: bytes = ADMIN) -> int:
    """Announces it, and returns the unix time from which it can be executed."""
    world.timelock.send(sender, "schedule", calls, SALT)
    return world.timelock.call("executableAt", world.timelock.call("operationId", calls, SALT))


def request(world: World, account: bytes, asset: int, amount: int) -> int:
    world.vault.send(account, "requestWithdraw", asset, amount, False)
    return world.vault.call("withdrawalCount")


def request_all(world: World, account: bytes, asset: int = USDC) -> int:
    return request(world, account, asset, world.vault.call("balanceOf", account, asset))


def wallet(world: World, account: bytes) -> int:
    return world.usdc.call("balanceOf", account)


def carols_sale(world: World) -> SignedOrder:
    return world.order(CAROL, "sBTC-USDC", Side.SELL, LOTS, TICKS)


class Town:
    """People in every situation, the day before.

    Erin has cash. Frank has announced that he leaves. Alice has an open order. Dave owes what he still has. Carol owes
    what she sold to Bob.
    """

    def __init__(self, delay: int) -> None:
        self.world = World(withdrawal_delay=delay).open_markets()
        world = self.world
        world.settlement.send(CORE, "beat")
        for account in (ALICE, BOB, ERIN, FRANK):
            world.deposit(account, BROUGHT)
        for debtor in (CAROL, DAVE):
            world.borrow(debtor, SBTC, ONE_SYNTH, COLLATERAL)
        world.settle(
            world.order(CAROL, "sBTC-USDC", Side.SELL, LOTS, TICKS),
            world.order(BOB, "sBTC-USDC", Side.BUY, LOTS, TICKS),
            LOTS,
        )
        self.franks = request_all(world, FRANK)
        self.open_order = world.order(ALICE, "sBTC-USDC", Side.BUY, LOTS, TICKS)

    def announce(self) -> tuple[list[Call], int]:
        trap = self.world.create("UpgradeThief").address
        calls = [upgrade(self.world, name, trap) for name in PROXIED]
        return calls, schedule(self.world, calls)


@pytest.mark.parametrize("delay", [HOUR, LONGEST_WITHDRAWAL])
def test_attack_67_users_leave_before_a_malicious_upgrade(delay: int, refuses) -> None:
    town = Town(delay)
    world, vault, engine = town.world, town.world.vault, town.world.engine
    began = world.evm.now
    calls, eta = town.announce()
    assert eta - began == DAY

    # At once: whoever has cash or synths inside announces it, and Alice takes her order back.
    world.settlement.send(ALICE, "cancelAll")
    leaving = [request_all(world, account) for account in (ALICE, BOB, CAROL, ERIN)]
    tokens = [request_all(world, account, SBTC) for account in (BOB, DAVE)]

    # After the longest withdrawal: all of it is paid, by whoever calls, although the breaker trips on the way.
    world.evm.advance(LONGEST_WITHDRAWAL)
    tripped = []
    for identity in [*leaving, *tokens, town.franks]:
        tripped += [
            name for name, _ in world.events(vault.send(STRANGER, "claimWithdraw", identity)) if "Tripped" in name
        ]
    assert tripped == ["BreakerTripped"]
    for account in (ALICE, ERIN, FRANK):
        assert wallet(world, account) == BROUGHT

    # Alice's order is dead on chain: a relayer on the thief's side cannot fill it.
    logs = world.settle(carols_sale(world), town.open_order, LOTS)
    assert [name for name, _ in world.events(logs)] == ["FillSkipped"]

    # Dave pays his debt back with what he took out; Bob redeems against Carol, whose debt is then paid too.
    for account in (BOB, DAVE):
        world.synths[SBTC].send(account, "approve", vault.address, ONE_SYNTH)
    engine.send(DAVE, "burn", SBTC, ONE_SYNTH)
    engine.send(BOB, "requestRedemption", SBTC, ONE_SYNTH, 300)
    redemption = engine.call("redemptionCount")
    world.evm.advance(60)
    world.report(SBTC, PRICE)
    engine.send(STRANGER, "executeRedemption", redemption, [CAROL])
    for debtor in (CAROL, DAVE):
        debt, collateral = engine.call("positions", debtor, SBTC)
        assert debt == 0
        engine.send(debtor, "withdrawCollateral", SBTC, collateral)
    last = [request_all(world, account) for account in (BOB, CAROL, DAVE)]
    world.evm.advance(LONGEST_WITHDRAWAL)
    for identity in last:
        vault.send(STRANGER, "claimWithdraw", identity)

    # Everybody is whole: nothing is left but the fees of the one trade. There is time to spare.
    fees = world.settlement.call("accruedFees", keccak(b"sBTC-USDC"))
    assert 0 < fees <= PRICE // 200
    assert wallet(world, DAVE) == COLLATERAL
    assert wallet(world, BOB) + wallet(world, CAROL) == BROUGHT + COLLATERAL - fees
    assert wallet(world, CAROL) >= COLLATERAL - fees
    assert world.usdc.call("balanceOf", vault.address) == fees
    assert world.synths[SBTC].call("totalSupply") == 0
    assert eta - world.evm.now > MARGIN
    with refuses("L:EARLY"):
        world.timelock.send(THIEF, "execute", calls, SALT)

    # The upgrade comes, and takes what is there.
    world.evm.advance(eta - world.evm.now)
    world.timelock.send(THIEF, "execute", calls, SALT)
    for name in PROXIED:
        world.contract("UpgradeThief", world.addresses[name]).send(THIEF, "plunder", world.usdc.address)
    assert wallet(world, THIEF) == fees


def test_the_longest_way_out_is_shorter_than_the_delay(world: World, refuses) -> None:
    """CORE silent until others may settle; what is bought then is taken out, redeemed, and paid out: 20 of 24 hours."""
    with refuses("Q:DELAY"):
        World(withdrawal_delay=LONGEST_WITHDRAWAL + 1)
    world.borrow(ALICE, SBTC, ONE_SYNTH, COLLATERAL)
    world.to_wallet(ALICE, SBTC, ONE_SYNTH)
    logs = world.engine.send(ALICE, "requestRedemption", SBTC, ONE_SYNTH, 50)
    (requested,) = [fields for name, fields in world.events(logs) if name == "RedemptionRequested"]
    steps = (
        world.settlement.call("HEARTBEAT_TIMEOUT"),
        world.settlement.call("CANCEL_DELAY"),
        LONGEST_WITHDRAWAL,
        requested["priceFrom"] - world.evm.now,
        LONGEST_WITHDRAWAL,
    )
    assert sum(steps) + MARGIN < world.timelock.call("MIN_DELAY") <= world.timelock.call("DELAY")


def test_an_honest_upgrade_keeps_every_balance_and_setting(world: World, refuses) -> None:
    """A Vault with a longer withdrawal delay: addresses and roles are immutables, the rest stays where it is."""
    world.deposit(ALICE, BROUGHT)
    identity = request(world, ALICE, USDC, BROUGHT)
    at = world.addresses
    arguments = [at[name] for name in ("USDC", "CXPT", "Settlement", "SynthFactory", "SynthEngine")]
    arguments += [world.vault.call(name) for name in ("ADMIN", "GUARDIAN", "COSIGNER")]
    newer = world.create("Vault", *arguments, LONGEST_WITHDRAWAL).address
    calls = [upgrade(world, "Vault", newer)]
    eta = schedule(world, calls)
    for caller in (ADMIN, STRANGER):
        with refuses("L:EARLY"):
            world.timelock.send(caller, "execute", calls, SALT)
    world.evm.advance(eta - world.evm.now)
    with refuses("L:GUARDIAN"):
        world.timelock.send(GUARDIAN, "execute", calls, SALT)
    logs = world.timelock.send(STRANGER, "execute", calls, SALT)
    assert ("Upgraded", {"implementation": text(newer)}) in world.events(logs)

    assert world.vault.call("withdrawalDelay") == LONGEST_WITHDRAWAL
    assert world.cash(ALICE) == BROUGHT
    world.vault.send(STRANGER, "claimWithdraw", identity)
    assert wallet(world, ALICE) == BROUGHT


def test_guardian_cancels_a_malicious_upgrade(world: World, refuses) -> None:
    calls = [upgrade(world, "Vault", world.create("UpgradeThief").address)]
    eta = schedule(world, calls)
    world.timelock.send(GUARDIAN, "cancel", world.timelock.call("operationId", calls, SALT))
    world.evm.advance(eta - world.evm.now)
    with refuses("L:UNKNOWN"):
        world.timelock.send(STRANGER, "execute", calls, SALT)


def test_nobody_but_the_timelock_upgrades(world: World, refuses) -> None:
    trap = world.create("UpgradeThief").address
    for name in PROXIED:
        proxy = world.contract("Proxy", world.addresses[name])
        for caller in (
            ADMIN,
            GUARDIAN,
            CORE,
            STRANGER,
            *(world.addresses[other] for other in PROXIED if other != name),
        ):
            with refuses("U:ADMIN"):
                proxy.send(caller, "upgradeToAndCall", trap, b"")


# ------------------------------------------------------------------ bare implementations


def bare(world: World, name: str) -> Contract:
    return world.contract(name, world.implementations[name])


@pytest.mark.parametrize("name", PROXIED)
def test_attack_63_a_bare_implementation_is_locked_and_nothing_can_be_initialised(
    world: World, refuses, name: str
) -> None:
    """There is no initialiser, so there is nothing to call first or twice; those of later versions find it locked."""
    assert bare(world, name).call("initializedVersion") == 2**256 - 1
    assert world.contracts[name].call("initializedVersion") == 0
    functions = [entry for entry in world.artifacts[name].abi if entry["type"] == "function"]
    writing = {entry["name"] for entry in functions if entry["stateMutability"] not in ("view", "pure")}
    assert not [function for function in writing if function.lower().startswith(("init", "setup"))]
    assert bare(world, name).call("proxiableUUID").hex().startswith("360894a1")
    with refuses("I:DELEGATED"):
        world.contracts[name].call("proxiableUUID")


def test_attack_63_a_bare_implementation_takes_no_money(world: World, refuses) -> None:
    """The contracts beside it know the proxies only."""
    world.usdc.send(ALICE, "mint", ALICE, BROUGHT)
    for address in (world.implementations["Vault"], world.vault.address):
        world.usdc.send(ALICE, "approve", address, BROUGHT)
    with refuses("S:VAULT"):
        bare(world, "Vault").send(ALICE, "deposit", BROUGHT)
    with refuses("S:CORE"):
        bare(world, "Settlement").send(ALICE, "settleBatch", 0)
    with refuses("E:ASSET"):
        bare(world, "SynthEngine").send(ALICE, "mint", SBTC, ONE_SYNTH, COLLATERAL)
    bare(world, "SynthEngine").send(world.engine.call("GATEWAY"), "openAsset", SBTC, ONE_SYNTH)
    with refuses("V:ENGINE"):
        bare(world, "SynthEngine").send(ALICE, "mint", SBTC, ONE_SYNTH, COLLATERAL)
    assert wallet(world, ALICE) == BROUGHT


@pytest.mark.parametrize("target", ["Oracle", "MarketRegistry", "Vault", "CXPT"])
def test_attack_63_a_contract_that_is_not_made_for_a_proxy_is_refused(world: World, refuses, target: str) -> None:
    """No `proxiableUUID`, or one that a Proxy does not answer: a Proxy of a Proxy would call itself for ever."""
    proxy = world.contract("Proxy", world.addresses["Settlement"])
    with refuses("U:UUID"):
        proxy.send(world.timelock.address, "upgradeToAndCall", world.addresses[target], b"")
