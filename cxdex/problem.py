"""Errors as values that a person and a program can both act on.

Owns:     `Problem`, the one exception that crosses a package boundary for bad input.
Promises: every problem has a stable code, says what was given and what is allowed.
Never:    carries a stack trace, a secret or an HTTP status (the API maps codes to statuses).
"""

from __future__ import annotations


class Problem(Exception):
    """Bad input or a refused request. `code` is stable; `detail` is for people and may change."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        given: str | None = None,
        allowed: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.field = field
        self.given = given
        self.allowed = allowed


class OrderProblem(Problem):
    """An order that cannot be what its sender meant."""
