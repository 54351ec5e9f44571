"""Accounts: what each one owns, what its open orders hold back, and its nonce lanes.

Owns:     balances (total and reserved, per asset), the epoch, the fee tier, the lanes, the session keys, the index of
          open orders by account.
Promises: `reserved` is the sum over the account's open orders; `available` is what a new order may reserve.
Never:    decides whether an order is good, or emits events (see `turn`).

Amounts are 1e-6 USDC for assets 0 and 1, 1e-18 units for synths.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from relayer.engine.lanes import Lane
from relayer.engine.quote_guard import Guard
from relayer.engine.sessions import Session

if TYPE_CHECKING:
    from relayer.engine.orders import OrderRecord


class Balance:
    """total counts matched but unsettled fills; it may be negative after a fill that the chain skipped."""

    __slots__ = ("reserved", "total")

    def __init__(self, total: int = 0, reserved: int = 0) -> None:
        self.total = total
        self.reserved = reserved

    @property
    def available(self) -> int:
        return self.total - self.reserved


class Account:
    """`open` holds the open orders by acceptance number, so oldest first.

    open_in: how many of them are in each market.
    tier: what its CXPT reaches; it lowers the fees of its fills.
    bucket: thousandths of its latest orders as of `bucket_ms`, see `limits`.
    on_the_way: by asset, what must stay here until fills have settled, see `fills.held_back`.
    early_cancels: orders that were cancelled before they came, with the unix milliseconds at which that is forgotten.
    volume: 1e-6 USDC matched on `volume_day` (days since 1970), see `limits`.
    first_free: no lane below it is free. A mere short cut for `free_nonces`, so snapshots leave it out.
    """

    __slots__ = (
        "address",
        "balances",
        "bucket",
        "bucket_ms",
        "early_cancels",
        "epoch",
        "first_free",
        "guards",
        "lanes",
        "on_the_way",
        "open",
        "open_in",
        "sessions",
        "tier",
        "volume",
        "volume_day",
    )

    def __init__(self, address: bytes) -> None:
        self.address = address
        self.epoch = 0
        self.tier = 0
        self.first_free = 0
        self.balances: dict[int, Balance] = {}
        self.lanes: dict[int, Lane] = {}
        self.open: dict[int, OrderRecord] = {}
        self.open_in: dict[str, int] = {}
        self.sessions: dict[bytes, Session] = {}
        self.guards: dict[str, Guard] = {}
        self.bucket = 0
        self.bucket_ms = 0
        self.volume = 0
        self.volume_day = 0
        self.early_cancels: dict[bytes, int] = {}
        self.on_the_way: defaultdict[int, int] = defaultdict(int)

    def balance(self, asset: int) -> Balance:
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance()
        return balance

    def lane(self, number: int) -> Lane:
        lane = self.lanes.get(number)
        if lane is None:
            lane = self.lanes[number] = Lane()
        return lane

    def session(self, key: bytes) -> Session:
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = Session()
        return session

    def lane_may_be_free(self, number: int) -> None:
        """Whatever may free a lane says so here."""
        self.first_free = min(self.first_free, number)

    def available(self, asset: int) -> int:
        balance = self.balances.get(asset)
        return 0 if balance is None else balance.available
