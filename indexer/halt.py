"""Why the indexer stops: only what a person has to look at. Everything else it retries or repairs by itself."""

from __future__ import annotations

from cxdex.problem import Problem


class Halt(Problem):
    """Going on would write rows that are wrong. The tables stay as they are, and stay readable."""


class MissingLogs(Halt):
    """The node's answer lacks events that must exist: one more look is worth it before stopping."""
