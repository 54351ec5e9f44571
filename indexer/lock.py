"""One indexer a database: a second one is refused, however the first one ended.

On SQLite a lock on a file beside the database, on PostgreSQL a session's advisory lock: both end with the process.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from indexer.halt import Halt

ADVISORY_KEY = 0x6378646578  # "cxdex"


@contextmanager
def only_writer(engine: Engine) -> Iterator[None]:
    """Holds the lock. Raises Halt INDEXER_RUNNING when another process has it."""
    if engine.dialect.name != "sqlite":
        with engine.connect() as connection:
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_KEY}).scalar_one():
                raise _running(str(engine.url.render_as_string()))
            yield
        return
    if not engine.url.database:
        yield  # a database in memory has no second process
        return
    path = Path(engine.url.database + ".indexer.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _running(engine.url.database) from None
        yield


def _running(name: str) -> Halt:
    return Halt(
        "INDEXER_RUNNING",
        f"another indexer is writing to {name}",
        allowed="stop it first; one database has one indexer",
    )
