"""What the engine process counts for Prometheus.

Promises: costs the event loop well below a microsecond an event: plain integers there, which a scrape reads.
Never:    is imported by the engine itself; it sees only what the sequencer publishes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cxdex.metrics import counter, counter_by, gauge
from relayer.engine.events import AnyEvent, OrderAccepted, OrderClosed, OrderRejected, Traded
from relayer.engine.orders import FILLED
from relayer.gateway_server import GatewayServer
from relayer.projector import Projector
from relayer.sequencer import Sequencer

_SYNC_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)


class EngineMetrics(Collector):
    """Scraped from a thread of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._parts: tuple[Sequencer, Projector, GatewayServer] | None = None
        self._accepted = 0
        self._matches = 0
        self._rejected: Counter[str] = Counter()
        self._cancelled: Counter[str] = Counter()
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

    def count(self, batches: Iterable[Sequence[AnyEvent]]) -> None:
        """The events of commands that are on disk."""
        for events in batches:
            for event in events:
                kind = type(event)
                if kind is Traded:
                    self._matches += 1
                elif kind is OrderAccepted:
                    self._accepted += 1
                elif isinstance(event, OrderClosed):
                    if event.status != FILLED:
                        self._cancelled[event.reason] += 1
                elif isinstance(event, OrderRejected):
                    self._rejected[event.code] += 1

    def synced(self, commands: int, seconds: float) -> None:
        """Called from the journal's thread after each fsync."""
        self._sync.observe(seconds)
        self._group.observe(commands)

    def collect(self) -> Iterator[Metric]:
        yield counter("cxdex_orders_accepted", "Orders that the engine accepted", self._accepted)
        # Copies in one step: the event loop goes on counting.
        codes, reasons = list(dict(self._rejected).items()), list(dict(self._cancelled).items())
        yield counter_by("cxdex_orders_rejected", "Orders that the engine refused, by code", "code", codes)
        text = "Orders that ended before they were filled, by reason"
        yield counter_by("cxdex_orders_cancelled", text, "reason", reasons)
        yield counter("cxdex_matches", "Fills that the engine made", self._matches)
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
        text = "Gateways disconnected because they did not read"
        yield counter("cxdex_feed_subscribers_dropped", text, gateways.dropped)
