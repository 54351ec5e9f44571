"""From what is on disk to a running engine: newest usable snapshot, then the rest of the journal.

Promises: afterwards the engine is what an uninterrupted one would be, and the tables hold the events of every
          command in the journal. A damaged snapshot costs time, nothing else.
          A long replay says how far it is.
          Refuses to start (a Problem that names what and where) rather than guess: a journal that is damaged in
          the middle, that lacks its beginning, or that ends before what the database already holds; a torn end is cut
          only when database and snapshots have nothing of it.
Never:    uses a snapshot that is newer than the tables: the events in between could not be regenerated.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cxdex.problem import Problem
from relayer.engine.commands import AnyCommand
from relayer.engine.core import Engine
from relayer.journal.format_check import foreign_format, require_format
from relayer.journal.journal import Journal
from relayer.journal.record import decode_command
from relayer.journal.segment import damaged
from relayer.journal.snapshot import Snapshot, newest_sequence, snapshots
from relayer.order_table import OrderTables
from relayer.projector import Sequenced, project

log = logging.getLogger("relayer.recovery")

COMMANDS_A_TRANSACTION = 1_000
SECONDS_BETWEEN_REPORTS = 2.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """last_time_ms: time of the last command replayed. snapshot_sequence: where the replay began."""

    engine: Engine
    journal: Journal
    last_time_ms: int
    snapshot_sequence: int


def recover(directory: Path, tables: OrderTables) -> Recovered:
    """Blocks until the engine and the tables are up to date. Raises Problem, OSError or SQLAlchemy's errors."""
    require_format(directory)  # before the tables are migrated: then the version that wrote the journal can go on
    cursor = tables.open()
    journal = Journal(directory)
    engine, start = _newest_usable(directory, cursor)
    last_time_ms = start.time_ms if start else 0
    pending: list[Sequenced] = []
    progress = _Progress(journal, start.position if start else journal.end)
    covered = newest_sequence(directory)
    sequence, position = (start.sequence, start.position) if start else (0, None)
    for record in journal.recover(sequence, position, max(cursor, covered)):
        command = _decode(journal, record.sequence, record.payload)
        last_time_ms = command.time_ms
        events = engine.apply(command)
        progress.passed(record.sequence)
        if record.sequence > cursor:
            pending.append((record.sequence, events))
            if len(pending) >= COMMANDS_A_TRANSACTION:
                project(tables, pending)
                pending.clear()
    if journal.cut_bytes:
        log.warning("the last write to %s never finished: %d bytes cut", journal.path, journal.cut_bytes)
    if journal.sequence < cursor:
        raise Problem(
            "JOURNAL_BEHIND_DATABASE",
            f"the database holds the events of {cursor} commands, {journal.path} ends at {journal.sequence}: "
            "they do not belong together. Restore the journal, or start with an empty database and journal",
        )
    if journal.sequence < covered:
        why = f"it ends with record {journal.sequence}, and there is a snapshot of record {covered}"
        raise damaged(journal.path, journal.path.stat().st_size, why)
    project(tables, pending)
    replayed_from = start.sequence if start else 0
    log.info("replayed commands %d to %d", replayed_from + 1, journal.sequence)
    return Recovered(engine, journal, last_time_ms, replayed_from)


class _Progress:
    """Lines in the log while a replay takes long."""

    def __init__(self, journal: Journal, start: int) -> None:
        self._journal = journal
        self._start = start
        self._began = self._said = time.monotonic()

    def passed(self, sequence: int) -> None:
        if sequence % 1_000:
            return
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN_REPORTS:
            return
        self._said = now
        done, whole = self._journal.end - self._start, self._journal.last_position - self._start
        left = (now - self._began) * (whole - done) / done
        log.info("replaying: command %d, %d %% of the journal, about %.0f s left", sequence, 100 * done // whole, left)


def _newest_usable(directory: Path, cursor: int) -> tuple[Engine, Snapshot | None]:
    for path, snapshot in snapshots(directory):
        if snapshot is None:
            log.warning("%s is damaged; using the one before it", path)
        elif snapshot.sequence > cursor:
            log.info("%s is newer than the database (%d); using an older one", path, cursor)
        else:
            try:
                return Engine.restore(snapshot.state), snapshot
            except ValueError as error:
                log.warning("%s cannot be used (%s); using the one before it", path, error)
    return Engine(), None


def _decode(journal: Journal, sequence: int, payload: bytes) -> AnyCommand:
    try:
        return decode_command(payload)
    except (msgspec.MsgspecError, Problem) as error:
        raise foreign_format(sequence, journal.path.parent, error) from None
