"""What a batch must do, written a second time: plain dictionaries, one fill at a time, no cursors, no packing.

Owns:     `Ledger`, the reference that random batches are compared with.
Promises: knows nothing of the contract's layout; reads the rules of fees from their definition, not from the
          contract. Predicts each fill's outcome, or the code with which the whole batch reverts.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field

from cxdex.batch import MatchedFill, SkipReason
from cxdex.nonce import MAX_SEQ, unpack_nonce
from cxdex.order import Order, OrderType, Side, TimeInForce
from tests.contracts.settlement_desk import CASH, Listing


class RefusedError(Exception):
    """The batch reverts with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Outcome:
    """A settled fill (skip is None) with its fees, or a skipped one."""

    skip: SkipReason | None
    maker_fee: int = 0
    taker_fee: int = 0


@dataclass
class Ledger:
    listings: dict[str, Listing]
    balances: defaultdict[tuple[bytes, int], int] = field(default_factory=lambda: defaultdict(int))
    lanes: defaultdict[tuple[bytes, int], tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    epochs: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    fees: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    sequences: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    now: int = 0

    def settle(self, fills: list[MatchedFill]) -> list[Outcome]:
        """All of the batch or, with RefusedError, nothing."""
        before = copy.deepcopy(self.__dict__)
        try:
            return [self._fill(fill) for fill in fills]
        except RefusedError:
            self.__dict__.update(before)
            raise

    def cancel(self, account: bytes, nonces: list[int]) -> None:
        for nonce in map(unpack_nonce, nonces):
            seq, _ = self.lanes[account, nonce.lane]
            floor = min(nonce.seq + 1, MAX_SEQ)
            if nonce.epoch >= self.epochs[account] and floor > seq:
                self.lanes[account, nonce.lane] = (floor, 0)

    def cancel_all(self, account: bytes) -> None:
        self.epochs[account] += 1

    def _fill(self, fill: MatchedFill) -> Outcome:
        maker, taker, lots = fill.maker.order, fill.taker.order, fill.quantity
        listing = self.listings[fill.market]
        if fill.sequence != self.sequences[fill.market]:
            raise RefusedError("S:SEQ")
        if maker.time_in_force in (TimeInForce.IOC, TimeInForce.FOK) or maker.order_type is OrderType.MARKET:
            raise RefusedError("S:MAKER")
        if taker.time_in_force is TimeInForce.POST_ONLY:
            raise RefusedError("S:TAKER")
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
        ):
            for order, reason in zip((maker, taker), reasons, strict=True):
                if dead(order):
                    return Outcome(reason)
        for order in (maker, taker):
            if self._filled(order) + lots > order.quantity:
                raise RefusedError("S:OVERFILL")
        return self._trade(fill, buyer, seller, listing)

    def _trade(self, fill: MatchedFill, buyer: Order, seller: Order, listing: Listing) -> Outcome:
        maker, taker, lots = fill.maker.order, fill.taker.order, fill.quantity
        notional = lots * maker.limit_price * listing.quote_per_lot_tick
        maker_fee = self.fee(notional, listing.maker_fee_bps, maker.max_fee_bps)
        taker_fee = self.fee(notional, listing.taker_fee_bps, taker.max_fee_bps)
        buyer_fee, seller_fee = (taker_fee, maker_fee) if buyer is taker else (maker_fee, taker_fee)
        amount = lots * listing.lot
        if self.balances[buyer.account, CASH] < notional + buyer_fee:
            return Outcome(SkipReason.BUYER_BALANCE)
        if self.balances[seller.account, listing.base_asset] < amount:
            return Outcome(SkipReason.SELLER_BALANCE)
        self.balances[buyer.account, CASH] -= notional + buyer_fee
        self.balances[seller.account, CASH] += notional - seller_fee
        self.balances[seller.account, listing.base_asset] -= amount
        self.balances[buyer.account, listing.base_asset] += amount
        self.fees[fill.market] += maker_fee + taker_fee
        for order in (maker, taker):
            nonce = unpack_nonce(order.nonce)
            self.lanes[order.account, nonce.lane] = (nonce.seq, self._filled(order) + lots)
        return Outcome(None, maker_fee, taker_fee)

    def _cancelled(self, order: Order) -> bool:
        nonce = unpack_nonce(order.nonce)
        seq, _ = self.lanes[order.account, nonce.lane]
        return nonce.epoch != self.epochs[order.account] or nonce.seq < seq or nonce.seq == MAX_SEQ

    def _expired(self, order: Order) -> bool:
        return self.now >= order.expiry

    def _filled(self, order: Order) -> int:
        nonce = unpack_nonce(order.nonce)
        seq, filled = self.lanes[order.account, nonce.lane]
        return filled if seq == nonce.seq else 0

    @staticmethod
    def fee(notional: int, bps: int, max_bps: int) -> int:
        rounded_up = (notional * bps + 9_999) // 10_000
        return min(rounded_up, notional * max_bps // 10_000)
