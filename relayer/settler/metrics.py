"""What the settler counts for Prometheus. It always counts, because it does little; it serves them when asked.

Units: gas in gas units, fees in wei a unit of gas, lag in seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from relayer.settler.chain import Receipt
from relayer.settler.store import Batch

_GAS_BUCKETS = (10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 60_000, 100_000, 200_000)
_LAG_BUCKETS = (1, 2, 5, 10, 20, 30, 45, 60, 120, 300, 900, 3_600)


class SettlerMetrics:
    """`oldest_ms`: when the oldest fill that waits for settlement was matched; None when none is known to wait.

    `last_beat`: unix time of CORE's last sign of life on chain; 0 when it is not known.
    """

    def __init__(self, registry: CollectorRegistry, now_ms: Callable[[], int]) -> None:
        self.oldest_ms: int | None = None
        self.last_beat = 0
        self._now_ms = now_ms
        self.batches = Counter("cxdex_settler_batches", "Batches that reached a status", ["status"], registry=registry)
        self.fills = Counter("cxdex_settler_fills", "Fills in batches mined, and final", ["status"], registry=registry)
        self.errors = Counter("cxdex_settler_errors", "Attempts that failed, by code", ["code"], registry=registry)
        self.gas_per_fill = Histogram(
            "cxdex_settler_gas_per_fill", "Gas a fill of mined batches", buckets=_GAS_BUCKETS, registry=registry
        )
        self.settlement = Histogram(
            "cxdex_settler_settlement_seconds",
            "From a batch's first match until the settler saw it mined",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.max_fee = Gauge(
            "cxdex_settler_max_fee_per_gas_wei", "Most that the newest transaction pays", registry=registry
        )
        self.paid_fee = Gauge(
            "cxdex_settler_fee_per_gas_wei", "What the last mined batch paid a unit of gas", registry=registry
        )
        self.balance = Gauge("cxdex_settler_balance_wei", "CORE's balance before the last batch", registry=registry)
        waiting = Gauge(
            "cxdex_settler_oldest_fill_seconds", "Age of the oldest fill not settled; 0 if none", registry=registry
        )
        waiting.set_function(self._age)
        self.waiting = Gauge("cxdex_settler_waiting_fills", "Fills matched and not settled", registry=registry)
        self.promises_broken = Counter(
            "cxdex_settler_promises_broken", "Times that a fill became older than the promise", registry=registry
        )
        self.node_switches = Counter(
            "cxdex_settler_node_switches", "Times that another node was chosen", registry=registry
        )
        self.dead_letters = Gauge(
            "cxdex_settler_dead_letters", "Fills that the contract refuses, held or given up", registry=registry
        )
        beat = Gauge(
            "cxdex_settler_beat_age_seconds", "Since CORE's last sign of life on chain; 0 if none", registry=registry
        )
        beat.set_function(self._beat_age)

        self.log_fills = Counter(
            "cxdex_settler_log_fills", "Fills whose status was written to the log", ["status"], registry=registry
        )
        self.open_fills = Gauge("cxdex_settler_log_open_fills", "Fills that are not final yet", registry=registry)

    def logged(self, status: str, fills: int) -> None:
        self.log_fills.labels(status).inc(fills)

    def mined(self, batch: Batch, receipt: Receipt, matched_ms: int | None) -> None:
        self.batches.labels("MINED").inc()
        self.fills.labels("MINED").inc(batch.fills)
        self.paid_fee.set(receipt.fee_per_gas)
        if batch.fills:
            self.gas_per_fill.observe(receipt.gas_used / batch.fills)
        if matched_ms is not None:
            self.settlement.observe((self._now_ms() - matched_ms) / 1000)

    def final(self, batch: Batch) -> None:
        self.batches.labels("FINAL").inc()
        self.fills.labels("FINAL").inc(batch.fills)

    def _age(self) -> float:
        oldest = self.oldest_ms
        return 0.0 if oldest is None else max(0, self._now_ms() - oldest) / 1000

    def _beat_age(self) -> float:
        return max(0.0, self._now_ms() / 1000 - self.last_beat) if self.last_beat else 0.0
