"""The two drivers: they carry out the steps of a flow, one by blocking, one by awaiting. Nothing is decided here."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeVar

import httpx

from cxdex.client import transport
from cxdex.client.order_socket import OrderSocket
from cxdex.client.patience import explain
from cxdex.client.steps import Answer, Call, Flow, NodeCall, Pause, Step

T = TypeVar("T")


class Driver:
    """Blocks. Not for several threads at once."""

    def __init__(
        self,
        api: str = transport.DEFAULT_API,
        rpc_url: str | None = None,
        timeout: float = transport.TIMEOUT_SECONDS,
        http_transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base = transport.api_base(api)
        self._rpc_url = rpc_url
        self._http = httpx.Client(timeout=timeout, limits=transport.LIMITS, transport=http_transport)

    def close(self) -> None:
        self._http.close()

    def run(self, flow: Flow[T]) -> T:
        began = time.monotonic()
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    explain(step, time.monotonic() - began)
                try:
                    result = self._carry_out(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as done:
            value: T = done.value
            return value

    def _carry_out(self, step: Step) -> Answer | dict[str, Any] | None:
        match step:
            case Pause(seconds):
                time.sleep(seconds)
                return None
            case NodeCall():
                url, body = transport.node_request(self._rpc_url, step)
                with transport.node_failures(url):
                    return transport.read_node(self._http.post(url, json=body))
            case Call():
                with transport.api_failures(self.base):
                    return transport.read_api(self._http.request(**transport.api_request(self.base, step)))


class AsyncDriver:
    """Awaits. Any number of flows may run at once in one event loop.

    order_socket: takes the calls that have an `op`; without one they go over HTTP like the rest.
    """

    order_socket: OrderSocket | None = None

    def __init__(
        self,
        api: str = transport.DEFAULT_API,
        rpc_url: str | None = None,
        timeout: float = transport.TIMEOUT_SECONDS,
        http_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base = transport.api_base(api)
        self._rpc_url = rpc_url
        self._http = httpx.AsyncClient(timeout=timeout, limits=transport.LIMITS, transport=http_transport)

    async def close(self) -> None:
        if self.order_socket is not None:
            await self.order_socket.close()
        await self._http.aclose()

    async def run(self, flow: Flow[T]) -> T:
        began = time.monotonic()
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    explain(step, time.monotonic() - began)
                try:
                    result = await self._carry_out(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as done:
            value: T = done.value
            return value

    async def _carry_out(self, step: Step) -> Answer | dict[str, Any] | None:
        match step:
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case NodeCall():
                url, body = transport.node_request(self._rpc_url, step)
                with transport.node_failures(url):
                    return transport.read_node(await self._http.post(url, json=body))
            case Call(op=str()) if self.order_socket is not None:
                return await self.order_socket.ask(step)
            case Call():
                with transport.api_failures(self.base):
                    return transport.read_api(await self._http.request(**transport.api_request(self.base, step)))
