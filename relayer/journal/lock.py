"""One engine per journal: a second one would give the same sequence numbers to other commands.

Promises: the lock dies with the process, however it dies. It is on the folder: whoever removes the file, which only
          names the process that holds it, opens nothing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cxdex.problem import Problem

LOCK_NAME = "lock"


class JournalLock:
    """Held from construction to `release`. Raises JOURNAL_LOCKED naming the process that holds it."""

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_NAME
        self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for held in (self._folder, self._descriptor):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            self.release()
            raise Problem(
                "JOURNAL_LOCKED",
                f"another engine (process {owner or 'unknown'}) works on the journal in {directory}; stop it first",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)
        os.close(self._folder)
