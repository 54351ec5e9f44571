"""What can go wrong between a client and the exchange, as three different things.

ApiProblem      the exchange answered and refused: the outcome is known
Unreachable     no answer came: for a read, try again; for an order, see OutcomeUnknown
OutcomeUnknown  an order was sent and no answer came, also after retries: it may be live. Ask for its id later

Never: turns silence into a refusal.
"""

from __future__ import annotations

from typing import Any

from cxdex.problem import Problem


class ApiProblem(Problem):
    """A refusal by the API. `status` is the HTTP status, `members` the whole problem document.

    after_silence: an earlier attempt of the same request got no answer.
    """

    def __init__(self, status: int, members: dict[str, Any]) -> None:
        super().__init__(
            str(members.get("code", "INTERNAL")),
            str(members.get("detail", "the exchange refused without saying why")),
            field=_text(members.get("field")),
            given=_text(members.get("given")),
            allowed=_text(members.get("allowed")),
        )
        self.status = status
        self.members = members
        self.after_silence = False

    @property
    def retryable(self) -> bool:
        """The same request may succeed later, unchanged."""
        return bool(self.members.get("retryable", False))

    @property
    def leaves_outcome_open(self) -> bool:
        """A fault on the exchange's side: it does not say whether the request took effect."""
        return self.status >= 500 or self.status == 425


class Unreachable(Problem):
    """No answer: refused connection, time-out, or something that is not an answer of this exchange."""

    def __init__(self, detail: str) -> None:
        super().__init__("UNREACHABLE", detail)


class OutcomeUnknown(Problem):
    """The order may or may not be live. `order_id` finds out: ``exchange.order(problem.order_id)``."""

    def __init__(self, order_id: str, why: str) -> None:
        super().__init__(
            "OUTCOME_UNKNOWN",
            f"no answer about order {order_id} ({why}); it may be live, so ask for it by its id before placing another",
        )
        self.order_id = order_id


def _text(value: object) -> str | None:
    return None if value is None else str(value)
