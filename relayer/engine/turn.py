"""One command's turn: the events it caused, and the few ways in which state changes while it lasts.

Owns:     reservations, closing an order, paying a fill in and out, and the closing list of touched levels and balances.
Promises: at the end of the turn there is one LevelChanged per touched level and one BalanceChanged per touched
          balance, with final values, in the order of first touch.
Never:    decides which order trades or why one closes; its callers do.
"""

from __future__ import annotations

from typing import NamedTuple

from cxdex.fees import fee_tier
from cxdex.market import CXPT_ASSET, USDC_ASSET
from cxdex.nonce import lane_of
from relayer.engine.accounts import Account
from relayer.engine.events import AnyEvent, BalanceChanged, FillCharged, LevelChanged, OrderClosed, OrderReduced
from relayer.engine.fills import FillRecord, held_back
from relayer.engine.orders import CANCELLED, EXPIRED, LIVE, NO_PROOF, PENDING, OrderRecord, reservation
from relayer.engine.pairing import part
from relayer.engine.sessions import notional_at_limit
from relayer.engine.state import Market, State


class Triggered(NamedTuple):
    """price: what met the condition, ticks of the last trade or 1e-6 USDC of the index. proof: see `OrderRecord`."""

    record: OrderRecord
    price: int
    proof: tuple[int, int]


class Turn:
    """reached: makers whose protection a match has reached (see `quote_guard`). triggered: orders that a price of this
    turn has triggered, in the order in which they enter (see `conditional`)."""

    __slots__ = ("_balances", "_levels", "events", "reached", "state", "time_ms", "triggered")

    def __init__(self, state: State, time_ms: int) -> None:
        self.state = state
        self.time_ms = time_ms
        self.events: list[AnyEvent] = []
        self.reached: dict[bytes, Account] = {}
        self.triggered: list[Triggered] = []
        self._levels: dict[tuple[str, bool, int], Market] = {}
        self._balances: dict[tuple[bytes, int], Account] = {}

    def finish(self) -> list[AnyEvent]:
        events, time_ms = self.events, self.time_ms
        for (symbol, is_bid, price), market in self._levels.items():
            events.append(LevelChanged(time_ms, symbol, is_bid, price, market.book.quantity_at(is_bid, price)))
        for (address, asset), account in self._balances.items():
            balance = account.balances[asset]
            events.append(BalanceChanged(time_ms, address, asset, balance.total, balance.reserved))
        return events

    def touch_level(self, market: Market, is_bid: bool, price: int) -> None:
        self._levels[market.terms.symbol, is_bid, price] = market

    def change_total(self, account: Account, asset: int, change: int) -> None:
        balance = account.balance(asset)
        balance.total += change
        if asset == CXPT_ASSET:
            account.tier = fee_tier(balance.total)
        self._balances[account.address, asset] = account

    def reserve(self, market: Market, record: OrderRecord, remaining: int) -> None:
        """Makes what `remaining` lots can cost what the order holds back, of its balance and of its session."""
        account = self.state.accounts[record.order.account]
        amount = reservation(market.terms, record.order, remaining)
        account.balance(record.asset).reserved += amount - record.reserved
        record.reserved = amount
        self._balances[account.address, record.asset] = account
        if record.signer:
            notional = notional_at_limit(market.terms, record.order, remaining)
            account.session(record.signer).reserved += notional - record.session_reserved
            record.session_reserved = notional

    def note_change(self, record: OrderRecord) -> None:
        """Counts an event that names the order."""
        record.version += 1
        record.updated_ms = self.time_ms

    def close(self, record: OrderRecord, status: str, reason: str, replaced_by: bytes = b"") -> None:
        """Ends the order: off the book, nothing reserved, its lane no longer open."""
        market = self.state.markets[record.order.market]
        entry = record.entry
        if entry.level is not None:
            market.book.remove(entry)
            self.touch_level(market, entry.is_buy, entry.price)
        account = self.state.accounts[record.order.account]
        if record.reserved:
            self.reserve(market, record, 0)
        was_pending = record.status == PENDING
        record.status = status
        record.reason = reason
        record.replaced_by = replaced_by
        if was_pending and record.order.condition is not None:
            watch = market.watch(record.order.condition)
            watch.leave()
            # It has been triggered before, by a price that is gone: its fills still need a proof.
            record.seeks_proof = record.unsettled > 0 and record.proof != NO_PROOF
            if not record.seeks_proof:
                watch.leave_behind()
        self.note_change(record)
        self.state.remove_open(record)
        twin = None if record.twin is None else part(self.state, record)
        record.ancestors = ()
        self.events.append(
            OrderClosed(
                self.time_ms,
                record.digest,
                account.address,
                record.order.market,
                status,
                reason,
                entry.total,
                replaced_by,
            )
        )
        if twin is not None:
            self.close(twin, CANCELLED, "OCO")

    def share_fill(self, record: OrderRecord, quantity: int) -> None:
        """What this leg of a pair has just filled is no longer open in the other."""
        twin = record.twin
        if twin is None:
            return
        twin.filled_before += quantity
        entry = twin.entry
        entry.remaining = max(min(entry.remaining, twin.order.quantity - twin.nonce_filled), 0)
        self.note_change(twin)
        words = (twin.digest, twin.order.account, twin.order.market, entry.remaining)
        self.events.append(OrderReduced(self.time_ms, *words, quantity))
        if not entry.remaining:
            self.close(twin, CANCELLED, "OCO")

    def close_expired(self) -> None:
        """Nothing that has expired may trade, so every command begins with this."""
        now = self.time_ms // 1000
        while (record := self.state.next_expired(now)) is not None:
            self.close(record, EXPIRED, "EXPIRED")

    def close_all(self, records: list[OrderRecord], reason: str) -> None:
        for record in records:
            if record.status in LIVE:
                self.close(record, CANCELLED, reason)

    def cover(self, account: Account, asset: int, reason: str) -> None:
        """Cancels the account's newest orders that reserve the asset until what is left of it covers the rest."""
        balance = account.balance(asset)
        if balance.available >= 0:  # nearly always; the list of a market maker's orders is long
            return
        for record in reversed(list(account.open.values())):
            if balance.available >= 0:
                return
            if record.asset == asset and record.reserved:
                self.close(record, CANCELLED, reason)

    def pay(self, fill: FillRecord, sign: int) -> None:
        """Moves a fill's money (sign 1) or takes it back (sign -1)."""
        maker, taker = self.state.account(fill.maker), self.state.account(fill.taker)
        maker_fee, taker_fee = fill.fees
        if fill.taker_is_buyer:
            buyer, seller, buyer_fee, seller_fee = taker, maker, taker_fee, maker_fee
        else:
            buyer, seller, buyer_fee, seller_fee = maker, taker, maker_fee, taker_fee
        self.change_total(buyer, USDC_ASSET, -sign * (fill.notional + buyer_fee))
        self.change_total(buyer, fill.base_asset, sign * fill.base)
        self.change_total(seller, fill.base_asset, -sign * fill.base)
        self.change_total(seller, USDC_ASSET, sign * (fill.notional - seller_fee))

    def charge(self, fill: FillRecord, charged: tuple[int, int] | None) -> None:
        """Makes these the fees of the fill (None: those of the match), and puts both balances right."""
        before = fill.fees
        fill.charged = None if charged == (fill.maker_fee, fill.taker_fee) else charged
        if fill.fees == before:
            return
        for address, old, new in zip((fill.maker, fill.taker), before, fill.fees, strict=True):
            if old != new:
                self.change_total(self.state.account(address), USDC_ASSET, old - new)
        self.events.append(FillCharged(self.time_ms, fill.match_id, fill.market, fill.sequence, *fill.fees))

    def count_unsettled(self, fill: FillRecord, change: int) -> None:
        """Keeps the lanes, orders and sessions of a fill busy (1) or frees them (-1)."""
        for address, lane, digest, signer in (
            (fill.maker, lane_of(fill.maker_nonce), fill.maker_digest, fill.maker_signer),
            (fill.taker, lane_of(fill.taker_nonce), fill.taker_digest, fill.taker_signer),
        ):
            account = self.state.account(address)
            account.lane(lane).unsettled += change
            account.lane_may_be_free(lane)
            if signer:
                account.session(signer).matched += change * fill.notional
            record = self.state.orders.get(digest)
            if record is not None:
                record.unsettled += change
        for address, asset, amount in held_back(fill):
            self.state.account(address).on_the_way[asset] += change * amount
