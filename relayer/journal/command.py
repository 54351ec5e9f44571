"""`python -m relayer journal verify | show | repair`: an operator's view of the journal.

Promises: verify and show change nothing and may run beside an engine. Exit status 0: undamaged (repair: undamaged
          now), 1: damaged or refused, 2: wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer.engine.commands import AnyCommand
from relayer.journal.inspection import Inspection, engine_of, inspect, open_journal, walk
from relayer.journal.lock import JournalLock
from relayer.journal.record import decode_command
from relayer.journal.repair import cut_tail, damaged_tail
from relayer.journal.scan import Damage, Found
from relayer.order_table import stored_sequence

KINDS = tuple(kind.__name__ for kind in get_args(AnyCommand))

_json = msgspec.json.Encoder(enc_hook=str)


def main(argv: list[str]) -> int:
    """`python -m relayer journal verify|show|repair --state DIR`"""
    options = _parse(argv)
    directory = Path(options.state) / "journal"
    try:
        status: int = options.run(directory, options)
        sys.stdout.flush()
    except BrokenPipeError:  # `... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Problem as problem:
        remedy = f" ({problem.allowed})" if problem.allowed else ""
        return _refuse(f"{problem.code}: {problem.detail}{remedy}")
    except OSError as error:
        return _refuse(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        return _refuse(f"the database cannot be used: {str(error).splitlines()[0]}")
    return status


def verify(directory: Path, _options: argparse.Namespace) -> int:
    seen = inspect(directory)
    print(_summary(seen))
    owner = engine_of(directory)
    if owner is not None:
        print(f"  in use by the engine, process {owner}")
    if seen.being_written:
        print(f"  the last {seen.being_written} bytes are being written")
    for view in seen.snapshots:
        print(f"{view.path}: " + ("whole" if view.trouble is None else f"DAMAGE {view.trouble}"))
    if not seen.snapshots:
        print("  no snapshot: a start replays every record")
    for damage in seen.damage:
        print(f"DAMAGE {damage.path} at byte {damage.offset}, {damage.size} bytes: {damage.why}{_remedy(damage)}")
    print("no damage" if seen.sound else "damaged")
    return 0 if seen.sound else 1


def show(directory: Path, options: argparse.Namespace) -> int:
    running = engine_of(directory) is not None
    status = 0
    with open_journal(directory) as files:
        for part in walk(files):
            if isinstance(part, Found):
                if options.last is not None and part.sequence > options.last:
                    break
                if part.sequence >= options.first and not _print_command(part, options.kind):
                    status = 1
            elif isinstance(part, Damage) and not (part.tail and running):
                print(f"journal: {part.path} is damaged at byte {part.offset}: {part.why}", file=sys.stderr)
                status = 1
    return status


def repair(directory: Path, options: argparse.Namespace) -> int:
    with open_journal(directory):  # JOURNAL_MISSING rather than a lock file in a wrong folder
        pass
    lock = JournalLock(directory)
    try:
        stored = _stored(options.database)
        if not options.yes:
            return _propose(directory, stored, options.database)
        done = cut_tail(directory, stored)
    finally:
        lock.release()
    if done is None:
        print("nothing to repair")
        return 0
    print(f"cut {done.cut.size} bytes at byte {done.cut.offset}; a copy is in {done.copy}")
    print(f"{done.cut.path} ends with record {done.last} now")
    return 0


def _stored(url: str | None) -> int:
    """The last record that the tables have; 0 when they are not asked. Raises Problem or SQLAlchemy's errors."""
    if url is None:
        return 0
    stored = stored_sequence(open_database(url))
    if stored is None:
        raise Problem("DATABASE_EMPTY", "no engine has worked on this database yet", allowed="--database URL")
    return stored


def _propose(directory: Path, stored: int, url: str | None) -> int:
    seen, tail = damaged_tail(directory, stored)
    if tail is None:
        print("nothing to repair")
        return 0
    print(
        f"would cut the last {tail.size} bytes of {tail.path}, from byte {tail.offset} on, after copying them to a "
        f"file beside it; the journal would end with record {seen.last}. Nothing was changed: repeat with --yes"
        + ("" if url else ", and with --database to make sure that the tables have none of it")
    )
    return 1


def _summary(seen: Inspection) -> str:
    files = f"{len(seen.segments)} file" + ("s" if len(seen.segments) != 1 else "")
    head = f"{files}, {seen.size} bytes, {seen.records} records"
    if seen.records:
        kinds = ", ".join(f"{kind} {number}" for kind, number in seen.kinds.most_common())
        head += f", sequence {seen.first} to {seen.last}"
        head += f"\n  {_time(seen.first_ms)} to {_time(seen.last_ms)}\n  {kinds}"
    for view in seen.segments:
        held = f"records {view.first} to {view.last}" if view.first else "no records yet"
        head += f"\n{view.path}: {view.size} bytes, {held}"
    return head


def _remedy(damage: Damage) -> str:
    if damage.tail:
        return ": the last write, which never finished (`repair` cuts it and keeps a copy)"
    return "; the engine refuses to start: restore the file from a copy"


def _print_command(record: Found, kind: str | None) -> bool:
    """One line of JSON. False when the record is no command of this version."""
    try:
        command = decode_command(record.payload)
    except (msgspec.MsgspecError, Problem) as error:
        print(f"journal: record {record.sequence} is no command of this version ({error})", file=sys.stderr)
        return False
    if kind is None or kind == type(command).__name__:
        line = {"sequence": record.sequence, "kind": type(command).__name__, **_fields(command)}
        sys.stdout.write(_json.encode(line).decode() + "\n")
    return True


def _fields(value: object) -> dict[str, object]:
    names: tuple[str, ...] = getattr(value, "__struct_fields__", ()) or tuple(
        getattr(value, "__dataclass_fields__", ())
    )
    return {name: _plain(getattr(value, name)) for name in names}


def _plain(value: object) -> object:
    """Bytes as 0x…, words as names, everything else as it is: integers stay exact."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return {"kind": type(value).__name__, **_fields(value)}
    if hasattr(value, "__dataclass_fields__"):
        return _fields(value)
    return getattr(value, "name", value)


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds") if time_ms else "no time"


def _refuse(reason: str) -> int:
    print(f"journal: {reason}", file=sys.stderr, flush=True)
    return 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m relayer journal", description="Looks after the engine's journal.")
    commands = parser.add_subparsers(required=True, metavar="verify|show|repair")
    state = os.environ.get("CXDEX_STATE")
    parts = {}
    for name, run, text in (
        ("verify", verify, "read every record and snapshot and say what is damaged"),
        ("show", show, "print the commands as JSON lines"),
        ("repair", repair, "cut a damaged tail, keeping a copy of it"),
    ):
        part = parts[name] = commands.add_parser(name, help=text, description=text)
        part.set_defaults(run=run)
        part.add_argument("--state", default=state, required=state is None, help="folder of journal/")
    parts["show"].add_argument("--from", dest="first", type=int, default=1, metavar="SEQUENCE")
    parts["show"].add_argument("--to", dest="last", type=int, metavar="SEQUENCE", help="included")
    parts["show"].add_argument("--kind", choices=KINDS)
    url = os.environ.get("CXDEX_DATABASE_URL")
    parts["repair"].add_argument("--database", metavar="URL", default=url, help="what it has stored is never cut")
    parts["repair"].add_argument("--yes", action="store_true", help="do it; without, only say what would be done")
    return parser.parse_args(argv)
