"""Whether this program reads a journal's commands: asked before anything is changed, also in the database.

Promises: reads one record and the heads of the snapshots; changes nothing. A journal of another format that a start
          would replay is refused here, with the way back and the way on. What it lets through may still be damaged.
Never:    decodes every record, or takes the lock.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from cxdex.problem import Problem
from relayer.engine.commands import JOURNAL_FORMAT
from relayer.engine.snapshot import is_of_this_version
from relayer.journal.inspection import OpenFile, open_journal
from relayer.journal.record import decode_command
from relayer.journal.scan import Found, scan
from relayer.journal.snapshot import snapshots


def require_format(directory: Path) -> None:
    """Raises JOURNAL_FORMAT; OSError. A folder without a journal is one that begins."""
    try:
        with open_journal(directory) as files:
            newest = next((record for file in reversed(files) for record in _first(file)), None)
    except Problem:  # there is none, or it is damaged: the start says how
        return
    if newest is None:
        return
    try:
        decode_command(newest.payload)
    except (msgspec.MsgspecError, Problem) as error:
        covered = any(
            snapshot is not None and snapshot.sequence >= newest.sequence and is_of_this_version(snapshot.state)
            for _, snapshot in snapshots(directory)
        )
        if not covered:
            raise foreign_format(newest.sequence, directory, error) from None


def foreign_format(sequence: int, directory: Path, error: Exception) -> Problem:
    return Problem(
        "JOURNAL_FORMAT",
        f"record {sequence} of the journal in {directory} is no command of this version, which reads format "
        f"{JOURNAL_FORMAT} ({error}). Nothing was changed, neither here nor in the tables. To go back, run the version "
        "that wrote it. To go on with this one, let that version settle every fill and stop it, then start with an "
        "empty state folder and database (`make reset`): balances come from the chain, orders are sent anew",
    )


def _first(file: OpenFile) -> list[Found]:
    if file.segment is None:
        return []
    parts = scan(file.descriptor, file.segment, newest=False)
    return [part for part in [next(parts, None)] if isinstance(part, Found)]
