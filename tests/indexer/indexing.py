"""An indexer inside the test's process, and what is asked of it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from cxdex.storage import open_database
from indexer.audit import Report, audit
from indexer.decode import Decoder
from indexer.digest import TableDigest, table_digests
from indexer.follow import Follower
from indexer.node import Node
from indexer.run import Runner
from indexer.store import Checkpoint, Store
from tests.indexer.live_exchange import LiveExchange


class Indexing:
    """An indexer in this process: `catch_up` brings it to the head."""

    def __init__(
        self, exchange: LiveExchange, database: Path, finality_depth: int = 256, confirmations: int = 0
    ) -> None:
        self.database = database
        self._deployment = exchange.deployment
        self.store = Store(
            open_database(f"sqlite:///{database}"),
            exchange.deployment,
            finality_depth=finality_depth,
            confirmations=confirmations,
        )
        self.node = Node(exchange.chain.rpc_url, Decoder(exchange.deployment).addresses)
        self.follower = Follower(self.store, self.node, exchange.deployment, finality_depth)
        self.runner = Runner(self.follower, poll_seconds=0.01)

    @property
    def engine(self) -> Engine:
        return self.store.engine

    def catch_up(self) -> None:
        for _ in range(200):
            if self.runner.attempt() is False:
                return
        raise AssertionError("the indexer does not arrive at the head")

    @property
    def checkpoint(self) -> Checkpoint:
        assert self.store.checkpoint is not None
        return self.store.checkpoint

    def audit(self, block: int | None = None) -> Report:
        return audit(self.engine, self.node, self._deployment, block)

    def require_clean(self, block: int | None = None) -> Report:
        report = self.audit(block)
        assert report.differences == [], report.text()
        return report

    def digest(self) -> dict[str, TableDigest]:
        with self.engine.connect() as connection:
            return table_digests(connection)
