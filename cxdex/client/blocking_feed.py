"""The feed for a program without an event loop: an iterator that blocks.

Owns:     a thread with an event loop of its own, as long as somebody iterates.
Promises: the connection works only while the next change is asked for, so nothing happens behind the caller's back;
          who asks late reads what was kept. Leaving the iteration (`break`, an exception) ends thread and connection.
Never:    touches an event loop of the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class SignedIn:
    """Where a `Feed` connects to, and how it signs in, for a blocking client."""

    def __init__(self, feed_url: str, login: Callable[[], str]) -> None:
        self._feed_url = feed_url
        self._login = login

    @property
    def feed_url(self) -> str:
        return self._feed_url

    async def login(self) -> str:
        return self._login()  # this loop has nothing else to do


def blocking(make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """What `make` yields."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="cxdex feed", daemon=True)
    thread.start()
    source = make()

    def run(work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    try:
        while True:
            try:
                yield run(_next(source))
            except StopAsyncIteration:
                return
    finally:
        run(_end(source))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def blocking_run(make: Callable[[], Any]) -> Any:
    """The result of the coroutine that `make` gives, in a thread of its own: the caller may have a loop that runs."""
    result: Future[Any] = Future()

    def work() -> None:
        try:
            result.set_result(asyncio.run(make()))
        except BaseException as error:
            result.set_exception(error)

    thread = Thread(target=work, name="cxdex feed", daemon=True)
    thread.start()
    return result.result()


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)


async def _end(source: Any) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
