"""How many messages one WebSocket client may send: a bucket that refills with time.

Promises: a client that goes on after it was refused often enough is given up on.
Never:    reads a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cxdex.problem import Problem

MESSAGES_PER_SECOND = 20
MESSAGE_BURST = 100
MESSAGES_IGNORED_BEFORE_CLOSE = 1_000


class MessageBudget:
    """`give_up` is called once too many messages were refused."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._left = float(MESSAGE_BURST)
        self._refilled = time.monotonic()
        self._ignored = 0

    def take(self, cost: int = 1) -> None:
        """Raises RATE_LIMITED when nothing is left, also when nothing is taken."""
        now = time.monotonic()
        self._left = min(MESSAGE_BURST, self._left + (now - self._refilled) * MESSAGES_PER_SECOND)
        self._refilled = now
        if self._left < 1:
            self._ignored += 1
            if self._ignored > MESSAGES_IGNORED_BEFORE_CLOSE:
                self._give_up()
            raise Problem("RATE_LIMITED", "too many messages", allowed=f"{MESSAGES_PER_SECOND} a second")
        self._left -= cost

    def charge(self) -> None:
        """What was taken for nothing was refused by this process: it counts as a message after all."""
        self._left = max(0.0, self._left - 1)
