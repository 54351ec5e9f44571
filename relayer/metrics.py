"""What the engine process counts for Prometheus.

Promises: costs the event loop well below a microsecond an event: plain integers there, which a scrape reads.
Never:    is imported by the engine itself; it sees only what the sequencer publishes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cxdex.metrics import counter, counter_by, counter_by_two, gauge, histogram
from relayer.engine.events import (
    OrderAccepted,
    OrderClosed,
    OrderProven,
    OrderRearmed,
    OrderRejected,
    OrderTriggered,
    ReduceRefused,
    Traded,
)
from relayer.engine.orders import FILLED
from relayer.gateway_server import GatewayServer
from relayer.projector import Projector
from relayer.sequencer import Applied, Sequencer

_SYNC_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)
_ENDED_IN_THE_BOOK = ("IOC", "MARKET", "SELF_TRADE")  # reasons of orders that entered, and met nothing
_FILL_BUCKETS_MS = (1, 2, 3, 5, 7, 10, 20, 50, 100, 250, 1_000, 5_000)


class EngineMetrics(Collector):
    """Scraped from a thread of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._parts: tuple[Sequencer, Projector, GatewayServer] | None = None
        self._accepted = 0
        self._matches = 0
        self._fills_ms = [0] * (len(_FILL_BUCKETS_MS) + 1)
        self._fills_sum_ms = 0
        self._rejected: Counter[str] = Counter()
        self._cancelled: Counter[str] = Counter()
        self._triggers: Counter[tuple[str, str]] = Counter()
        self._sync = Histogram(
            "cxdex_journal_sync_seconds",
            "Time to write and fsync one group of commands",
            buckets=_SYNC_BUCKETS,
            registry=registry,
        )
        self._group = Histogram(
            "cxdex_journal_group_commands", "Commands in one fsync", buckets=_BATCH_BUCKETS, registry=registry
        )
        registry.register(self)

    def watch(self, sequencer: Sequencer, projector: Projector, gateways: GatewayServer) -> None:
        """From now on a scrape also reads how far these are."""
        self._parts = sequencer, projector, gateways

    def count(self, batch: Iterable[Applied], now_ms: int) -> None:
        """Commands that are on disk, and what they caused."""
        for applied in batch:
            matches = self._matches
            for event in applied.events:
                kind = type(event)
                if kind is Traded:
                    self._matches += 1
                elif kind is OrderAccepted:
                    self._accepted += 1
                elif isinstance(event, OrderClosed):
                    if event.status != FILLED:
                        self._cancelled[event.reason] += 1
                elif isinstance(event, OrderRejected | ReduceRefused):
                    self._rejected[event.code] += 1
                elif isinstance(event, OrderTriggered | OrderRearmed | OrderProven):
                    self._triggers[_trigger(applied, event.digest), _outcome(applied, event)] += 1
            fills = self._matches - matches
            if fills:  # all of them as old as the order, or the price, that caused them
                age_ms = now_ms - applied.command.time_ms
                self._fills_ms[bisect_left(_FILL_BUCKETS_MS, age_ms)] += fills
                self._fills_sum_ms += fills * age_ms

    def refused(self, code: str) -> None:
        """An order that was refused without being written down."""
        self._rejected[code] += 1

    def synced(self, commands: int, seconds: float) -> None:
        """Called from the journal's thread after each fsync."""
        self._sync.observe(seconds)
        self._group.observe(commands)

    def collect(self) -> Iterator[Metric]:
        yield counter("cxdex_orders_accepted", "Orders that the engine accepted", self._accepted)
        # Copies in one step: the event loop goes on counting.
        codes, reasons = list(dict(self._rejected).items()), list(dict(self._cancelled).items())
        yield counter_by("cxdex_orders_rejected", "Orders that the engine refused, by code", "code", codes)
        text, found = "What prices did to orders that wait for one", list(dict(self._triggers).items())
        yield counter_by_two("cxdex_order_triggers", text, ("trigger", "outcome"), found)
        text = "Orders that ended before they were filled, by reason"
        yield counter_by("cxdex_orders_cancelled", text, "reason", reasons)
        yield counter("cxdex_matches", "Fills that the engine made", self._matches)
        text = "From taking the order that caused a fill until the fill was on disk and told, to a millisecond"
        bounds, total = [bound / 1000 for bound in _FILL_BUCKETS_MS], self._fills_sum_ms / 1000
        yield histogram("cxdex_engine_fill_seconds", text, bounds, list(self._fills_ms), total)
        if self._parts is None:
            return
        sequencer, projector, gateways = self._parts
        lag = max(0, sequencer.sequence - projector.stored)
        chain_block = sequencer.engine.outbox_position[0]
        yield gauge("cxdex_engine_queue_commands", "Commands taken and not yet applied", sequencer.waiting)
        yield gauge("cxdex_journal_sequence", "Number of the last command applied", sequencer.sequence)
        yield gauge("cxdex_projector_lag_commands", "Commands whose events the tables lack", lag)
        yield gauge("cxdex_engine_chain_block", "Last block whose facts the engine has applied", chain_block)
        yield gauge("cxdex_feed_subscribers", "Gateways that follow the feeds", len(gateways.subscribers))
        text = "How far the machine's clock is ahead of the time that the engine believes; negative: behind"
        yield gauge("cxdex_engine_clock_off_seconds", text, sequencer.clock.off_seconds)
        text = "Gateways disconnected because they did not read"
        yield counter("cxdex_feed_subscribers_dropped", text, gateways.dropped)


def _trigger(applied: Applied, digest: bytes) -> str:
    conditions = (state.order.condition for state in applied.states if state.digest == digest)
    return next((condition.trigger.name for condition in conditions if condition is not None), "UNKNOWN")


def _outcome(applied: Applied, event: OrderTriggered | OrderRearmed | OrderProven) -> str:
    """ENTERED, or the code that refused the order when its price came; TAKEN_BACK or PROVEN after a reorg."""
    if not isinstance(event, OrderTriggered):
        return "TAKEN_BACK" if isinstance(event, OrderRearmed) else "PROVEN"
    began = next(place for place, other in enumerate(applied.events) if other is event)
    for later in applied.events[began + 1 :]:
        if isinstance(later, Traded) and event.digest in (later.taker_digest, later.maker_digest):
            return "ENTERED"
        if isinstance(later, OrderClosed) and later.digest == event.digest:
            return "ENTERED" if later.reason in _ENDED_IN_THE_BOOK else later.reason
    return "ENTERED"
