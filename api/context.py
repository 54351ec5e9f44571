"""What every route shares: made once when the app starts, never changed afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request

from api.auth import Authenticator
from api.database import Database
from api.feed import DURABLE_CHANNELS, FeedHub, Stream
from api.markets import MarketDirectory
from api.node import Node
from api.outbox import Rounds
from api.settlement_feed import SettlementFeed
from api.signers import Signers
from cxdex.deployment import Deployment
from cxdex.eip712 import Domain
from relayer.client import EngineClient

if TYPE_CHECKING:
    from api.streams import Connection


MAX_LAG_BLOCKS = 30


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the other parts are. `state`: the folder with the engine's socket and our secret file.

    max_lag_blocks  how far the indexer may be behind while this process calls itself ready
    metrics         whether GET /metrics is served, on the same port as everything else
    """

    state: Path
    database_url: str
    rpc_url: str
    deployment: Deployment
    max_lag_blocks: int = MAX_LAG_BLOCKS
    metrics: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    deployment: Deployment
    domain: Domain
    authenticator: Authenticator
    engine: EngineClient
    hub: FeedHub
    markets: MarketDirectory
    database: Database
    node: Node
    signers: Signers
    settlements: SettlementFeed
    max_lag_blocks: int = MAX_LAG_BLOCKS
    rounds: Rounds = field(default_factory=Rounds)
    connections: set[Connection] = field(default_factory=set)

    def feed_of(self, stream: Stream) -> FeedHub | SettlementFeed:
        """Who counts the stream's messages."""
        return self.settlements if stream.channel in DURABLE_CHANNELS else self.hub


def context_of(request: Request) -> Context:
    """The dependency through which a route reaches everything else."""
    context: Context = request.app.state.context
    return context


def now_ms() -> int:
    return time.time_ns() // 1_000_000
