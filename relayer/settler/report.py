"""Tells how late settlement is: the engine by a row, people by the log.

Promises: the row is at most a second old while the settler works, whatever keeps it from settling. One alert
          when a fill becomes older than the promise, one line when that is over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from relayer.settler.metrics import SettlerMetrics
from relayer.settler.state import SettlerState
from relayer.settler.store import Store

log = logging.getLogger("relayer.settler")

PROMISE_SECONDS = 120
_WRITE_EVERY_MS = 1_000


class Report:
    """`next_sequence` (by market, what the chain expects), `last_beat` and `node` are set by whoever learns them."""

    def __init__(self, store: Store, measures: SettlerMetrics, now_ms: Callable[[], int], promise_ms: int) -> None:
        self.next_sequence: Mapping[str, int] = {}
        self.last_beat = 0
        self.node = ""
        self._store = store
        self._measures = measures
        self._now_ms = now_ms
        self._promise_ms = promise_ms
        self._written_ms = 0
        self._written: SettlerState | None = None
        self._late = False

    def tell(self, error: str | None = None) -> None:
        """Called after every look, successful or not. Raises SQLAlchemy's errors."""
        now_ms, oldest_ms = self._now_ms(), self._measures.oldest_ms
        self._alert(now_ms, oldest_ms)
        before = self._written
        changed = before is None or (before.oldest_ms, before.error) != (oldest_ms, error)
        if changed or now_ms - self._written_ms >= _WRITE_EVERY_MS:
            waiting = self._store.waiting(self.next_sequence)
            state = SettlerState(now_ms, oldest_ms, waiting, self._promise_ms, self.last_beat, self.node, error)
            self._store.write_state(state)
            self._measures.waiting.set(waiting)
            self._written, self._written_ms = state, now_ms

    def _alert(self, now_ms: int, oldest_ms: int | None) -> None:
        late = oldest_ms is not None and now_ms - oldest_ms > self._promise_ms
        if late and not self._late and oldest_ms is not None:
            self._measures.promises_broken.inc()
            log.error(
                "ALERT: a fill has waited %d s to settle, longer than the promise of %d s; new orders are refused",
                (now_ms - oldest_ms) // 1000, self._promise_ms // 1000,
            )  # fmt: skip
        elif self._late and not late:
            log.info("no fill is older than the promise any more")
        self._late = late
