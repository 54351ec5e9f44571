"""From the engine's feed to this process's hub and market directory.

Promises: the directory is known as soon as the engine or the chain's tables know a market; a gap in a book makes
          the feed start again from snapshots.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from sqlalchemy.exc import SQLAlchemyError

from api.database import Database
from api.feed import FeedHub
from api.markets import MarketDirectory
from api.reads.markets import listed_markets
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.wire import Feed, MarketState

RETRY_SECONDS = 0.5

log = logging.getLogger("api")


class FeedReader:
    """Call `run` once, as a task. It ends when it is cancelled."""

    def __init__(self, engine: EngineClient, hub: FeedHub, markets: MarketDirectory, database: Database) -> None:
        self._engine = engine
        self._hub = hub
        self._markets = markets
        self._database = database
        self._stale = asyncio.Event()  # the markets may have changed
        self._broken = asyncio.Event()  # the feed has a gap

    async def run(self) -> None:
        async with self._engine:
            await asyncio.gather(self._keep_subscribed(), self._keep_markets())

    async def _keep_subscribed(self) -> None:
        while True:
            try:
                epoch = await self._engine.subscribe(self._take)
                log.info("joined the feed of the engine, epoch %s", epoch)
            except Problem:
                if not self._markets.is_known:
                    await self._learn_markets()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._hub.meet_epoch(epoch)
            self._stale.set()
            await self._broken.wait()
            self._broken.clear()
            log.warning("the feed has a gap; starting again from snapshots")

    async def _keep_markets(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                self._markets.replace((await self._engine.status()).markets)
            except Problem:
                self._stale.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _learn_markets(self) -> None:
        with contextlib.suppress(SQLAlchemyError):  # the database may be away too; the next round asks again
            listed = await asyncio.to_thread(self._read_listings)
            if listed:
                self._markets.replace(listed)

    def _read_listings(self) -> list[MarketState]:
        with self._database.snapshot() as reader:
            return listed_markets(reader)

    def _take(self, feed: Feed) -> None:
        if feed.channel == "markets" or feed.type == "snapshot":
            self._stale.set()
        if not self._hub.publish(feed):
            self._broken.set()
