"""Which nonce the next order gets. The exchange hands them out; this keeps the ones not used yet.

The exchange leases nonces for ten seconds, cheapest lanes first. So a person's single order takes one, and a
busy bot takes blocks that double while it keeps running out: few requests, and no lane held without need.

Promises: no nonce is given twice within a lease, whatever the exchange says: two equal orders with one nonce are one
          order, so a second "buy" would be answered with the first and buy nothing. Of many calls that run short at
          once, one asks, for all of them.
Never:    invents a nonce, or uses one whose lease may have ended.
"""

from __future__ import annotations

from collections import deque

LEASE_SECONDS = 8.0  # the exchange's ten, less what a request may take
MAX_BLOCK = 32


class NoncePool:
    """Times are seconds of a monotonic clock, given by the caller."""

    def __init__(self) -> None:
        self._free: deque[int] = deque()
        self._leased_at = float("-inf")
        self._block = 1
        self._given: dict[int, float] = {}  # and when, oldest first
        self._short = 0
        self.is_asking = False  # somebody has a request on its way

    def take(self, count: int, now: float) -> list[int] | None:
        """`count` nonces, or None: then ask for `block(count, now)` more and `refill`."""
        if now - self._leased_at > LEASE_SECONDS:
            self._free.clear()
        if len(self._free) < count:
            return None
        taken = [self._free.popleft() for _ in range(count)]
        self._given.update(dict.fromkeys(taken, now))
        return taken

    def wait(self, count: int) -> None:
        """Somebody asks already: the next request is for these as well."""
        self._short += count

    def block(self, count: int, now: float) -> int:
        """How many to ask for when `count` are needed at once."""
        hurried = now - self._leased_at <= LEASE_SECONDS
        self._block = min(2 * self._block, MAX_BLOCK) if hurried else 1
        wanted, self._short = count + self._short, 0
        return max(min(max(self._block, wanted), MAX_BLOCK), count)

    def refill(self, nonces: list[int], now: float) -> int:
        """Returns how many of them were given before and are left out."""
        while self._given and now - next(iter(self._given.values())) > LEASE_SECONDS:
            del self._given[next(iter(self._given))]
        self._free = deque(nonce for nonce in nonces if nonce not in self._given)
        self._leased_at = now
        return len(nonces) - len(self._free)

    def forget(self) -> None:
        """The exchange refused one of them: another device is at work, so the rest are doubtful too."""
        self._free.clear()
