"""The client: one surface, twice. `Exchange` blocks; `AsyncExchange` is awaited; `Feed` streams.

Everything but the waiting is shared: `endpoints` says what a request is, `replies` what an answer is, `flows`
what a person means by "place this order". The two façades only carry requests out.
"""

from cxdex.client.amending import Amend, Cancel, CancelAndPlace, Replace
from cxdex.client.async_exchange import AsyncExchange
from cxdex.client.errors import ApiProblem, OutcomeUnknown, Unreachable
from cxdex.client.exchange import Exchange
from cxdex.client.settlements import FillChange
from cxdex.client.stream import Feed
from cxdex.client.ticket import Ticket

__all__ = [
    "Amend",
    "ApiProblem",
    "AsyncExchange",
    "Cancel",
    "CancelAndPlace",
    "Exchange",
    "Feed",
    "FillChange",
    "OutcomeUnknown",
    "Replace",
    "Ticket",
    "Unreachable",
]
