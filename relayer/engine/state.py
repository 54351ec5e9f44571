"""Everything the engine knows, as plain objects.

Owns:     markets with their books, accounts, orders (open and recently closed), fills, the chain position.
Promises: nothing in here depends on anything but the commands applied so far.
Never:    emits events or decides anything; `turn`, `placing`, `matching` and `chain` do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from cxdex.condition import Condition, index_scaled, ticks_scaled
from cxdex.market import MarketTerms
from relayer.engine.accounts import Account
from relayer.engine.book import Book
from relayer.engine.chain_log import UNDO_BLOCKS, AppliedFact, OutboxRow
from relayer.engine.countdowns import Countdowns
from relayer.engine.fills import FillRecord
from relayer.engine.limit_terms import IndexPrice
from relayer.engine.limits import LimitBook
from relayer.engine.orders import LIVE, OrderRecord, matchable_until
from relayer.engine.watch import Watch
from relayer.engine.withdrawals import SetAside

CLOSED_ORDERS_KEPT = 4096
MOST_PASSED_OVER = 2
_STALE_EXPIRIES = 1024


@dataclass(frozen=True, slots=True)
class MarketView:
    """next_sequence: number of the market's next fill. settled_sequence: the one the chain expects next."""

    terms: MarketTerms
    status: int
    next_sequence: int
    settled_sequence: int


class Market:
    """unsettled, resolved and foreign: fills by sequence; those that the chain has decided, of recent blocks only.

    index, last: what waits for the oracle's price, and for the price of the market's own last trade.
    """

    __slots__ = (
        "book",
        "foreign",
        "index",
        "last",
        "next_sequence",
        "resolved",
        "settled_sequence",
        "status",
        "terms",
        "unsettled",
    )

    def __init__(self, terms: MarketTerms, status: int) -> None:
        self.terms = terms
        self.status = status
        self.book: Book[bytes] = Book()
        self.index = Watch(ticks_scaled(terms, 1))
        self.last = Watch(1)
        self.next_sequence = 0
        self.settled_sequence = 0
        self.unsettled: dict[int, FillRecord] = {}
        self.resolved: dict[int, FillRecord] = {}
        self.foreign: dict[int, FillRecord] = {}

    def list_again(self, terms: MarketTerms) -> None:
        """After a reorg that took the listing back: nothing rests or waits here, but fills may seek a proof."""
        seeking = self.index.pending()
        self.terms = terms
        self.index = Watch(ticks_scaled(terms, 1))
        for record in seeking:
            record.since = 0
            self.index.seek(record)

    def watch(self, condition: Condition) -> Watch:
        """Of the price that the condition speaks of."""
        return self.index if condition.trigger.by_index else self.last

    def pending(self) -> list[OrderRecord]:
        """Oldest first."""
        return sorted((*self.index.pending(), *self.last.pending()), key=lambda record: record.number)

    def index_value(self, price: IndexPrice | None) -> tuple[int, int]:
        """(value, time) as `index` takes them; zeros when there is no price."""
        return (0, 0) if price is None else (index_scaled(self.terms, price.price), price.publish_time)

    def view(self) -> MarketView:
        return MarketView(self.terms, self.status, self.next_sequence, self.settled_sequence)


class State:
    """applied: recent chain facts, oldest first. floor: position of the last one that is forgotten.

    set_asides: co-signed withdrawals on their way, oldest first. paid_nonces: of those in `applied`.
    watched: connections of clients by account; when one is lost, the account's orders go.
    early: (unix milliseconds, account) of each cancel that came before its order, by when that is forgotten.
    """

    __slots__ = (
        "_expiries",
        "accounts",
        "applied",
        "closed",
        "countdowns",
        "early",
        "floor",
        "limits",
        "markets",
        "next_match_id",
        "next_order_number",
        "open_count",
        "orders",
        "outbox_row",
        "paid_nonces",
        "resolutions",
        "set_asides",
        "watched",
    )

    def __init__(self) -> None:
        self.markets: dict[str, Market] = {}
        self.accounts: dict[bytes, Account] = {}
        self.orders: dict[bytes, OrderRecord] = {}
        self.closed: deque[OrderRecord] = deque()
        self.open_count = 0
        self.next_match_id = 1
        self.next_order_number = 1
        self.applied: deque[AppliedFact] = deque()
        self.floor = (0, -1)
        self.limits = LimitBook()
        self.outbox_row = OutboxRow()
        self.resolutions: deque[tuple[int, str, int]] = deque()
        self.set_asides: dict[tuple[bytes, int], SetAside] = {}
        self.paid_nonces: set[tuple[bytes, int]] = set()
        self.countdowns = Countdowns()
        self.watched: dict[bytes, dict[bytes, None]] = {}
        self.early: list[tuple[int, bytes]] = []
        self._expiries: list[tuple[int, int, bytes]] = []

    @property
    def position(self) -> tuple[int, int]:
        """(block, log index) of the last chain fact applied."""
        return self.applied[-1].place[:2] if self.applied else self.floor

    def account(self, address: bytes) -> Account:
        """The account, made on first use. Refused orders must not get here: they change nothing."""
        account = self.accounts.get(address)
        if account is None:
            account = self.accounts[address] = Account(address)
        return account

    def add_open(self, record: OrderRecord) -> None:
        self.orders[record.digest] = record
        account = self.account(record.order.account)
        account.open[record.number] = record
        market = record.order.market
        account.open_in[market] = account.open_in.get(market, 0) + 1
        lane = account.lane(record.lane)
        lane.is_open = True
        self.open_count += 1

    def remove_open(self, record: OrderRecord) -> None:
        account = self.accounts[record.order.account]
        del account.open[record.number]
        account.open_in[record.order.market] -= 1
        account.lanes[record.lane].is_open = False
        account.lane_may_be_free(record.lane)
        self.open_count -= 1
        self.closed.append(record)

    def hand_over(self, old: OrderRecord, new: OrderRecord) -> None:
        """`new` takes the place of the open `old` wherever that stands: same account, market, lane and number."""
        self.orders[new.digest] = new
        self.accounts[new.order.account].open[new.number] = new
        self.closed.append(old)

    def drop_closed(self) -> None:
        """Forgets the oldest closed orders beyond the limit, but none that still has a fill on its way.

        A command begins with it, so that whatever it closes can be asked for until the next one. Those that wait for
        the chain go behind the others, a few a command: one fill that cannot settle must not hold up all the rest.
        """
        patience = MOST_PASSED_OVER
        while patience and len(self.closed) > CLOSED_ORDERS_KEPT:
            record = self.closed.popleft()
            if record.unsettled or self._may_lose_proof(record):
                self.closed.append(record)
                patience -= 1
                continue
            del self.orders[record.digest]
            if record.seeks_proof and record.order.condition is not None:
                record.seeks_proof = False
                self.markets[record.order.market].watch(record.order.condition).leave_behind()

    def _may_lose_proof(self, record: OrderRecord) -> bool:
        """Whether a reorg can still take its settled fills back, together with the price that proved them."""
        return record.settled_block > 0 and record.settled_block >= self.position[0] - UNDO_BLOCKS

    def watch_expiry(self, record: OrderRecord) -> None:
        """Cancelled orders stay in the queue until it is twice as long as needed; then it is rebuilt."""
        heappush(self._expiries, (matchable_until(record.order), record.number, record.digest))
        if len(self._expiries) > 2 * self.open_count + _STALE_EXPIRIES:
            self._expiries = [entry for entry in self._expiries if self._is_open(entry[2])]
            heapify(self._expiries)

    def next_expired(self, now: int) -> OrderRecord | None:
        """An open order that may not trade from `now` (unix seconds) on, by that time and then by age."""
        expiries = self._expiries
        while expiries and expiries[0][0] <= now:
            record = self.orders.get(heappop(expiries)[2])
            if record is not None and record.status in LIVE:
                return record
        return None

    def next_expiry(self) -> int | None:
        """Unix seconds at which the next open order stops trading; None when none rests."""
        while self._expiries and not self._is_open(self._expiries[0][2]):
            heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def _is_open(self, digest: bytes) -> bool:
        record = self.orders.get(digest)
        return record is not None and record.status in LIVE
