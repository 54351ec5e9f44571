"""What a batch must do, written a second time: plain dictionaries, one fill at a time, no cursors, no packing.

Owns:     `Ledger`, the reference that random batches are compared with.
Promises: knows nothing of the contract's layout; reads the rules of fees from their definition, not from the
          contract. Predicts each fill's outcome, or the code with which the whole batch reverts.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from cxdex.batch import MatchedFill, SkipReason
from cxdex.nonce import MAX_SEQ, unpack_nonce
from cxdex.order import Order, OrderType, Side, SignatureKind, SignedOrder, TimeInForce
from cxdex.signature import recover
from tests.contracts.settlement_desk import CASH, CXPT, Listing

CANCEL_DELAY = 300
TIER_STEPS = (1_000 * 10**6, 10_000 * 10**6, 100_000 * 10**6, 1_000_000 * 10**6)

# (digest, signature) -> whether the contract wallet accepts it
WalletRule = Callable[[bytes, bytes], bool]


class RefusedError(Exception):
    """The batch reverts with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Outcome:
    """A settled fill (skip is None) with its fees and the cash that minting locked, or a skipped one."""

    skip: SkipReason | None
    maker_fee: int = 0
    taker_fee: int = 0
    locked: int = 0


@dataclass
class Session:
    """What a key may still do. market: empty for all."""

    market: str
    left: int
    expiry: int


@dataclass
class Mint:
    """The engine's books for one account and asset, at a fixed price with 150 % collateral."""

    debt: int = 0
    collateral: int = 0


@dataclass
class Ledger:
    """wallets: what the accounts that are contracts accept. prices: 1e-6 USDC a synth, of what can be minted.

    index: the oracle's good prices, 1e-6 USDC a synth, by asset and second.
    """

    listings: dict[str, Listing]
    balances: defaultdict[tuple[bytes, int], int] = field(default_factory=lambda: defaultdict(int))
    lanes: defaultdict[tuple[bytes, int], tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    announced: dict[tuple[bytes, int], tuple[int, int]] = field(default_factory=dict)
    epochs: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    epoch_times: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    sessions: dict[tuple[bytes, bytes], Session] = field(default_factory=dict)
    mints: defaultdict[tuple[bytes, int], Mint] = field(default_factory=lambda: defaultdict(Mint))
    fees: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    sequences: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    prices: dict[int, int] = field(default_factory=dict)
    index: defaultdict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    wallets: dict[bytes, WalletRule] = field(default_factory=dict)
    now: int = 0

    def settle(self, fills: list[MatchedFill]) -> list[Outcome]:
        """All of the batch or, with RefusedError, nothing."""
        before = {name: copy.deepcopy(value) for name, value in self.__dict__.items() if name != "wallets"}
        try:
            return [self._fill(fill) for fill in fills]
        except RefusedError:
            self.__dict__.update(before)
            raise

    # ---- cancels

    def cancel(self, account: bytes, nonces: list[int]) -> None:
        """A cancel replaces one of its lane that waits, and leaves one that counts as it is."""
        for nonce in map(unpack_nonce, nonces):
            seq, _ = self.lane(account, nonce.lane)
            waiting, _ = self.announced.get((account, nonce.lane), (-1, 0))
            if nonce.epoch >= self.epochs[account] and nonce.seq >= seq and nonce.seq > waiting:
                self.announced[account, nonce.lane] = (nonce.seq, self.now + CANCEL_DELAY)

    def cancel_all(self, account: bytes) -> None:
        if self.now < self.epoch_times[account]:
            raise RefusedError("S:WAIT")
        self.epochs[account] += 1
        self.epoch_times[account] = self.now + CANCEL_DELAY

    def lane(self, account: bytes, lane: int) -> tuple[int, int]:
        """(lowest living seq, lots it has filled), with a cancel carried out when its time has come."""
        seq, effective_at = self.announced.get((account, lane), (-1, 0))
        if seq >= 0 and self.now >= effective_at:
            del self.announced[account, lane]
            if seq >= self.lanes[account, lane][0]:
                self.lanes[account, lane] = (min(seq + 1, MAX_SEQ), 0)
        return self.lanes[account, lane]

    # ---- fills

    def _fill(self, fill: MatchedFill) -> Outcome:
        maker, taker, lots = fill.maker.order, fill.taker.order, fill.quantity
        listing = self.listings[fill.market]
        if fill.sequence != self.sequences[fill.market]:
            raise RefusedError("S:SEQ")
        for signed in (fill.maker, fill.taker):
            code = self.unproven(signed)
            if code:
                raise RefusedError(code)
        if maker.time_in_force in (TimeInForce.IOC, TimeInForce.FOK) or maker.order_type is OrderType.MARKET:
            raise RefusedError("S:MAKER")
        if taker.time_in_force is TimeInForce.POST_ONLY:
            raise RefusedError("S:TAKER")
        if any(order.reduce_only and order.side is Side.BUY for order in (maker, taker)):
            raise RefusedError("S:FLAGS")
        if lots < listing.min_lots:
            raise RefusedError("S:LOTS")
        if maker.side is taker.side:
            raise RefusedError("S:SIDE")
        buyer, seller = (taker, maker) if taker.side is Side.BUY else (maker, taker)
        if buyer.limit_price < seller.limit_price:
            raise RefusedError("S:PRICE")
        self.sequences[fill.market] += 1

        for dead, reasons in (
            (self._cancelled, (SkipReason.MAKER_CANCELLED, SkipReason.TAKER_CANCELLED)),
            (self._expired, (SkipReason.MAKER_EXPIRED, SkipReason.TAKER_EXPIRED)),
            (self._unsigned, (SkipReason.MAKER_SIGNATURE, SkipReason.TAKER_SIGNATURE)),
        ):
            for signed, reason in zip((fill.maker, fill.taker), reasons, strict=True):
                if dead(signed):
                    return Outcome(reason)
        notional = lots * maker.limit_price * listing.quote_per_lot_tick
        limits = (SkipReason.MAKER_SESSION_LIMIT, SkipReason.TAKER_SESSION_LIMIT)
        for signed, reason in zip((fill.maker, fill.taker), limits, strict=True):
            session = self._session(signed)
            if session is not None and session.left < notional:
                return Outcome(reason)
        for order in (maker, taker):
            if self._filled(order) + lots > order.quantity:
                raise RefusedError("S:OVERFILL")
        return self._trade(fill, buyer, seller, listing)

    def _trade(self, fill: MatchedFill, buyer: Order, seller: Order, listing: Listing) -> Outcome:
        maker, taker, lots = fill.maker.order, fill.taker.order, fill.quantity
        notional = lots * maker.limit_price * listing.quote_per_lot_tick
        maker_fee = self.fee(notional, listing.maker_fee_bps, maker.max_fee_bps, self.tier(maker.account))
        taker_fee = self.fee(notional, listing.taker_fee_bps, taker.max_fee_bps, self.tier(taker.account))
        buyer_fee, seller_fee = (taker_fee, maker_fee) if buyer is taker else (maker_fee, taker_fee)
        amount, asset = lots * listing.lot, listing.base_asset
        seller_signed = fill.maker if seller is maker else fill.taker
        if self.balances[buyer.account, CASH] < notional + buyer_fee:
            return Outcome(SkipReason.BUYER_BALANCE)
        locked = 0
        shortage = amount - self.balances[seller.account, asset]
        if shortage > 0:
            by_session = seller_signed.kind is SignatureKind.SESSION
            if seller.max_collateral == 0 or seller.reduce_only or by_session:
                return Outcome(SkipReason.SELLER_BALANCE)
            locked = self._mint(seller, asset, shortage, amount, notional - seller_fee, lots)
            if locked < 0:
                return Outcome(SkipReason.MINT_REFUSED)
            self.balances[seller.account, asset] += shortage
        self.balances[buyer.account, CASH] -= notional + buyer_fee
        self.balances[seller.account, CASH] += notional - seller_fee - locked
        self.balances[seller.account, asset] -= amount
        self.balances[buyer.account, asset] += amount
        self.fees[fill.market] += maker_fee + taker_fee
        for signed in (fill.maker, fill.taker):
            nonce = unpack_nonce(signed.order.nonce)
            self.lanes[signed.order.account, nonce.lane] = (nonce.seq, self._filled(signed.order) + lots)
            session = self._session(signed)
            if session is not None:
                session.left -= notional
        return Outcome(None, maker_fee, taker_fee, locked)

    def _mint(self, seller: Order, asset: int, shortage: int, amount: int, proceeds: int, lots: int) -> int:
        """The cash that became collateral, or -1: the sale of what is minted brings, and what the order allows."""
        if asset not in self.prices:
            return -1
        mint = self.mints[seller.account, asset]
        value = -(-(mint.debt + shortage) * self.prices[asset] // 10**18)
        of_minted = proceeds * shortage // amount
        locked = max(of_minted, -(-value * 150 // 100) - mint.collateral)
        own = seller.max_collateral * lots // seller.quantity
        if locked > min(of_minted + own, self.balances[seller.account, CASH] + proceeds):
            return -1
        mint.debt += shortage
        mint.collateral += locked
        return locked

    # ---- conditions

    def unproven(self, signed: SignedOrder) -> str:
        """Why this order may not trade yet: the code; empty when its condition is shown to be met, or it has none."""
        condition, (first, second) = signed.order.condition, signed.proof
        if condition is None:
            return ""
        source, _, way = condition.trigger.name.partition("_")
        if source == "LAST":
            return "" if signed.proof == (0, 0) else "X:PROOF"
        if first < condition.active_from:
            return "X:EARLY"
        listing = self.listings[signed.order.market]
        code, price = self._indexed(listing.base_asset, first)
        if code:
            return code
        turn = 0
        if way.endswith("_BY"):
            if second <= first:
                return "X:ORDER"
            code, turn = self._indexed(listing.base_asset, second)
            if code:
                return code
        elif second:
            return "X:PROOF"
        tick = Fraction(listing.quote_per_lot_tick * 10**18, listing.lot)
        wanted = condition.trigger_price * tick
        met = {
            "AT_OR_ABOVE": price >= wanted,
            "AT_OR_BELOW": price <= wanted,
            "FALLS_BY": price - turn >= wanted,
            "RISES_BY": turn - price >= wanted,
        }
        return "" if met[way] else "X:UNMET"

    def _indexed(self, asset: int, second: int) -> tuple[str, int]:
        """The price of exactly this second, or why there is none."""
        history = self.index[asset]
        if max(history, default=-1) < second:
            return "O:NONE", 0
        return ("", history[second]) if second in history else ("X:PROOF", 0)

    # ---- what stops an order

    def alone(self, signed: SignedOrder, lots: int) -> str:
        """The code with which a fill against an empty cursor reverts: it has nothing left, and sells at nothing."""
        if lots < self.listings[signed.order.market].min_lots:
            return "S:LOTS"
        if signed.order.side is Side.SELL:
            return "S:SIDE"
        dead = self._cancelled(signed) or self._expired(signed) or self._unsigned(signed)
        return "S:CURSOR" if dead or signed.kind is SignatureKind.SESSION else "S:OVERFILL"

    def _cancelled(self, signed: SignedOrder) -> bool:
        account, nonce = signed.order.account, unpack_nonce(signed.order.nonce)
        seq, _ = self.lane(account, nonce.lane)
        epoch = self.epochs[account]
        dying = nonce.epoch == epoch - 1 and self.now < self.epoch_times[account]
        return not (nonce.epoch == epoch or dying) or nonce.seq < seq or nonce.seq == MAX_SEQ

    def _expired(self, signed: SignedOrder) -> bool:
        return self.now >= signed.order.expiry

    def _unsigned(self, signed: SignedOrder) -> bool:
        """An account's own bad signature is the relayer's fault and not asked for here."""
        if signed.kind is SignatureKind.CONTRACT:
            rule = self.wallets.get(signed.order.account)
            return rule is None or not rule(signed.digest, signed.signature)
        if signed.kind is SignatureKind.SESSION:
            session = self._session(signed)
            return session is None or self.now >= session.expiry or session.market not in ("", signed.order.market)
        return False

    def _session(self, signed: SignedOrder) -> Session | None:
        if signed.kind is not SignatureKind.SESSION:
            return None
        return self.sessions.get((signed.order.account, recover(signed.digest, signed.signature)))

    def _filled(self, order: Order) -> int:
        nonce = unpack_nonce(order.nonce)
        seq, filled = self.lane(order.account, nonce.lane)
        return filled if seq == nonce.seq else 0

    # ---- fees

    def tier(self, account: bytes) -> int:
        return sum(self.balances[account, CXPT] >= step for step in TIER_STEPS)

    @staticmethod
    def fee(notional: int, bps: int, max_bps: int, tier: int) -> int:
        rounded_up = (notional * bps * (10 - tier) + 99_999) // 100_000
        return min(rounded_up, notional * max_bps // 10_000)
