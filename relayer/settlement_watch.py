"""Keeps an eye on the settler's word, so that new orders are refused while the chain is too far behind.

Promises: the word is at most a second old. A settler that was away while the engine was gets as long as it promises
          from the engine's start on. Without any settler on this database nothing is refused. A leap of the machine's
          clock, which the settler does not believe either, makes nothing look late.
Never:    blocks the event loop, or stops cancels.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine as Database
from sqlalchemy.exc import SQLAlchemyError

from cxdex.problem import Problem
from relayer.settler.state import SettlerState, read_state

log = logging.getLogger("relayer.settlement")

LOOK_EVERY_SECONDS = 1.0


class SettlementWatch:
    def __init__(self, database: Database, readers: ThreadPoolExecutor, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._readers = readers
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._state: SettlerState | None = None
        self._refusing = False

    def refusal(self) -> Problem | None:
        """Why no new orders are taken now."""
        if self._state is None:
            return None
        return self._state.refusal(self._now_ms())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                state = await loop.run_in_executor(self._readers, read_state, self._database)
            except SQLAlchemyError:
                state = self._state  # the projector says what ails the database
            if state is not None and state.updated_ms < self._started_ms:
                state = dataclasses.replace(state, updated_ms=self._started_ms, oldest_ms=None)
            self._state = state
            self._say()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _say(self) -> None:
        refusal = self.refusal()
        if refusal is not None and not self._refusing:
            log.error("ALERT: %s", refusal.detail)
        elif refusal is None and self._refusing:
            log.info("settlement has caught up: orders are taken again")
        self._refusing = refusal is not None
