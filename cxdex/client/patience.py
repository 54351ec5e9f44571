"""Asking again: how long to pause, and what to say to who waits meanwhile.

Owns:     the pauses between attempts, and from when on silence has to be explained.
Promises: who is answered soon hears nothing; who waits long is told for what, once an attempt, in the log
          `cxdex.client` (a program that sets up no logging shows it on stderr).
Never:    decides whether to ask again.
"""

from __future__ import annotations

import logging

from cxdex.client.steps import Pause
from cxdex.problem import Problem

FIRST_PAUSE_SECONDS = 0.2
QUIET_SECONDS = 3.0

log = logging.getLogger("cxdex.client")


def before_again(attempt: int, attempts: int, problem: Problem | None) -> Pause:
    """What to do after the attempt of this number, from 1 on, of which `problem` is known."""
    why = "" if problem is None else f"{problem.code}: {problem.detail}; asking again, {attempt + 1} of {attempts}"
    return Pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), why)


def explain(pause: Pause, waited: float) -> None:
    """`waited`: seconds since whoever called this client has been waiting."""
    if pause.why and waited >= QUIET_SECONDS:
        log.warning("%s", pause.why)
