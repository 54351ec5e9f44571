"""Feeds to many real sockets: everybody gets everything in order, and who does not read is told why it is closed."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.app import make_context
from api.context import Context, Settings
from api.frame_socket import FrameSocket
from api.streams import CLOSE_SLOW_CONSUMER, Connection
from cxdex.deployment import CONTRACTS, Deployment
from relayer.wire import Feed

MARKET = "sBTC-USDC"
PATIENCE = 30.0
LARGE = "x" * 50_000


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


@dataclass
class Served:
    context: Context
    port: int
    joined: int = 0

    def publish(self, *seqs: int, data: str = "") -> None:
        for seq in seqs:
            raw = msgspec.Raw(json.dumps([data]).encode())
            self.context.hub.publish(Feed("trades", MARKET, "e1", seq, seq - 1, 1, "event", raw))

    async def join(self) -> ClientConnection:
        """A client that follows the trades."""
        client = await connect(f"ws://127.0.0.1:{self.port}/", compression=None, max_queue=1)
        await until(lambda: len(self.context.connections) > self.joined)
        self.joined += 1
        self.context.hub.stream("trades", MARKET).subscribers.update(self.context.connections)
        return client


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    deployment = Deployment(1, 1, {name: bytes([index + 1]) * 20 for index, name in enumerate(CONTRACTS)})
    context = make_context(Settings(tmp_path, f"sqlite:///{tmp_path / 'x.db'}", "http://127.0.0.1:1", deployment))
    context.hub.meet_epoch("e1")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Connection(WebSocket(scope, receive, send), context).run()

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws=FrameSocket, lifespan="off", log_config=None, ws_per_message_deflate=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    yield Served(context, listener.getsockname()[1])
    server.should_exit = True
    server.force_exit = True
    await asyncio.wait_for(serving, PATIENCE)


async def heard(client: ClientConnection, count: int) -> list[int]:
    async with asyncio.timeout(PATIENCE):
        return [json.loads(await client.recv())["seq"] for _ in range(count)]


async def read_out(client: ClientConnection, seen: list[int]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for text in client:
            seen.append(json.loads(text)["seq"])
        await client.recv()  # says how it ended


async def test_every_subscriber_gets_every_message_in_order(served: Served) -> None:
    clients = [await served.join() for _ in range(40)]
    for first in range(1, 101, 10):
        served.publish(*range(first, first + 10), data="é" * (first * 30))  # short, medium and long frames
        await asyncio.sleep(0)
    for client in clients:
        assert await heard(client, 100) == list(range(1, 101))
        await client.close()


async def test_an_answer_comes_behind_the_messages_before_it(served: Served) -> None:
    client = await served.join()
    served.publish(1, 2)
    (connection,) = served.context.connections
    connection.heartbeat(7)
    served.publish(3)
    async with asyncio.timeout(PATIENCE):
        told = [json.loads(await client.recv()) for _ in range(4)]
    assert [message.get("seq", message.get("op")) for message in told] == [1, 2, "heartbeat", 3]
    await client.close()


async def test_who_does_not_read_is_closed_by_name_and_nobody_waits_for_it(served: Served) -> None:
    deaf, reader = await served.join(), await served.join()
    seq = 0
    async with asyncio.timeout(PATIENCE):
        while len(served.context.connections) == 2:
            seq += 1
            served.publish(seq, data=LARGE)
            assert await heard(reader, 1) == [seq]
    served.publish(seq + 1)
    assert await heard(reader, 1) == [seq + 1]

    seen: list[int] = []
    with pytest.raises(ConnectionClosed) as closed:
        await read_out(deaf, seen)
    assert seen == list(range(1, len(seen) + 1))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CLOSE_SLOW_CONSUMER
    assert closed.value.rcvd.reason == f"too slow; last sent trades {MARKET} seq {len(seen)}"
    await reader.close()
