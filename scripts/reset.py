"""Wipes the local exchange's state: chain, journal, database, logs. The next `make up` starts afresh."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

MARKERS = ("lock", "deployment.json", "anvil.json", "logs")


def main() -> int:
    parser = argparse.ArgumentParser(prog="reset", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".state"))
    state = parser.parse_args().state
    if not state.exists():
        print(f"  nothing to reset: {state} does not exist")
        return 0
    if not any((state / marker).exists() for marker in MARKERS):
        print(f"  {state} does not look like an exchange's state folder; nothing was removed", file=sys.stderr)
        return 2
    if is_running(state):
        print(f"  an exchange is running on {state}: stop it with Ctrl-C first", file=sys.stderr)
        return 2
    shutil.rmtree(state)
    print(f"  removed {state}")
    return 0


def is_running(state: Path) -> bool:
    """Whether a supervisor holds the state folder's lock."""
    import fcntl

    lock = state / "lock"
    if not lock.exists():
        return False
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
