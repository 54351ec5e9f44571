"""Who follows his fills hears all of it once: on the real exchange, over a reorg, with API and settler killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxdex import AsyncExchange, Exchange, Feed, FillChange, LocalWallet
from cxdex.rpc import JsonRpc
from scripts.stack.layout import Layout, free_port
from scripts.stack.run import Stack
from tests.e2e.test_spine import MARKET, buy_now, exchange_of

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 90.0


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    state: Path = tmp_path_factory.mktemp("followed")
    return Layout(state=state, api_port=free_port(), node_port=free_port(), settle_seconds=0.5, withdrawal_delay=2)


@pytest.fixture(scope="module")
def stack(layout: Layout) -> Iterator[Stack]:
    """One of this file's own: its chain goes back and its processes die."""
    running = Stack(layout)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def buy(exchange: Exchange) -> Any:
    """A fill of this account."""
    return buy_now(exchange, "0.01").fills[0]


def test_a_fill_is_waited_for_and_followed_by_both_clients(stack: Stack, layout: Layout) -> None:
    alice = exchange_of(layout, "alice")
    changes = alice.follow_fills()
    fill = buy(alice)
    told = []
    for change in changes:
        if change.match_id == fill.match_id:
            told.append(change)
            if change.is_settled:
                break
    statuses = [change.settlement.status for change in told]
    assert statuses == ["matched", "submitted", "mined"][-len(statuses) :]
    settlement = alice.wait_settled(fill, within=PATIENCE_SECONDS)
    assert settlement.transaction == told[-1].settlement.transaction
    assert (settlement.status, told[-1].price) in {("mined", fill.price), ("final", fill.price)}

    async def awaited() -> str:
        async with AsyncExchange(layout.api_url, LocalWallet(layout.keys["alice"])) as exchange:
            return (await exchange.wait_settled(fill, within=PATIENCE_SECONDS)).transaction or ""

    assert asyncio.run(awaited()) == settlement.transaction


def test_the_command_follows(stack: Stack, layout: Layout) -> None:
    command = [sys.executable, "-m", "cxdex", "--api", layout.api_url, "--json", "--key-file"]
    command += [str(layout.key_file("bob")), "fills", "--follow"]
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        fill = buy(exchange_of(layout, "bob"))
        assert following.stdout is not None
        for line in following.stdout:
            change = json.loads(line)
            if change["matchId"] == fill.match_id and change["settlement"]["status"] in ("mined", "final"):
                assert change["settlement"]["transaction"].startswith("0x")
                return
        pytest.fail("it ended")
    finally:
        following.kill()
        following.wait()


def test_a_reorg_and_killed_processes_are_told_once_and_in_order(stack: Stack, layout: Layout) -> None:
    carol = exchange_of(layout, "carol")

    async def follow() -> list[list[Any]]:
        async with AsyncExchange(layout.api_url, LocalWallet(layout.keys["carol"])) as exchange:
            return await asyncio.wait_for(_follow(exchange), PATIENCE_SECONDS)

    async def _follow(exchange: AsyncExchange) -> list[list[Any]]:
        feed = Feed(exchange)
        await feed.subscribe("fills")
        messages: list[Any] = []
        heard = asyncio.Event()

        async def listen() -> None:
            async for message in feed:
                messages.append(message)
                heard.set()

        listening = asyncio.create_task(listen())

        async def until(status: str, match_id: str, after: int = 0) -> int:
            """Place of the first such message behind `after`."""
            while True:
                heard.clear()
                for place, message in enumerate(messages[after:], start=after):
                    words = message.data if message.type == "snapshot" else [message.data]
                    for word in words if message.type != "reset" else []:
                        if word["status"] == status and match_id in {one["matchId"] for one in word["fills"]}:
                            return place
                await heard.wait()

        await until_synced(messages, heard)
        first = await asyncio.to_thread(buy, carol)
        mined = await until("mined", first.match_id)
        await asyncio.to_thread(stack.child("api").kill)
        await asyncio.to_thread(reorg_while_the_api_is_away, stack, layout, messages[mined].data["block"])
        back = await until("submitted", first.match_id, mined + 1)
        await until("mined", first.match_id, back + 1)
        await asyncio.to_thread(stack.child("settler").kill)
        await asyncio.to_thread(stack.child("settler").restart)
        second = await asyncio.to_thread(buy, carol)
        await until("mined", second.match_id, back + 1)
        listening.cancel()
        return [messages, [first.match_id, second.match_id]]

    messages, matches = asyncio.run(follow())
    events = [message for message in messages if message.type == "event"]
    assert [message.type for message in messages].count("snapshot") == 1, "it was resumed, not begun again"
    assert [message.seq for message in events] == list(range(messages[0].seq + 1, messages[0].seq + 1 + len(events)))
    stories: dict[str, list[str]] = defaultdict(list)
    for message in events:
        for fill in message.data["fills"]:
            stories[fill["matchId"]].append(message.data["status"])
    assert stories[matches[0]][:3] == ["matched", "submitted", "mined"]
    assert stories[matches[0]].count("mined") >= 2
    for before, after in zip(stories[matches[0]], stories[matches[0]][1:], strict=False):
        assert (before, after) != ("mined", "mined")
    final = {change.match_id: change for change in carol.fills(20)}
    assert all(final[match].settlement.status in ("mined", "final") for match in matches)


async def until_synced(messages: list[Any], heard: asyncio.Event) -> None:
    while not messages:
        await heard.wait()
        heard.clear()


def reorg_while_the_api_is_away(stack: Stack, layout: Layout, block: int) -> None:
    """The fill's block goes, with all above it; nothing in it is kept."""
    node = JsonRpc(layout.rpc_url)
    head = int(node.call("eth_blockNumber"), 16)
    node.call("anvil_reorg", [head - block + 1, []])
    stack.child("api").restart()


def test_the_words_of_a_change(stack: Stack, layout: Layout) -> None:
    """What `follow_fills` yields is typed."""
    alice = exchange_of(layout, "alice")
    fill = buy(alice)
    change: FillChange = next(one for one in alice.follow_fills() if one.match_id == fill.match_id)
    assert (change.market, change.side, change.role, change.quantity) == (MARKET, "BUY", "TAKER", fill.quantity)
