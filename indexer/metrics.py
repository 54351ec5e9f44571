"""What the indexer counts for Prometheus. It always counts, because it does little; it serves them when asked."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_DEPTH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class IndexerMetrics:
    """`head` and `block`: newest block of the node, newest block in the tables."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.head = Gauge("cxdex_indexer_head_block", "Newest block that the node has shown", registry=registry)
        self.block = Gauge("cxdex_indexer_block", "Newest block in the tables", registry=registry)
        self.lag = Gauge("cxdex_indexer_lag_blocks", "Blocks that the tables are behind the node", registry=registry)
        self.answered = Gauge(
            "cxdex_indexer_last_step_timestamp_seconds", "When node and database last answered", registry=registry
        )
        self.blocks = Counter("cxdex_indexer_blocks", "Blocks stored", registry=registry)
        self.events = Counter("cxdex_indexer_events", "Events of our contracts stored", registry=registry)
        self.announced = Gauge(
            "cxdex_indexer_announced_operations", "Operations that wait in the Timelock", registry=registry
        )
        self.retries = Counter(
            "cxdex_indexer_retries", "Steps that failed because a part was away", ["part"], registry=registry
        )
        self.reorgs = Histogram(
            "cxdex_indexer_reorg_depth_blocks", "Blocks rolled back by a reorg", buckets=_DEPTH_BUCKETS,
            registry=registry,
        )  # fmt: skip

    def stand(self, head: int, block: int) -> None:
        self.head.set(head)
        self.block.set(block)
        self.lag.set(max(0, head - block))
        self.answered.set_to_current_time()
