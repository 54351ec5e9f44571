"""The rules of synth debt as docs/protocol.md states them, in fractions: what the contracts are compared with.

Owns:     what every account should have, and which refusal a call should meet.
Promises: a method either applies a whole action or raises Refusal and changes nothing.
Never:    imports a contract, shares a formula with one, or rounds with anything but floor and ceil.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

USDC = 0
SYNTH = 10**18
LEAST_RATIO = Fraction(150, 100)
LIQUIDATION_RATIO = Fraction(125, 100)
REWARD = Fraction(105, 100)
FEE, SIGNED_FEE = Fraction(25, 10_000), Fraction(50, 10_000)
MINT_REFUSED, SELLER_BALANCE, BUYER_BALANCE = 11, 6, 5  # why a fill is skipped
STALE, PRICE_DELAY, WINDOW, SILENCE = 300, 60, 3600, 7 * 86_400


class Refusal(Exception):
    """The contract should revert with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Position:
    debt: int = 0
    collateral: int = 0


@dataclass
class Request:
    account: bytes
    asset: int
    amount: int
    fee: Fraction
    time: int


@dataclass
class Synth:
    """`prices`: (publish time, 1e-6 USDC), in order."""

    cap: int
    prices: list[tuple[int, int]] = field(default_factory=list)
    positions: dict[bytes, Position] = field(default_factory=dict)
    wound: int = 0
    supply_at_end: int = 0
    pot: int = 0
    share: Fraction | None = None  # of a whole synth, 1e-6 USDC

    @property
    def debt(self) -> int:
        return sum(one.debt for one in self.positions.values())

    def of(self, account: bytes) -> Position:
        return self.positions.setdefault(account, Position())


def require(condition: bool, code: str) -> None:
    if not condition:
        raise Refusal(code)


class DebtModel:
    """Balances by (account, asset): `wallet`, and `inside` for trading balances."""

    def __init__(self, caps: dict[int, int]) -> None:
        self.synths = {asset: Synth(cap) for asset, cap in caps.items()}
        self.wallet: Counter[tuple[bytes, int]] = Counter()
        self.inside: Counter[tuple[bytes, int]] = Counter()
        self.escrow: Counter[int] = Counter()
        self.donated: Counter[int] = Counter()
        self.requests: dict[int, Request] = {}
        self.requested = 0
        self.fees = 0  # accrued in the ledger, 1e-6 USDC
        self.now = 0
        self.paused_until = 0

    # ------------------------------------------------------------------ prices and values

    def price(self, asset: int) -> int:
        prices = self.synths[asset].prices
        require(bool(prices) and self.now - prices[-1][0] <= STALE, "O:STALE")
        return prices[-1][1]

    def value(self, amount: int, price: int) -> Fraction:
        return Fraction(amount * price, SYNTH)

    def healthy(self, position: Position, price: int) -> bool:
        return position.collateral >= ceil(self.value(position.debt, price) * LEAST_RATIO)

    def live(self, asset: int) -> Synth:
        require(self.synths[asset].wound == 0, "E:WOUND")
        return self.synths[asset]

    def pay(self, account: bytes, asset: int, amount: int) -> None:
        require(self.wallet[account, asset] >= amount, "T:BALANCE")
        self.wallet[account, asset] -= amount

    # ------------------------------------------------------------------ an account's own position

    def mint(self, account: bytes, asset: int, amount: int, collateral: int) -> None:
        require(self.now >= self.paused_until, "B:PAUSED")
        synth = self.live(asset)
        require(synth.debt + amount <= synth.cap, "E:CAP")
        require(self.wallet[account, USDC] >= collateral, "T:BALANCE")
        old = synth.of(account)
        new = Position(old.debt + amount, old.collateral + collateral)
        require(self.healthy(new, self.price(asset)), "E:RATIO")
        self.pay(account, USDC, collateral)
        synth.positions[account] = new
        self.inside[account, asset] += amount

    def burn(self, account: bytes, asset: int, amount: int) -> None:
        position = self.live(asset).of(account)
        require(amount > 0, "E:ZERO")
        require(amount <= position.debt, "E:DEBT")
        self.pay(account, asset, amount)
        position.debt -= amount

    def add_collateral(self, account: bytes, asset: int, amount: int) -> None:
        require(amount > 0, "E:ZERO")
        self.pay(account, USDC, amount)
        self.synths[asset].of(account).collateral += amount

    def withdraw_collateral(self, account: bytes, asset: int, amount: int) -> None:
        synth = self.synths[asset]
        require(amount > 0, "E:ZERO")
        old = synth.of(account)
        require(amount <= old.collateral, "E:COLLATERAL")
        new = Position(old.debt, old.collateral - amount)
        if new.debt:
            self.live(asset)
            require(self.healthy(new, self.price(asset)), "E:RATIO")
        synth.positions[account] = new
        self.inside[account, USDC] += amount

    # ------------------------------------------------------------------ fills

    def sell(self, buyer: bytes, seller: bytes, asset: int, amount: int, notional: int, bound: int) -> list[int]:
        """A fill of two whole orders: nothing, or why it is skipped. `bound`: what the seller's order signed."""
        fee = min(ceil(notional * FEE), floor(notional * SIGNED_FEE))
        if self.inside[buyer, USDC] < notional + fee:
            return [BUYER_BALANCE]
        short = max(0, amount - self.inside[seller, asset])
        locked = 0
        if short:
            if not bound:
                return [SELLER_BALANCE]
            proceeds = floor(Fraction((notional - fee) * short, amount))
            most = min(proceeds + bound, self.inside[seller, USDC] + notional - fee)
            try:
                locked = self._mint_for_fill(seller, asset, short, proceeds, most)
            except Refusal:
                return [MINT_REFUSED]
        self.inside[seller, asset] += short - amount
        self.inside[seller, USDC] += notional - fee - locked
        self.inside[buyer, asset] += amount
        self.inside[buyer, USDC] -= notional + fee
        self.fees += 2 * fee
        return []

    def _mint_for_fill(self, seller: bytes, asset: int, amount: int, proceeds: int, most: int) -> int:
        """What is locked: the proceeds, and what is missing to 150 %."""
        require(self.now >= self.paused_until, "B:PAUSED")
        synth = self.live(asset)
        require(synth.debt + amount <= synth.cap, "E:CAP")
        position = synth.of(seller)
        needed = ceil(self.value(position.debt + amount, self.price(asset)) * LEAST_RATIO)
        locked = max(proceeds, needed - position.collateral)
        require(locked <= most, "E:TOPUP")
        position.debt += amount
        position.collateral += locked
        return locked

    # ------------------------------------------------------------------ liquidation

    def seizable(self, account: bytes, asset: int, amount: int) -> tuple[int, int]:
        """Of this much debt: what there is of it, and the collateral that goes with it."""
        price = self.price(asset)
        position = self.live(asset).of(account)
        require(amount > 0, "E:ZERO")
        unhealthy = position.collateral < self.value(position.debt, price) * LIQUIDATION_RATIO
        require(unhealthy, "E:HEALTHY")
        debt = min(amount, position.debt)
        share = Fraction(position.collateral * debt, position.debt)
        return debt, floor(min(self.value(debt, price) * REWARD, share))

    def liquidate(self, liquidator: bytes, account: bytes, asset: int, amount: int) -> None:
        debt, seized = self.seizable(account, asset, amount)
        self.pay(liquidator, asset, debt)
        position = self.synths[asset].of(account)
        position.debt -= debt
        position.collateral -= seized
        self.inside[liquidator, USDC] += seized

    def take_over(self, liquidator: bytes, account: bytes, asset: int, amount: int, collateral: int) -> None:
        require(liquidator != account, "E:SELF")
        debt, seized = self.seizable(account, asset, amount)
        synth = self.synths[asset]
        old, mine = synth.of(account), synth.of(liquidator)
        new = Position(mine.debt + debt, mine.collateral + seized + collateral)
        require(self.wallet[liquidator, USDC] >= collateral, "T:BALANCE")
        require(self.healthy(new, self.price(asset)), "E:RATIO")
        self.pay(liquidator, USDC, collateral)
        synth.positions[account] = Position(old.debt - debt, old.collateral - seized)
        synth.positions[liquidator] = new

    # ------------------------------------------------------------------ redemption

    def request_redemption(self, account: bytes, asset: int, amount: int, fee_bps: int) -> None:
        self.live(asset)
        require(amount > 0, "E:ZERO")
        self.pay(account, asset, amount)
        self.escrow[asset] += amount
        self.requested += 1
        self.requests[self.requested] = Request(account, asset, amount, Fraction(fee_bps, 10_000), self.now)

    def price_of(self, request: Request) -> tuple[int, int] | None:
        """(publish time, price)"""
        known = self.synths[request.asset].prices
        return next((one for one in known if one[0] >= request.time + PRICE_DELAY), None)

    def fee(self, position: Position, price: int) -> Fraction:
        """A basis point for each per cent above 150 that is begun; the ratio counts in whole basis points, upwards."""
        ratio = Fraction(ceil(position.collateral / self.value(position.debt, price) * 10_000), 10_000)
        above = max(Fraction(0), ratio - LEAST_RATIO)
        return min(Fraction(50 + ceil(above * 100), 10_000), Fraction(300, 10_000))

    def redeem(self, identity: int, accounts: Sequence[bytes]) -> tuple[int, int]:
        """(synths, USDC)"""
        require(identity in self.requests, "E:UNKNOWN")
        request = self.requests[identity]
        synth = self.live(request.asset)
        published = self.price_of(request)
        require(published is not None, "E:EARLY")
        assert published is not None
        require(self.now <= published[0] + WINDOW, "E:LATE")
        left, payout = request.amount, 0
        after: dict[bytes, Position] = {}
        for account in accounts:
            old = after.get(account, synth.of(account))
            amount = min(left, old.debt)
            if not amount or old.collateral < self.value(old.debt, published[1]):
                continue
            fee = self.fee(old, published[1])
            if fee > request.fee:
                continue
            paid = floor(self.value(amount, published[1]) * (1 - fee))
            after[account] = Position(old.debt - amount, old.collateral - paid)
            left, payout = left - amount, payout + paid
        amount = request.amount - left
        require(amount > 0, "E:TARGET")
        synth.positions.update(after)
        self.escrow[request.asset] -= amount
        self.inside[request.account, USDC] += payout
        request.amount = left
        if not left:
            del self.requests[identity]
        return amount, payout

    def cancel_redemption(self, caller: bytes, identity: int) -> None:
        require(identity in self.requests, "E:UNKNOWN")
        request = self.requests[identity]
        if not self.synths[request.asset].wound:
            published = self.price_of(request)
            if published is None:
                require(caller == request.account, "E:OWNER")
                since = request.time + PRICE_DELAY
                require(self.now < since or self.now > since + WINDOW, "E:EARLY")
            else:
                require(self.now > published[0] + WINDOW, "E:EARLY")
        self.escrow[request.asset] -= request.amount
        self.inside[request.account, request.asset] += request.amount
        del self.requests[identity]

    # ------------------------------------------------------------------ the end

    def wind_down(self, asset: int, *, by_timelock: bool) -> None:
        synth = self.live(asset)
        time, price = synth.prices[-1]
        require(by_timelock or self.now >= time + SILENCE, "E:ALIVE")
        synth.wound = price
        synth.supply_at_end = synth.debt
        self._fix(synth)

    def process(self, asset: int, accounts: Sequence[bytes]) -> None:
        synth = self.synths[asset]
        require(synth.wound != 0, "E:LIVE")
        require(any(synth.of(account).debt for account in accounts), "E:TARGET")
        for account in accounts:
            position = synth.of(account)
            if position.debt:
                paid = min(position.collateral, ceil(self.value(position.debt, synth.wound)))
                synth.pot += paid
                self.inside[account, USDC] += position.collateral - paid
                synth.positions[account] = Position()
        self._fix(synth)

    def claim(self, account: bytes, asset: int, amount: int) -> int:
        synth = self.synths[asset]
        require(synth.share is not None, "E:RATE")
        assert synth.share is not None
        payout = floor(self.value(amount, 1) * synth.share)
        require(payout > 0, "E:ZERO")
        self.pay(account, asset, amount)
        synth.pot -= payout
        self.inside[account, USDC] += payout
        return payout

    def _fix(self, synth: Synth) -> None:
        """The share is known to 1e-18 of a unit."""
        if synth.debt == 0 and synth.share is None:
            exact = Fraction(synth.pot * SYNTH, synth.supply_at_end) if synth.supply_at_end else Fraction(synth.wound)
            synth.share = min(Fraction(synth.wound), Fraction(floor(exact * SYNTH), SYNTH))

    # ------------------------------------------------------------------ totals

    def supply(self, asset: int) -> int:
        """Everything that somebody holds."""
        held = sum(
            amount for book in (self.wallet, self.inside) for (_, number), amount in book.items() if number == asset
        )
        return held + self.escrow[asset] + self.donated[asset]

    def locked(self) -> int:
        """Collateral and pots."""
        return sum(
            sum(one.collateral for one in synth.positions.values()) + synth.pot for synth in self.synths.values()
        )
