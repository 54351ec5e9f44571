"""The rules of custody as plain dictionaries: what the contracts are compared with after every step.

Never: imports a contract, rounds with floats, or shares code with what it checks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

USDC, CXPT = 0, 1
BPS = 10_000
FEE_BPS = 25
MAX_FEE_BPS = 50  # what every order of the machine signs


class Request(NamedTuple):
    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    claimable_at: int


@dataclass
class Model:
    """Balances by (account, asset), in the asset's units. `vault` stands for what the Vault's tokens should be."""

    inside: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    wallet: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    donated: Counter[int] = field(default_factory=Counter)
    requests: dict[int, Request] = field(default_factory=dict)
    debt: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    collateral: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    fees: Counter[int] = field(default_factory=Counter)
    reserve: int = 0
    brought_in: int = 0  # USDC deposited less USDC claimed

    def deposit(self, account: bytes, asset: int, amount: int) -> None:
        self.wallet[account, asset] -= amount
        self.inside[account, asset] += amount
        if asset == USDC:
            self.brought_in += amount

    def donate(self, account: bytes, asset: int, amount: int) -> None:
        self.wallet[account, asset] -= amount
        self.donated[asset] += amount

    def request(self, identity: int, request: Request) -> None:
        self.inside[request.account, request.asset] -= request.amount
        self.requests[identity] = request

    def cancel(self, identity: int) -> None:
        request = self.requests.pop(identity)
        self.inside[request.account, request.asset] += request.amount

    def claim(self, identity: int) -> None:
        request = self.requests.pop(identity)
        if request.as_cxpt:
            self.reserve += request.amount
            self.wallet[request.account, CXPT] += request.amount
            return
        self.wallet[request.account, request.asset] += request.amount
        if request.asset == USDC:
            self.brought_in -= request.amount

    def redeem(self, account: bytes, amount: int) -> None:
        self.wallet[account, CXPT] -= amount
        self.reserve -= amount
        self.inside[account, USDC] += amount

    def change_debt(self, account: bytes, asset: int, debt: int, collateral: int) -> None:
        """Positive: mints, locks. Negative: burns, releases."""
        self.debt[account, asset] += debt
        self.inside[account, asset] += debt
        self.collateral[account, asset] += collateral
        self.inside[account, USDC] -= collateral

    def trade(self, buyer: bytes, seller: bytes, asset: int, amount: int, notional: int) -> None:
        fee = min(-(-notional * FEE_BPS // BPS), notional * MAX_FEE_BPS // BPS)
        self.inside[buyer, USDC] -= notional + fee
        self.inside[seller, USDC] += notional - fee
        self.inside[buyer, asset] += amount
        self.inside[seller, asset] -= amount
        self.fees[asset] += 2 * fee

    def collect(self, recipient: bytes, asset: int) -> None:
        self.inside[recipient, USDC] += self.fees.pop(asset, 0)

    def required(self, debt: int, price: int) -> int:
        """150 %, rounded up, 1e-6 USDC."""
        return -(-debt * price * 3 // (2 * 10**18))

    def pending(self, asset: int) -> int:
        return sum(request.amount for request in self.requests.values() if request.asset == asset)

    def ledger(self, asset: int) -> int:
        """Sum of the trading balances; fees that were not collected are cash too."""
        held = sum(amount for (_, number), amount in self.inside.items() if number == asset)
        return held + (sum(self.fees.values()) if asset == USDC else 0)

    def supply(self, synth: int) -> int:
        return sum(amount for (_, number), amount in self.debt.items() if number == synth)
