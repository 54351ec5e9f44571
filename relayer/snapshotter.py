"""Takes a snapshot every so many commands, while the engine goes on.

Promises: the event loop is held up for a fork, not for the state to be written: a child does that.
          a snapshot reaches the disk only when the tables hold everything up to its sequence. A full disk costs a
          line in the log and a slower next start, nothing else. What the snapshot made needless of the journal is
          taken away after it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cxdex.problem import Problem
from relayer.journal.retention import Retention, retire
from relayer.journal.snapshot import fork_writer, publish
from relayer.projector import Projector
from relayer.sequencer import Sequencer

log = logging.getLogger("relayer.snapshot")


class Snapshotter:
    def __init__(
        self,
        directory: Path,
        every: int,
        sequencer: Sequencer,
        projector: Projector,
        thread: ThreadPoolExecutor,
        retention: Retention | None = None,
    ) -> None:
        self._directory = directory
        self._every = every
        self._sequencer = sequencer
        self._projector = projector
        self._thread = thread
        self._retention = retention or Retention()
        self._last = sequencer.sequence
        self._task: asyncio.Task[None] | None = None

    def consider(self) -> None:
        """Called after each batch; starts a snapshot when one is due and none is under way."""
        due = self._sequencer.sequence - self._last >= self._every
        if due and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self.take())

    async def take(self) -> None:
        sequencer, loop = self._sequencer, asyncio.get_running_loop()
        sequence = self._last = sequencer.sequence
        try:
            now = sequencer.now_ms()
            child = fork_writer(self._directory, sequence, sequencer.offset, now, sequencer.engine.snapshot)
            _, status = await loop.run_in_executor(self._thread, os.waitpid, child, 0)
            if status:
                why = os.strerror(os.WEXITSTATUS(status)) if os.WIFEXITED(status) else "its writer was killed"
                log.warning("no snapshot of command %d: %s", sequence, why)
                return
            await self._projector.stored_through(sequence)
            path = await loop.run_in_executor(self._thread, publish, self._directory, sequence)
        except OSError as error:
            log.warning("no snapshot of command %d: %s", sequence, error.strerror)
            return
        log.info("wrote %s", path)
        try:
            retired = await loop.run_in_executor(self._thread, retire, self._directory, self._retention)
        except (OSError, Problem) as error:
            log.warning("nothing of the journal was taken away: %s", error)
            return
        for path in retired:
            log.info("%s is needed no more and has left the journal", path)

    async def finish(self) -> None:
        """The last one, at a clean stop. Everything must be stored by now."""
        if self._task is not None:
            await self._task
        if self._sequencer.sequence > 0 and self._sequencer.sequence != self._last_written():
            await self.take()

    def _last_written(self) -> int:
        names = sorted(self._directory.glob("snapshot-*.bin"))
        return int(names[-1].stem.removeprefix("snapshot-")) if names else 0
