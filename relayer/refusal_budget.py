"""How many of an account's orders may be refused in a while before the next ones are not even written down.

Promises: an account whose refusals stay below its own rate of orders never notices. What is counted is only how the
          door answers: it changes nothing in the engine, so a replay needs none of it.
Never:    counts accounts that the exchange does not know; they are refused without being written down at all.

A refused order takes as much of the journal as one that is accepted, and costs its sender nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from cxdex.problem import Problem
from relayer.engine.core import Engine

_FORGET_AT = 10_000  # accounts


class RefusalBudget:
    """clock: seconds that never run backwards."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._levels: dict[bytes, tuple[float, float]] = {}  # account: (refusals not yet forgiven, when that was)

    def charge(self, account: bytes) -> None:
        """One more was refused, and written down."""
        if len(self._levels) >= _FORGET_AT:
            self._levels = {one: level for one, level in self._levels.items() if self._level(one) > 0}
        self._levels[account] = self._level(account) + 1, self._clock()

    def refusal(self, account: bytes) -> Problem | None:
        """Why no order of the account is taken now; None mostly."""
        if account not in self._levels:
            return None
        limits = self._engine.limits_of(account)
        if limits.orders_per_second is None or self._level(account) < limits.order_burst:
            return None
        return Problem(
            "RATE_LIMITED",
            "too many orders of the account have been refused; this one was not looked at",
            allowed=f"{limits.orders_per_second} refusals a second, {limits.order_burst} at once",
        )

    def _level(self, account: bytes) -> float:
        level, since = self._levels.get(account, (0.0, 0.0))
        rate = self._engine.limits_of(account).orders_per_second or 0
        return max(level - (self._clock() - since) * rate, 0.0)
