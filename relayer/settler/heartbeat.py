"""CORE's sign of life on chain: after six hours without one, the contract lets anyone settle.

Owns:     when it is due, and the alert when it does not get through.
Never:    sends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from relayer.settler.chain import SettlementChain
from relayer.settler.metrics import SettlerMetrics

log = logging.getLogger("relayer.settler")

EVERY_SECONDS = 3_600
ALERT_SECONDS = 3 * 3_600
LOOK_EVERY_MS = 60_000


class Heartbeat:
    """`last`: unix time of the last one on chain; 0 before the first."""

    def __init__(
        self,
        chain: SettlementChain,
        now_ms: Callable[[], int],
        measures: SettlerMetrics,
        on_chain_time: Callable[[int], None] = lambda _seconds: None,
    ) -> None:
        self.last = 0
        self._on_chain_time = on_chain_time
        self._chain = chain
        self._now_ms = now_ms
        self._measures = measures
        self._look_at_ms = 0
        self._due = False
        self._alerted = False

    def look(self) -> None:
        """Asks the chain once a minute."""
        now_ms = self._now_ms()
        if now_ms < self._look_at_ms:
            return
        self.last, chain_time = self._chain.last_beat()
        self._on_chain_time(chain_time)
        self._look_at_ms = now_ms + LOOK_EVERY_MS
        self._measures.last_beat = self.last
        # Blocks may be ahead of this machine's clock, or stand still.
        age = max(now_ms // 1000, chain_time) - self.last
        self._due = age >= EVERY_SECONDS
        late = self.last > 0 and age >= ALERT_SECONDS
        if late and not self._alerted:
            log.error("ALERT: CORE's last sign of life on chain is %d s old; after 6 h anyone may settle", age)
        self._alerted = late

    def take_due(self) -> bool:
        """Whether one is to be sent now. True once; then the chain is asked again whether it got through."""
        due, self._due = self._due, False
        return due
