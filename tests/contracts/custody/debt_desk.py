"""What the tests of synth debt share: prices that the Oracle believes, synths in wallets, positions of a chosen ratio.

Promises: real contracts and public doors only. `FILLS` plays Settlement in the one world that is built for it.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from custody_world import KEYS, ONE_SYNTH, ONE_USDC, SBTC, USDC, World

from scripts import exchange
from scripts.chain import address_of

BPS = 10_000
PRICE = 60_000 * ONE_USDC  # of a whole sBTC when a test begins
NEEDED = 90_000 * ONE_USDC  # 150 % of one sBTC at that price
FILLS = address_of(KEYS["stranger"])
DAY = 86_400


def set_price(world: World, price: int, asset: int = SBTC) -> None:
    """Twice: the Oracle believes a large jump when the next report confirms it."""
    for _ in range(2):
        world.evm.advance(1)
        world.report(asset, price)
    assert world.oracle.call("price", asset) == price


def position(world: World, account: bytes, asset: int = SBTC) -> tuple[int, int]:
    debt, collateral = world.engine.call("positions", account, asset)
    return debt, collateral


def give_synths(world: World, account: bytes, amount: int, asset: int = SBTC) -> None:
    """Synths in the wallet, with an allowance to the Vault, against a position at 300 % of the present price."""
    price = world.oracle.call("price", asset)
    world.borrow(account, asset, amount, -(-amount * price * 3 // ONE_SYNTH))
    world.to_wallet(account, asset, amount)


def wallet(world: World, account: bytes, asset: int) -> int:
    token = world.usdc if asset == USDC else world.synths[asset]
    amount: int = token.call("balanceOf", account)
    return amount


def announced(world: World, logs: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """What the exchange says; the tokens' own events left out."""
    return [event for event in world.events(logs) if event[0] not in ("Transfer", "Approval")]


def text(account: bytes) -> str:
    return "0x" + account.hex()


def timelock(world: World) -> bytes:
    address: bytes = world.engine.call("TIMELOCK")
    return address


def lift_cap(world: World, asset: int = SBTC) -> None:
    world.engine.send(timelock(world), "raiseCap", asset, 2**128 - 1)


def asset_of(world: World, asset: int = SBTC) -> dict[str, int]:
    opened, cap, debt, indebted, wound_price = world.engine.call("assets", asset)
    return {"opened": opened, "cap": cap, "debt": debt, "indebted": indebted, "wound price": wound_price}


def pot_of(world: World, asset: int = SBTC) -> dict[str, int]:
    supply, amount, fixed, rate = world.engine.call("pots", asset)
    return {"supply": supply, "amount": amount, "fixed": fixed, "rate": rate}


class FillWorld(World):
    """An exchange whose SynthEngine takes FILLS for Settlement; everything else is as deployed."""

    def __init__(self) -> None:
        usual = exchange.constructors

        def constructors(*arguments: Any) -> dict[str, tuple[Any, ...]]:
            found = dict(usual(*arguments))
            vault, oracle, _settlement, *roles = found["SynthEngine"]
            found["SynthEngine"] = (vault, oracle, FILLS, *roles)
            return found

        with patch.object(exchange, "constructors", constructors):
            super().__init__()


class Healthier:
    """`with`: each position has as much collateral per unit of debt at the end as at the beginning, or more."""

    def __init__(self, world: World, asset: int, accounts: tuple[bytes, ...]) -> None:
        self.world, self.asset, self.accounts = world, asset, accounts

    def read(self) -> list[tuple[int, int]]:
        return [self.world.engine.call("positions", one, self.asset) for one in self.accounts]

    def __enter__(self) -> None:
        self.before = self.read()

    def __exit__(self, *_failure: object) -> None:
        for (debt, collateral), (debt_after, collateral_after) in zip(self.before, self.read(), strict=True):
            assert debt_after <= debt
            assert collateral_after * debt >= collateral * debt_after
