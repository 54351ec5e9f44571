"""What a trader hears by WebSocket, and what it would believe if it asked nothing else.

Owns:     the private feed and both books of one trader, through every reconnection.
Promises: follows the feed's own rules and no more: a snapshot replaces, an event changes, the higher version counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from cxdex.client import Feed
from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.client.subscription import Envelope
from scripts.chaos.trader import MARKETS, Trader

PAUSE_SECONDS = 0.5


@dataclass
class Listener:
    """balances: asset to (total, reserved). open: id to version of the orders that are open or wait.

    settled: (match id, role) to the last word on the fill's settlement, of fills heard of since the last snapshot.
    twice: what a message said that the one before had said already.
    """

    trader: Trader
    feed: Feed
    balances: dict[int, tuple[str, str]] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)
    settled: dict[tuple[str, str], tuple[str, str | None, int | None]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Until cancelled."""
        await self.feed.subscribe("orders")
        await self.feed.subscribe("balances")
        await self.feed.subscribe("fills")
        for market in MARKETS:
            await self.feed.subscribe("book", market)
        while True:
            try:
                async for message in self.feed:
                    self._take(message)
            except (ApiProblem, Unreachable) as problem:
                self.trader.told.answers[f"feed: {problem.code}"] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    def _take(self, message: Envelope) -> None:
        if message.type not in ("snapshot", "event"):
            return
        rows: list[dict[str, Any]] = message.data if message.type == "snapshot" else [message.data]
        if message.ch == "balances":
            if message.type == "snapshot":
                self.balances.clear()
            self.balances.update({row["asset"]: (row["total"], row["reserved"]) for row in rows})
        elif message.ch == "fills":
            if message.type == "snapshot":
                self.settled.clear()
            self._take_fills(rows, message.type == "event")
        elif message.ch == "orders":
            if message.type == "snapshot":
                self.open.clear()
            for row in rows:
                self._take_order(row["id"], row["version"], row["status"])

    def _take_fills(self, words: list[dict[str, Any]], is_event: bool) -> None:
        for word in words:
            now = word["status"], word["transaction"], word["block"]
            for fill in word["fills"]:
                key = fill["matchId"], fill["role"]
                if is_event and self.settled.get(key) == now:
                    self.twice.append(f"fill {key} is {now}, told again")
                self.settled[key] = now

    def _take_order(self, order_id: str, version: int, status: str) -> None:
        heard = self.trader.told.heard
        if version < heard.get(order_id, 0):
            return
        heard[order_id] = version
        if status in ("OPEN", "PENDING"):
            self.open[order_id] = version
        else:
            self.open.pop(order_id, None)
