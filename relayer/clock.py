"""The time by which a process stamps and waits: the machine's clock, as far as it can be believed.

Promises: never runs backwards. A step ahead of more than STEP_SECONDS beyond the time that has really passed (by a
          clock that only counts) is not believed: time goes on without it, because what it closes stays closed. It is
          believed when the chain's blocks have come near it, so a machine that slept catches up by itself.
          When the machine's clock is set back, time goes half as fast until the clock has caught up. Each is said once.
Never:    asks the chain by itself. A start believes the machine's clock, because nothing else is known yet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

log = logging.getLogger("relayer.clock")

STEP_SECONDS = 2
NEAR_SECONDS = 90  # how far a block that has been seen may lie behind the time that it bears out
_NS = 10**9
_COUNTER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps, where there is one

TRUSTED, AHEAD, BEHIND = "", "ahead", "behind"


def passed_ns() -> int:
    return time.clock_gettime_ns(_COUNTER)


class BoundedClock:
    """wall: the machine's clock; counter: one that is never set. Both in nanoseconds."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, counter: Callable[[], int] = passed_ns) -> None:
        self._wall = wall
        self._counter = counter
        self._seen = counter()
        self._time = wall()
        self._chain = 0
        self._trouble = TRUSTED
        self._off = 0
        self._lock = Lock()  # a settler's parts ask from threads of their own

    @property
    def is_doubted(self) -> bool:
        """Whether the machine's clock is ahead and not believed: a block's time would help (see `confirm`)."""
        return self._trouble == AHEAD

    @property
    def off_seconds(self) -> float:
        """How far the machine's clock is ahead of the time that is believed, or (negative) behind; 0: they agree."""
        return self._off / _NS if self._trouble else 0.0

    def now_ms(self) -> int:
        with self._lock:
            return self._look() // 10**6

    def _look(self) -> int:
        wall, count = self._wall(), self._counter()
        passed = max(0, count - self._seen)
        self._seen = count
        self._off = wall - self._time - passed
        if self._off > STEP_SECONDS * _NS and wall > self._chain + NEAR_SECONDS * _NS:
            self._note(AHEAD)
            self._time += passed
        elif wall < self._time - STEP_SECONDS * _NS:
            self._note(BEHIND)
            self._time += passed // 2
        else:
            self._note(TRUSTED)
            self._time = max(self._time, wall)
        return self._time

    def start_at(self, time_ms: int) -> None:
        """Nothing earlier than this is told from now on."""
        self._time = max(self._time, time_ms * 10**6)

    def confirm(self, block_seconds: int) -> None:
        """A block of this unix time has been seen."""
        self._chain = block_seconds * _NS

    def _note(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        seconds = abs(self._off) // _NS
        if trouble == AHEAD:
            log.error(
                "ALERT: this machine's clock stepped %d s ahead of the time that has passed. It is not believed before "
                "the chain's blocks are near it; if it is right and no blocks come, start this process again",
                seconds,
            )
        elif trouble == BEHIND:
            log.error(
                "ALERT: this machine's clock is %d s behind the time that was told already; time goes half as fast "
                "until it has caught up",
                seconds,
            )
        else:
            log.warning("this machine's clock is believed again")
