"""Which account's orders are cancelled when, unless it says otherwise before.

Promises: `take_due` gives the earliest first, by address within a millisecond, on every machine.
Never:    closes an order (see `cancelling`).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_STALE_ENTRIES = 1024


class Countdowns:
    """`until`: account -> unix milliseconds. The queue also holds times that were overtaken; those count no more."""

    __slots__ = ("_queue", "until")

    def __init__(self) -> None:
        self.until: dict[bytes, int] = {}
        self._queue: list[tuple[int, bytes]] = []

    def set(self, account: bytes, until: int) -> None:
        """until 0: no countdown."""
        if not until:
            self.until.pop(account, None)
            return
        self.until[account] = until
        heappush(self._queue, (until, account))
        if len(self._queue) > 2 * len(self.until) + _STALE_ENTRIES:
            self._queue = [(time_ms, address) for address, time_ms in self.until.items()]
            heapify(self._queue)

    def take_due(self, now_ms: int) -> bytes | None:
        """An account whose time has come; it has no countdown any more."""
        queue = self._queue
        while queue and queue[0][0] <= now_ms:
            until, account = heappop(queue)
            if self.until.get(account) == until:
                del self.until[account]
                return account
        return None

    def next(self) -> int | None:
        """Unix milliseconds of the first countdown; None when there is none."""
        queue = self._queue
        while queue and self.until.get(queue[0][1]) != queue[0][0]:
            heappop(queue)
        return queue[0][0] if queue else None
