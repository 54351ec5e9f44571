"""Child processes: started in a session of their own, logged to a file, stopped in order, never left behind.

Promises: `start` returns only when the child has said "ready" (or raises with the end of its log); `stop`
          asks with SIGTERM first and insists with SIGKILL after a grace period.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from scripts.stack.layout import StackError

ROOT = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 60.0
GRACE_SECONDS = 15.0
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 12
MARKER = "CXDEX_STACK"  # environment variable that tells whose child a process is


class Child:
    """One process of the exchange. `name` is what people see; its output goes to `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        is_ready: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.restarts = 0
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self._is_ready = is_ready or self._said_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, ready_seconds: float = READY_SECONDS) -> None:
        """Starts it and waits until it serves. Raises StackError with the end of its log."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only us, so that we can stop the children in order
            )
        deadline = time.monotonic() + ready_seconds
        while not self._is_ready():
            if not self.running:
                raise StackError(f"{self.name} stopped while starting. The end of {self.log}:\n{self.tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise StackError(
                    f"{self.name} was not ready after {ready_seconds:.0f} s. The end of {self.log}:\n{self.tail()}"
                )
            time.sleep(POLL_SECONDS)
        if not self.running:  # something else answers in its place
            raise StackError(f"{self.name} stopped while starting. The end of {self.log}:\n{self.tail()}")

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole process group: what a crash looks like."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        self.restarts += 1
        self.start()

    def tail(self) -> str:
        if not self.log.exists():
            return "  (no log)"
        lines = self.log.read_bytes()[self._log_start :].decode(errors="replace").splitlines()
        return "\n".join("  | " + line for line in lines[-LOG_TAIL_LINES:]) or "  (empty)"

    def _said_ready(self) -> bool:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return any(line.strip() == b"ready" for line in file)


def stop_leftovers(state: Path) -> list[str]:
    """Ends what a killed supervisor left running on this folder, newest first. Returns what it was.

    Call it only while holding the folder's lock.
    """
    wanted = str(state.resolve())
    left = [process for process in psutil.process_iter() if _marker_of(process) == wanted]
    left.sort(key=lambda process: process.create_time(), reverse=True)
    names = [" ".join(process.cmdline()[:4]) for process in left]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
    return names


def _marker_of(process: psutil.Process) -> str | None:
    try:
        marker: str | None = process.environ().get(MARKER)
    except psutil.Error:
        return None
    return marker


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
