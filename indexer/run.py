"""`python -m indexer run`: follows the chain until it is told to stop.

Promises: a node or a database that is away is waited for, with growing pauses, and reported once; a Halt ends the
          process with its reason. Being stopped or killed at any moment loses nothing: work is in transactions.
"""

from __future__ import annotations

import gc
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError

from indexer.follow import Follower
from indexer.node import NodeAway, NodeRefused
from indexer.source import ChainMoved

log = logging.getLogger("indexer")

POLL_SECONDS = 0.25
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
PROGRESS_SECONDS = 5.0
GARBAGE_OBJECTS = 200_000  # new objects before a look


def relax_collector() -> None:
    """Makes the cyclic garbage collector rare: rows make no cycles, and looking for some took a quarter of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 100)


@dataclass
class Runner:
    """Drives a follower. `stop` may be set from a signal handler."""

    follower: Follower
    poll_seconds: float = POLL_SECONDS
    on_ready: Callable[[], object] = lambda: None
    stop: bool = False
    _pause: float = FIRST_PAUSE_SECONDS
    _complaint: str | None = None
    _reported: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Returns when `stop` is set. Raises Halt."""
        ready = False
        while not self.stop:
            more = self.attempt()
            if more is None:
                continue
            if not ready:
                ready = True
                self.on_ready()
            if more:
                self._progress()
            else:
                self._sleep(self.poll_seconds)

    def run_until(self, target: int) -> None:
        """Returns when the checkpoint has reached the target block, or `stop` is set. Raises Halt."""
        while not self.stop:
            checkpoint = self.follower.store.checkpoint
            if checkpoint is not None and checkpoint.block >= target:
                return
            if self.attempt(target) is False:
                self._sleep(self.poll_seconds)

    def attempt(self, target: int | None = None) -> bool | None:
        """One step; None when something is away (after a pause)."""
        try:
            more = self.follower.step(target)
        except ChainMoved as moved:
            log.info("%s; reading again", moved)
            self._sleep(self.poll_seconds)
            return None
        except (NodeAway, NodeRefused) as away:
            self._wait("node", f"the node does not answer as it should ({away})")
            return None
        except OperationalError as away:
            self._wait("database", f"the database does not answer ({away.orig})")
            return None
        if self._complaint is not None:
            log.info("answers again, going on")
            self._complaint = None
        self._pause = FIRST_PAUSE_SECONDS
        return more

    def stop_on_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: object) -> None:
        self.stop = True

    def _wait(self, part: str, complaint: str) -> None:
        self.follower.measures.retries.labels(part).inc()
        if self._complaint is None:
            log.warning("%s; trying again until it does", complaint)
        self._complaint = complaint
        self._sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    def _sleep(self, seconds: float) -> None:
        """Sleeps in slices, so that a signal is heard soon."""
        end = time.monotonic() + seconds
        while not self.stop and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))

    def _progress(self) -> None:
        checkpoint = self.follower.store.checkpoint
        if checkpoint is None or time.monotonic() - self._reported < PROGRESS_SECONDS:
            return
        self._reported = time.monotonic()
        log.info("at block %d of %d", checkpoint.block, checkpoint.head)
