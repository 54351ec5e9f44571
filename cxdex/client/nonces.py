"""Which nonce the next order gets. The exchange hands them out; this keeps the ones not used yet.

The exchange leases nonces for ten seconds, cheapest lanes first. So a person's single order takes one, and a
busy bot takes blocks that double while it keeps running out: few requests, and no lane held without need.

Never: invents a nonce, or uses one whose lease may have ended.
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

    def take(self, count: int, now: float) -> list[int] | None:
        """`count` nonces, or None: then ask for `block(count, now)` more and `refill`."""
        if now - self._leased_at > LEASE_SECONDS:
            self._free.clear()
        if len(self._free) < count:
            return None
        return [self._free.popleft() for _ in range(count)]

    def block(self, count: int, now: float) -> int:
        """How many to ask for when `count` are needed at once."""
        hurried = now - self._leased_at <= LEASE_SECONDS
        self._block = min(2 * self._block, MAX_BLOCK) if hurried else 1
        return max(self._block, count)

    def refill(self, nonces: list[int], now: float) -> None:
        self._free = deque(nonces)
        self._leased_at = now

    def forget(self) -> None:
        """The exchange refused one of them: another device is at work, so the rest are doubtful too."""
        self._free.clear()
