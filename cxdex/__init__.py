"""What integrators install: order types, EIP-712 signing, units, ABIs, and the client. Imports none of our services.

    from cxdex import Exchange, LocalWallet

The names below load on first use, so that a service which only needs the order type does not load an HTTP stack.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxdex.client import (
        Amend,
        ApiProblem,
        AsyncExchange,
        Cancel,
        CancelAndPlace,
        Exchange,
        Feed,
        FillChange,
        OutcomeUnknown,
        Replace,
        Ticket,
        Unreachable,
    )
    from cxdex.problem import OrderProblem, Problem
    from cxdex.wallet import LocalWallet, SessionWallet

__all__ = [
    "Amend",
    "ApiProblem",
    "AsyncExchange",
    "Cancel",
    "CancelAndPlace",
    "Exchange",
    "Feed",
    "FillChange",
    "LocalWallet",
    "OrderProblem",
    "OutcomeUnknown",
    "Problem",
    "Replace",
    "SessionWallet",
    "Ticket",
    "Unreachable",
]

_HOMES = {
    "LocalWallet": "cxdex.wallet",
    "OrderProblem": "cxdex.problem",
    "Problem": "cxdex.problem",
    "SessionWallet": "cxdex.wallet",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "cxdex.client")), name)
