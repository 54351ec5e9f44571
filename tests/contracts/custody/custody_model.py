"""The rules of custody as plain dictionaries: what the contracts are compared with after every step.

Never: imports a contract, rounds with floats, or shares code with what it checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

USDC, CXPT = 0, 1
BPS = 10_000
FEE_BPS = 25
MAX_FEE_BPS = 50  # what every order of the machine signs
HOUR = 3600
LONGEST_WAIT = 6 * HOUR
FREE_OUTFLOW = 250_000_000_000  # 1e-6 USDC an hour
TIERS = (1_000_000_000, 10_000_000_000, 100_000_000_000, 1_000_000_000_000)  # 1e-6 CXPT


class Request(NamedTuple):
    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    requested_at: int


@dataclass
class Outflow:
    """USDC that left as USDC in the clock hour of the last change of cash."""

    hour: int = -1
    limit: int = 0
    gone: int = 0

    def touch(self, now: int, cash: int) -> None:
        if now // HOUR != self.hour:
            self.hour, self.gone = now // HOUR, 0
            self.limit = max(FREE_OUTFLOW, cash // 5)


@dataclass
class Model:
    """Balances by (account, asset), in the asset's units. `clock`: the time of the next block."""

    clock: Callable[[], int]
    inside: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    wallet: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    donated: Counter[int] = field(default_factory=Counter)
    requests: dict[int, Request] = field(default_factory=dict)
    debt: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    collateral: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    fees: Counter[int] = field(default_factory=Counter)
    outflow: Outflow = field(default_factory=Outflow)
    pocket: int = 0
    reserve: int = 0
    brought_in: int = 0  # USDC that came in less USDC that left

    # ------------------------------------------------------------------ in and out

    def deposit(self, account: bytes, asset: int, amount: int) -> None:
        self.wallet[account, asset] -= amount
        self._change(account, asset, amount)
        if asset == USDC:
            self.brought_in += amount

    def donate(self, account: bytes, asset: int, amount: int) -> None:
        self.wallet[account, asset] -= amount
        self.donated[asset] += amount

    def claimable(self, identity: int) -> int:
        request = self.requests[identity]
        return min(request.amount, self.inside[request.account, request.asset])

    def claim(self, identity: int) -> None:
        paid = self.claimable(identity)
        request = self.requests.pop(identity)
        self.pay(request.account, request.asset, paid, request.as_cxpt, request.recipient)

    def pay(self, account: bytes, asset: int, amount: int, as_cxpt: bool, recipient: bytes) -> None:
        self._change(account, asset, -amount)
        if as_cxpt:
            self.reserve += amount
            self.wallet[recipient, CXPT] += amount
            return
        self.wallet[recipient, asset] += amount
        if asset == USDC:
            self.outflow.gone += amount
            self.brought_in -= amount

    def may_pay(self, asset: int, amount: int, as_cxpt: bool, waited: int) -> bool:
        """Whether the breaker lets it go now."""
        if asset != USDC or as_cxpt or waited >= LONGEST_WAIT:
            return True
        self.outflow.touch(self.clock(), self.ledger(USDC))
        return self.outflow.gone + amount <= self.outflow.limit

    def redeem(self, account: bytes, amount: int) -> None:
        self.wallet[account, CXPT] -= amount
        self.reserve -= amount
        self._change(account, USDC, amount)

    # ------------------------------------------------------------------ debt

    def mint(self, account: bytes, asset: int, debt: int, collateral: int) -> None:
        self.debt[account, asset] += debt
        self._change(account, asset, debt)
        self.lock(account, asset, collateral)

    def lock(self, account: bytes, asset: int, collateral: int) -> None:
        """Out of the wallet."""
        self.wallet[account, USDC] -= collateral
        self.collateral[account, asset] += collateral
        self.brought_in += collateral

    def burn(self, account: bytes, asset: int, debt: int) -> None:
        """Out of the wallet."""
        self.wallet[account, asset] -= debt
        self.debt[account, asset] -= debt

    def release(self, account: bytes, asset: int, collateral: int) -> None:
        self.collateral[account, asset] -= collateral
        self._change(account, USDC, collateral)

    # ------------------------------------------------------------------ trading and fees

    def trade(self, buyer: bytes, seller: bytes, asset: int, amount: int, notional: int) -> None:
        """Cash moves inside the ledger: its sum, and so the breaker, are not touched."""
        paid, received = self.fee(buyer, notional), self.fee(seller, notional)
        self.inside[buyer, USDC] -= notional + paid
        self.inside[seller, USDC] += notional - received
        self.inside[buyer, asset] += amount
        self.inside[seller, asset] -= amount
        self.fees[asset] += paid + received

    def locked(self, seller: bytes, asset: int, shortage: int, proceeds: int, price: int) -> int:
        """Cash that minting the shortage needs: all that it brings, and what is then missing to 150 %."""
        needed = self.required(self.debt[seller, asset] + shortage, price) - self.collateral[seller, asset]
        return max(proceeds, needed)

    def mint_in_a_fill(self, seller: bytes, asset: int, shortage: int, locked: int) -> None:
        """Before the trade of the fill: the cash that is locked may come out of it."""
        self.outflow.touch(self.clock(), self.ledger(USDC))
        self.debt[seller, asset] += shortage
        self.inside[seller, asset] += shortage
        self.collateral[seller, asset] += locked
        self.inside[seller, USDC] -= locked

    def fee(self, account: bytes, notional: int) -> int:
        """Each tier takes a tenth off the rate; rounded up, and never above what the order signed, rounded down."""
        tier = sum(self.inside[account, CXPT] >= least for least in TIERS)
        exact = notional * FEE_BPS * (10 - tier)
        return min(-(-exact // (10 * BPS)), notional * MAX_FEE_BPS // BPS)

    def collect(self, asset: int) -> None:
        self.outflow.touch(self.clock(), self.ledger(USDC))
        self.pocket += self.fees.pop(asset, 0)

    def take_fees(self, recipient: bytes, amount: int) -> None:
        self.pocket -= amount
        self.wallet[recipient, USDC] += amount
        self.brought_in -= amount

    def rebate(self, account: bytes, amount: int) -> None:
        self.pocket -= amount
        self.reserve += amount
        self._change(account, CXPT, amount)

    # ------------------------------------------------------------------ sums

    def required(self, debt: int, price: int) -> int:
        """150 %, rounded up, 1e-6 USDC."""
        return -(-debt * price * 3 // (2 * 10**18))

    def announced(self, asset: int, account: bytes | None = None) -> int:
        return sum(
            request.amount
            for request in self.requests.values()
            if request.asset == asset and account in (None, request.account)
        )

    def free(self, account: bytes, asset: int) -> int:
        """What may still be announced."""
        return max(0, self.inside[account, asset] - self.announced(asset, account))

    def ledger(self, asset: int) -> int:
        """Sum of the trading balances; fees that were not collected are cash too."""
        held = sum(amount for (_, number), amount in self.inside.items() if number == asset)
        return held + (sum(self.fees.values()) if asset == USDC else 0)

    def supply(self, synth: int) -> int:
        return sum(amount for (_, number), amount in self.debt.items() if number == synth)

    def _change(self, account: bytes, asset: int, amount: int) -> None:
        if asset == USDC:
            self.outflow.touch(self.clock(), self.ledger(USDC))
        self.inside[account, asset] += amount
