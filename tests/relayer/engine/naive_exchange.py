"""An exchange as plainly as it can be said: the naive matcher, with balances, fees and withdrawals kept beside it.

Written from the rules alone, so that an error in the engine shows as a difference.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction

from naive_matcher import NaiveMatcher
from naive_triggers import NaiveTriggers
from trading_desk import ALICE, ASSETS, BOB, BTC, CAROL, ETH

from cxdex.condition import Condition
from cxdex.nonce import unpack_nonce
from cxdex.order import Side
from relayer.engine.cancelling import EARLY_CANCEL_MS
from relayer.engine.orders import SETTLEMENT_SECONDS
from relayer.engine.withdrawals import MOST_A_ACCOUNT

LISTINGS = {listing.symbol: listing for listing in (BTC, ETH)}
ACCOUNTS = (ALICE, BOB, CAROL)
USDC, BASE = 60_000, 400 * 10**14
CXPT = 1
DAY_MS = 24 * 3600 * 1000
RESTING = ("GTC", "POST_ONLY", "GTD")
TIERS = [1_000, 10_000, 100_000, 1_000_000]  # whole CXPT
GIVEN_UP = 255  # in place of a reason: CORE has used the number up, because the fill could never settle


@dataclass
class Known:
    """What the naive exchange remembers of an accepted order."""

    account: bytes
    market: str
    side: Side
    price: int
    fee_bps: int
    expiry: int
    name: str | None = None
    nonce: int = 0
    limit: int = 0  # ms after which it is too late; 0: never
    condition: Condition | None = None


@dataclass
class NaiveGuard:
    """until: None while it is armed, 0 until it is reset. since: fills before do not count."""

    window: int
    lots: int | None
    notional: int | None
    cooldown: int
    since: int = 0
    until: int | None = None


class NaiveExchange(NaiveTriggers):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple] = []  # trades of this command
        self.lots: dict[bytes, int] = {}  # that were signed
        self.books = {symbol: NaiveMatcher() for symbol in LISTINGS}
        self.orders: dict[bytes, Known] = {}  # in order of acceptance
        self.totals = {(who, asset): BASE if asset else USDC for who in ACCOUNTS for asset in ASSETS}
        self.filled: list[tuple[bytes, int]] = []  # (order, lots) of every match, each side
        self.sequences = dict.fromkeys(LISTINGS, 0)
        self.leaving: dict[int, tuple[bytes, int, int, int]] = {}  # nonce: account, asset, amount, deadline
        self.now_ms = 0
        self.made: list[tuple[int, bytes, str, int, int]] = []  # maker fills: time, account, market, lots, price
        self.most = dict.fromkeys(("worth", "open", "a day", "band"))  # None: no limit; worth and a day in 1e-6 USDC
        self.rate: int | None = None  # orders a second
        self.burst = 1
        self.sent: dict[bytes, list[tuple[int, int]]] = {}  # accepted orders: when, at which rate
        self.guards: dict[tuple[bytes, str], NaiveGuard] = {}
        self.traded: list[tuple[int, bytes, int]] = []  # day, account, 1e-6 USDC
        self.early: dict[tuple[bytes, bytes], int] = {}  # (account, id) cancelled before it came: until, in ms
        self.countdowns: dict[bytes, int] = {}  # account: its orders go at, in ms

    def discount(self, who: bytes) -> int:
        """Percent off the fees."""
        return 10 * sum(self.totals.get((who, CXPT), 0) >= tier * 10**6 for tier in TIERS)

    def may_leave(self, who: bytes, asset: int, amount: int) -> str | None:
        """Why this cannot leave at once."""
        if self.totals.get((who, asset), 0) - self.reserved(who, asset) < amount:
            return "BALANCE_INSUFFICIENT"
        if self.totals.get((who, asset), 0) - self.stays(who, asset) < amount:
            return "WITHDRAWAL_UNSETTLED"
        if sum(account == who for account, *_ in self.leaving.values()) >= MOST_A_ACCOUNT:
            return "WITHDRAWAL_TOO_MANY"
        return None

    def stays(self, who: bytes, asset: int) -> int:
        """What unsettled sales and purchases brought, 0.5 % of what was bought, and the CXPT of the tier meanwhile."""
        mine = [p for p in self.pending if who in (self.orders[p[4]].account, self.orders[p[5]].account)]
        if asset == CXPT and mine:
            return max((10**6 * tier for tier in TIERS if 10**6 * tier <= self.totals.get((who, CXPT), 0)), default=0)
        found = 0
        for market, _, _, moves, maker_id, _ in mine:
            listing = LISTINGS[market]
            lots = next(abs(amount) for _, moved, amount in moves if moved) // 10**listing.lot_exponent
            notional = lots * self.orders[maker_id].price * listing.quote_per_lot_tick
            bought = (who, listing.base_asset, lots * 10**listing.lot_exponent) in moves
            if asset == listing.base_asset and bought:
                found += lots * 10**listing.lot_exponent
            elif asset == 0:
                found += -(-notional // 200) if bought else notional
        return found

    def needs(self, order: Known, lots: int) -> tuple[int, int]:
        listing = LISTINGS[order.market]
        if order.side is Side.SELL:
            return listing.base_asset, lots * 10**listing.lot_exponent
        notional = lots * order.price * listing.quote_per_lot_tick
        return 0, notional + notional * order.fee_bps // 10_000

    def in_book(self, digest: bytes):
        return self.books[self.orders[digest].market].find(digest)

    def resting(self, digest: bytes):
        """In the book, or waiting for its price."""
        return self.waiting.get(digest) or self.in_book(digest)

    def reserved(self, who: bytes, asset: int) -> int:
        wanted = 0
        for digest, order in self.orders.items():
            found = self.in_book(digest)
            if found is not None and order.account == who:
                held_asset, amount = self.needs(order, found.total)
                wanted += amount if held_asset == asset else 0
        return wanted

    def place(
        self,
        digest: bytes,
        order: Known,
        lots: int,
        tif: str,
        stp: str,
        replaces: bytes | None = None,
        display: int = 0,
    ) -> list[tuple] | str:
        """The trades, or why not. `replaces`: an order of the same nonce that has gone before."""
        if order.limit and order.limit < self.now_ms:
            return "ORDER_TOO_LATE"
        if self.early.get((order.account, digest), 0) > self.now_ms:
            return "ORDER_CANCELLED_BEFORE"
        others = self.others(order)
        if replaces is None and len(others) == 1 and (order.condition or self.orders[others[0]].condition):
            if not self.is_pair(order, tif, others[0]):
                return "ORDER_PAIR_REFUSED"
            replaces = others[0]
        listing = LISTINGS[order.market]
        if display and (tif not in RESTING or display % listing.min_lots or not lots <= 100 * display <= 100 * lots):
            return "ORDER_DISPLAY_INVALID"
        if lots < listing.min_lots:
            return "ORDER_TOO_SMALL"
        if lots % listing.min_lots:
            return "ORDER_LOT_INVALID"
        rates = {"POST_ONLY": [listing.maker_fee_bps], "IOC": [listing.taker_fee_bps], "FOK": [listing.taker_fee_bps]}
        if order.fee_bps < max(rates.get(tif, [listing.maker_fee_bps, listing.taker_fee_bps])):
            return "ORDER_FEE_CAP_TOO_LOW"
        signed = lots
        if replaces is not None:
            lots -= self.filled_with(order)
            if lots <= 0:
                return "ORDER_FILLED_BEFORE"
        elif others:
            return "ORDER_NONCE_USED"
        elif self.lane_is_busy(order):
            return "ORDER_NONCE_LANE_BUSY"
        if order.condition is None:
            refused = self.enter(digest, order, lots, tif, stp, display)
        else:
            refused = self.too_often(order) or self.too_many_open(order) or self.tripped(order, tif)
        if refused is not None:
            return refused
        self.orders[digest] = order
        self.lots[digest] = signed
        if self.rate is not None:
            self.sent.setdefault(order.account, []).append((self.now_ms, self.rate))
        if order.condition is not None:
            self.wait(digest, lots, tif, stp, display)
        return self.run_queue()

    def others(self, order: Known) -> list[bytes]:
        """Open orders of the same nonce."""
        nonce = order.account, order.nonce
        same = [d for d, other in self.orders.items() if (other.account, other.nonce) == nonce and other is not order]
        return [digest for digest in same if self.resting(digest)]

    def is_pair(self, order: Known, tif: str, other: bytes) -> bool:
        known = self.orders[other]
        if (order.market, order.side) != (known.market, known.side):
            return False
        return order.condition is not None or (tif in RESTING and other in self.waiting)

    def run_queue(self) -> list[tuple]:
        """Lets in what prices have triggered, one after the other. All trades of this command."""
        while self.queue:
            digest, proof = self.queue.pop(0)
            found = self.waiting.pop(digest, None)
            if found is None:
                if self.seeking.pop(digest, None) is not None:
                    self.proofs[digest] = proof
                    self.proven.append((digest, proof))
                continue
            self.triggered.append((digest, proof))
            self.proofs[digest] = proof
            self.books[self.orders[digest].market].used.discard(digest)
            for other in self.others(self.orders[digest]):
                self.cancel(other)
            terms = (found.quantity, found.tif, found.stp, found.display)
            refused = self.enter(digest, self.orders[digest], *terms, is_triggered=True)
            if refused is not None:
                self.refused.append((digest, refused))
        trades, self.said = self.said, []
        return trades

    def enter(
        self, digest: bytes, order: Known, lots: int, tif: str, stp: str, display: int, *, is_triggered: bool = False
    ) -> str | None:
        """Meets the book. Why not, if it may not."""
        asset, amount = self.needs(order, lots)
        if self.totals[order.account, asset] - self.reserved(order.account, asset) < amount:
            return "BALANCE_INSUFFICIENT"
        beyond = self.beyond_limit(order, lots, tif, is_triggered) or self.tripped(order, tif)
        if beyond is not None:
            return beyond
        side = "buy" if order.side is Side.BUY else "sell"
        events = self.books[order.market].place(digest, order.account, side, lots, order.price, tif, stp, display)
        if events[0][0] == "rejected":
            return "ORDER_POST_ONLY_WOULD_TRADE" if tif == "POST_ONLY" else "ORDER_FOK_UNFILLABLE"
        self.orders[digest] = order
        trades = [event[1:] for event in events if event[0] == "trade"]
        for taker_id, maker_id, price, quantity in trades:
            self.filled += [(taker_id, quantity), (maker_id, quantity)]
            self._settle_now(taker_id, maker_id, price, quantity)
            self.made.append((self.now_ms, self.orders[maker_id].account, order.market, quantity, price))
            self.share_fills(taker_id)
            self.share_fills(maker_id)
            self.new_price(order.market, "LAST", Fraction(price), self.now_ms // 1000)
        for one in {part for trade in trades for part in trade[:2]}:
            last = [event for event in events if event[0] != "accepted" and one in event[1:3]][-1]
            if last[0] == "trade" and not self.resting(one):
                self.owner_cancel(one)
        for maker in {self.orders[trade[1]].account for trade in trades}:
            self._protect(maker, order.market)
        self.said += trades
        return None

    def share_fills(self, digest: bytes) -> None:
        """What it has filled is no longer open in the other leg of its pair."""
        order = self.orders[digest]
        for other in self.others(order):
            found = self.waiting[other]
            found.quantity = min(found.quantity, self.lots[other] - self.filled_with(order))
            if found.quantity <= 0:
                self.cancel(other)

    def tripped(self, order: Known, tif: str) -> str | None:
        guard = self.guards.get((order.account, order.market))
        tripped = guard and guard.until is not None and (guard.until == 0 or self.now_ms < guard.until)
        return "PROTECTION_TRIPPED" if tripped and tif in RESTING else None

    def _protect(self, maker: bytes, market: str) -> None:
        guard = self.guards.get((maker, market))
        if guard is None:
            return
        fills = [
            (lots, lots * price * LISTINGS[market].quote_per_lot_tick)
            for number, (time, who, where, lots, price) in enumerate(self.made)
            if number >= guard.since and (who, where) == (maker, market) and self.now_ms - time < guard.window
        ]
        lots, notional = (sum(fill[part] for fill in fills) for part in (0, 1))
        if (guard.lots and lots >= guard.lots) or (guard.notional and notional >= guard.notional):
            guard.since = len(self.made)
            guard.until = self.now_ms + guard.cooldown if guard.cooldown else 0
            for digest, order in self.orders.items():
                if (order.account, order.market) == (maker, market):
                    self.cancel(digest)

    def too_often(self, order: Known) -> str | None:
        if self.rate is not None:
            level, then = 0, 0
            for time, rate in self.sent.get(order.account, []):
                level, then = max(level - (time - then) * rate, 0) + 1000, time
            if max(level - (self.now_ms - then) * self.rate, 0) + 1000 > 1000 * self.burst:
                return "RATE_LIMITED"
        return None

    def too_many_open(self, order: Known) -> str | None:
        mine = [
            o.market == order.market and o.account == order.account for d, o in self.orders.items() if self.resting(d)
        ]
        return "ORDER_TOO_MANY_OPEN" if self.most["open"] is not None and sum(mine) >= self.most["open"] else None

    def beyond_limit(self, order: Known, lots: int, tif: str, is_triggered: bool) -> str | None:
        if not is_triggered and self.too_often(order):
            return "RATE_LIMITED"
        prices, band = self.prices.get((order.market, "INDEX")), self.most["band"]
        if prices and band is not None:
            ratio = order.price / prices[-1][0]
            if ratio > 1 + band if order.side is Side.BUY else ratio < 1 - band:
                return "ORDER_PRICE_OUT_OF_BAND"
        worth, left = 0, lots
        bids = [level for level in self.books[order.market].book() if level[0] == "buy" and level[1] >= order.price]
        for _, price, bid, _ in bids if order.side is Side.SELL else []:
            met = min(left, self.in_book(bid).total)
            worth, left = worth + met * price, left - met
        worth = (worth + left * order.price) * LISTINGS[order.market].quote_per_lot_tick
        if self.most["worth"] is not None and worth > self.most["worth"]:
            return "ORDER_TOO_LARGE"
        today = sum(worth for day, who, worth in self.traded if (day, who) == (self.now_ms // DAY_MS, order.account))
        if self.most["a day"] is not None and today + worth > self.most["a day"]:
            return "ORDER_DAILY_VOLUME"
        return None if is_triggered or tif not in RESTING else self.too_many_open(order)

    def _settle_now(self, taker_id: bytes, maker_id: bytes, price: int, quantity: int) -> None:
        taker, maker = self.orders[taker_id], self.orders[maker_id]
        listing = LISTINGS[taker.market]
        notional = quantity * price * listing.quote_per_lot_tick
        base = quantity * 10**listing.lot_exponent
        self.traded += [(self.now_ms // DAY_MS, order.account, notional) for order in (taker, maker)]
        moves = []
        for order, bps in ((maker, listing.maker_fee_bps), (taker, listing.taker_fee_bps)):
            rate = bps * (100 - self.discount(order.account))
            fee = min((notional * rate + 999_999) // 1_000_000, notional * order.fee_bps // 10_000)
            sign = 1 if order.side is Side.BUY else -1
            moves += [(order.account, 0, -sign * notional - fee), (order.account, listing.base_asset, sign * base)]
        self._move(moves, 1)
        day = self.now_ms // DAY_MS
        self.pending.append((taker.market, self.sequences[taker.market], day, moves, maker_id, taker_id))
        self.sequences[taker.market] += 1

    def _move(self, moves: list[tuple], sign: int) -> None:
        for who, asset, amount in moves:
            self.totals[who, asset] += sign * amount

    def skip_first(self, reason: int) -> None:
        market, _, day, moves, maker_id, taker_id = self.pending.pop(0)
        for given_up in (maker_id, taker_id) if reason == GIVEN_UP else ():
            if self.resting(given_up):
                self.cancel(given_up)
        self._move(moves, -1)
        blamed = {1: maker_id, 2: taker_id, 3: maker_id, 4: taker_id}.get(reason)
        lots = next(abs(amount) for _, moved, amount in moves if moved) // 10 ** LISTINGS[market].lot_exponent
        notional = lots * self.orders[maker_id].price * LISTINGS[market].quote_per_lot_tick
        for digest in {maker_id, taker_id} - {blamed}:
            self.traded.remove((day, self.orders[digest].account, notional))
        if blamed is not None and self.resting(blamed):
            (self.owner_cancel if reason <= 2 else self.cancel)(blamed)
        for who in ACCOUNTS:
            for asset in ASSETS:
                self.cover(who, asset)

    def owner_cancel(self, digest: bytes) -> None:
        """And the other leg of its pair."""
        for other in self.others(self.orders[digest]):
            self.cancel(other)
        self.cancel(digest)

    def cancel(self, digest: bytes) -> None:
        self.stop_waiting(digest)
        self.books[self.orders[digest].market].cancel(digest)

    def filled_with(self, order: Known) -> int:
        """Lots that orders of the same account and nonce have filled."""
        same = [d for d, o in self.orders.items() if (o.account, o.nonce) == (order.account, order.nonce)]
        return sum(lots for digest, lots in self.filled if digest in same)

    def lane_is_busy(self, order: Known) -> bool:
        lane = unpack_nonce(order.nonce).lane
        waiting = {digest for *_, maker_id, taker_id in self.pending for digest in (maker_id, taker_id)}
        return any(
            (other.account, unpack_nonce(other.nonce).lane) == (order.account, lane)
            and (digest in waiting or self.resting(digest) is not None)
            for digest, other in self.orders.items()
        )

    def find_open(self, who: bytes, digest: bytes) -> str | None:
        """Why it is not an open order of the account."""
        if digest not in self.orders or self.orders[digest].account != who:
            return "ORDER_UNKNOWN"
        return "ORDER_NOT_OPEN" if self.resting(digest) is None else None

    def reduce(self, who: bytes, digest: bytes, quantity: int) -> str | None:
        refused = self.find_open(who, digest)
        if refused is not None:
            return refused
        order, found = self.orders[digest], self.resting(digest)
        smallest = LISTINGS[order.market].min_lots
        if quantity < smallest:
            return "ORDER_TOO_SMALL"
        if quantity % smallest:
            return "ORDER_LOT_INVALID"
        left = quantity - self.filled_with(order)
        if left > found.total:
            return "ORDER_AMEND_RAISES"
        if left <= 0:
            self.owner_cancel(digest)
        else:
            lowered = found.total - left
            if digest in self.waiting:
                found.quantity = left
            else:
                found.hidden, lowered = max(found.hidden - lowered, 0), max(lowered - found.hidden, 0)
                found.quantity -= lowered
        return None

    def replace(self, old: bytes, digest: bytes, order: Known, lots: int, tif: str, stp: str) -> list[tuple] | str:
        refused = self.find_open(order.account, old)
        if refused is not None:
            return refused
        before, found = self.orders[old], self.resting(old)
        if (order.nonce, order.market, order.side) != (before.nonce, before.market, before.side):
            return "ORDER_REPLACE_DIFFERS"
        if any(other != old and not self.is_pair(order, tif, other) for other in self.others(order)):
            return "ORDER_PAIR_REFUSED"
        if digest in self.orders:
            return "ORDER_REPLACED_BEFORE"
        rehearsal = copy.deepcopy(self)
        rehearsal.cancel(old)
        outcome = rehearsal.place(digest, order, lots, tif, stp, old)
        if isinstance(outcome, str):
            return outcome
        left = lots - self.filled_with(order)
        if (
            found is not self.in_book(old)
            or order.condition
            or tif not in RESTING
            or order.price != before.price
            or left > found.quantity
            or found.display
        ):
            self.__dict__ = rehearsal.__dict__
            return outcome
        found.id, found.quantity = digest, left
        together = [(old, before), (digest, order)]
        self.orders = dict(pair for known in self.orders.items() for pair in (together if known[0] == old else [known]))
        self.sent, self.lots = rehearsal.sent, rehearsal.lots
        return []

    def cancel_and_place(
        self, cancels: bytes | str, anyway: bool, keeps: bool, digest: bytes, order: Known, *terms
    ) -> list[tuple] | str:
        """cancels: an id, or a name. terms: as `place` takes them."""
        who = order.account
        if isinstance(cancels, str):
            gone = [d for d, o in self.orders.items() if o.account == who and o.name == cancels and self.resting(d)]
            refused = None if gone else "ORDER_UNKNOWN"
        else:
            refused = self.find_open(who, cancels)
            gone = [] if refused else [cancels]
        if refused and not anyway:
            return refused
        if isinstance(cancels, bytes) and cancels not in self.orders:
            self.early[who, cancels] = self.now_ms + EARLY_CANCEL_MS
        rehearsal = copy.deepcopy(self)
        for one in gone:
            rehearsal.owner_cancel(one)
        outcome = rehearsal.place(digest, order, *terms)
        if not isinstance(outcome, str):
            self.__dict__ = rehearsal.__dict__
        elif not keeps:
            for one in gone:
                self.owner_cancel(one)
        return outcome

    def cover(self, who: bytes, asset: int) -> None:
        for digest, order in reversed(self.orders.items()):
            found = self.in_book(digest)
            if self.reserved(who, asset) <= self.totals[who, asset]:
                return
            if found is not None and order.account == who and self.needs(order, 1)[0] == asset:
                self.cancel(digest)

    def cancel_all(self, who: bytes, market: str | None = None, side: Side | None = None) -> None:
        for digest, order in self.orders.items():
            if order.account == who and market in (None, order.market) and side in (None, order.side):
                self.cancel(digest)

    def fire(self, now_ms: int) -> None:
        for who, until in list(self.countdowns.items()):
            if until <= now_ms:
                self.cancel_all(who)
                del self.countdowns[who]

    def expire(self, now: int) -> None:
        for digest, order in self.orders.items():
            if order.expiry - SETTLEMENT_SECONDS <= now:
                self.cancel(digest)
