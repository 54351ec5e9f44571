"""Waiting for a fill over the feed: shared by both clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cxdex.client.replies import Fill, PlacedFill, Settlement
from cxdex.client.settlements import CHANNEL, FillChange, Waiting
from cxdex.client.stream import Feed, FeedSource

AnyFill = Fill | PlacedFill | FillChange
Ask = Callable[[AnyFill], Awaitable[Settlement | None]]
"""What REST says of the fill; None when it does not list it any more."""


async def wait_settled(source: FeedSource, ask: Ask, fill: AnyFill, within: float, final: bool) -> Settlement:
    """Raises Problem FILL_SKIPPED or SETTLEMENT_TIMEOUT."""
    waiting = Waiting(fill, final)
    feed = Feed(source)
    await feed.subscribe(CHANNEL)
    messages = aiter(feed)
    try:
        async with asyncio.timeout(within):
            async for message in messages:
                found = waiting.hear(message)
                if found is None and waiting.is_absent(message):
                    shown = await ask(fill)
                    found = None if shown is None else waiting.judge(shown)
                if found is not None:
                    return found
    except TimeoutError:
        raise waiting.timeout(within) from None
    finally:
        await messages.aclose()  # type: ignore[attr-defined]
    raise waiting.timeout(within)
