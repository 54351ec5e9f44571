"""How much an account may do in a while that leaves a line in the journal and nothing else.

Promises: an account that stays below its own rate of orders never notices. What is counted is only how the door
          answers: it changes nothing in the engine, so a replay needs none of it. A session key has its own budget.
Never:    counts what somebody else can do in the account's name (see `relayer.engine.hopeless`), or holds back a
          cancel of an order that is there.

An order that is refused takes as much of the journal as one that is accepted, and costs its sender nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from cxdex.problem import Problem
from relayer.engine.core import Engine

_FORGET_AT = 10_000  # accounts

REFUSALS = "too many orders of the account have been refused; this one was not looked at"
EARLY_CANCELS = (
    "the account has cancelled too many orders that nobody has seen; this cancel was not kept, so its order is taken "
    "should it still come"
)
SETTINGS = "the account asks too often for what the exchange has to write down"


class RefusalBudget:
    """clock: seconds that never run backwards. detail: what is said when it is used up."""

    def __init__(self, engine: Engine, clock: Callable[[], float], detail: str = REFUSALS) -> None:
        self._engine = engine
        self._clock = clock
        self._detail = detail
        self._forget_at = _FORGET_AT
        self._levels: dict[tuple[bytes, bytes], tuple[float, float]] = {}  # of whom: (not yet forgiven, when that was)

    def charge(self, account: bytes, signer: bytes = b"") -> None:
        """One more was written down. signer: the session key; empty when it was the account."""
        if len(self._levels) >= self._forget_at:
            self._levels = {one: level for one, level in self._levels.items() if self._level(*one) > 0}
            self._forget_at = max(_FORGET_AT, 2 * len(self._levels))
        self._levels[account, signer] = self._level(account, signer) + 1, self._clock()

    def refusal(self, account: bytes, signer: bytes = b"") -> Problem | None:
        """Why nothing more is written down now; None mostly."""
        if (account, signer) not in self._levels:
            return None
        limits = self._engine.limits_of(account)
        if limits.orders_per_second is None or self._level(account, signer) < limits.order_burst:
            return None
        return Problem(
            "RATE_LIMITED",
            self._detail,
            allowed=f"{limits.orders_per_second} a second, {limits.order_burst} at once",
        )

    def take(self, account: bytes) -> None:
        """Charges what is about to be written down. Raises RATE_LIMITED."""
        problem = self.refusal(account)
        if problem is not None:
            raise problem
        self.charge(account)

    def _level(self, account: bytes, signer: bytes) -> float:
        level, since = self._levels.get((account, signer), (0.0, 0.0))
        rate = self._engine.limits_of(account).orders_per_second or 0
        return max(level - (self._clock() - since) * rate, 0.0)
