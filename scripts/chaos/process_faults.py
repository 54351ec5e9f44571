"""What happens to the processes: SIGKILL, and SIGSTOP for a while.

Owns:     the children of the run: nobody else starts or ends them.
Promises: whatever was killed runs again when a fault is over. A process that ended by itself is written down.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import defaultdict

from scripts.chaos.plan import OTHERS, SERVICES, Fault
from scripts.chaos.tally import Tally
from scripts.stack.layout import StackError
from scripts.stack.run import Stack

START_ORDER = (*SERVICES, *OTHERS)


class ProcessFaults:
    def __init__(self, stack: Stack, tally: Tally) -> None:
        self._stack = stack
        self._tally = tally
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def carry_out(self, fault: Fault) -> None:
        """Locks in the order of starting, so that two faults never wait for each other."""
        victims = [name for name in START_ORDER if name in fault.victims]
        async with contextlib.AsyncExitStack() as held:
            for name in victims:
                await held.enter_async_context(self._locks[name])
                self._expect_alive(name)
            await (
                self._freeze(victims, fault.seconds) if fault.kind == "freeze" else self._kill(victims, fault.seconds)
            )

    def _expect_alive(self, name: str) -> None:
        child = self._stack.child(name)
        if not child.running:
            self._tally.wrong.append(f"{name} ended by itself. The end of {child.log}:\n{child.tail()}")

    async def _kill(self, victims: list[str], seconds: float) -> None:
        for name in victims:
            await asyncio.to_thread(self._stack.child(name).kill)
            self._tally.kills[name] += 1
        await asyncio.sleep(seconds)
        for name in victims:
            began = time.monotonic()
            try:
                await asyncio.to_thread(self._stack.child(name).start)
            except StackError as error:
                self._tally.wrong.append(f"{name} did not start again: {error}")
            self._tally.recovered(name, time.monotonic() - began)

    async def _freeze(self, victims: list[str], seconds: float) -> None:
        pids = [pid for name in victims if (pid := self._stack.child(name).pid) is not None]
        for pid in pids:
            os.killpg(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for pid in pids:
                os.killpg(pid, signal.SIGCONT)
        self._tally.freezes.update(victims)
