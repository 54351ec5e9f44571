"""Cancels on chain, which nobody can refuse: the relayer drops the orders when it sees one, the contract later.

What the orders have matched before still settles for CANCEL_DELAY_SECONDS (`cxdex.nonce`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cxdex.client import chain
from cxdex.client.chain import Transaction
from cxdex.client.session import Session
from cxdex.client.steps import Flow


def cancel(session: Session, nonces: Sequence[int]) -> Flow[Transaction]:
    """These orders, and every older one in their lanes."""
    return (yield from _send(session, "cancelOrders", list(nonces)))


def cancel_all(session: Session) -> Flow[Transaction]:
    """Everything the account has ever signed. Once in CANCEL_DELAY_SECONDS."""
    return (yield from _send(session, "cancelAll"))


def _send(session: Session, function: str, *arguments: object) -> Flow[Transaction]:
    status = yield from session.status()
    data = chain.encode_call("Settlement", function, *arguments)
    return (yield from chain.send(session.wallet, status.chain_id, status.contracts["Settlement"], data))
