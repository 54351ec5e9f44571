"""Session keys: a second key that may sign orders for an account, within limits that the chain keeps.

Never: needs the exchange to be up to revoke one, once the contracts' addresses are known.
"""

from __future__ import annotations

import time

import msgspec

from cxdex.client import chain, endpoints
from cxdex.client.amounts import Amount, to_decimal_text
from cxdex.client.chain import Transaction
from cxdex.client.replies import Page, SessionKey
from cxdex.client.session import Session
from cxdex.client.steps import Flow
from cxdex.eip712 import market_hash
from cxdex.problem import Problem
from cxdex.units import parse_usdc

EVERY_MARKET = bytes(32)


def set_key(session: Session, key: str, market: str | None, notional: Amount, expires_in: int) -> Flow[Transaction]:
    """Lets `key` trade for this account; takes the place of what the key was allowed before."""
    status = yield from session.status()
    where = EVERY_MARKET
    if market is not None:
        where = market_hash((yield from session.terms(market)).symbol)
    limit = parse_usdc(to_decimal_text(notional, "notional"), "notional")
    expiry = int(time.time()) + expires_in
    data = chain.encode_call("Settlement", "setSession", _address(key), where, limit, expiry)
    return (yield from chain.send(session.wallet, status.chain_id, status.contracts["Settlement"], data))


def revoke_key(session: Session, key: str) -> Flow[Transaction]:
    """Ends the key at once: its open orders close, and what it has matched and the chain has not settled is skipped."""
    status = yield from session.status()
    data = chain.encode_call("Settlement", "revokeSession", _address(key))
    return (yield from chain.send(session.wallet, status.chain_id, status.contracts["Settlement"], data))


def keys(session: Session) -> Flow[list[SessionKey]]:
    page: Page = yield from session.request(endpoints.sessions(session.account), Page)
    return msgspec.json.decode(page.data, type=list[SessionKey])


def _address(text: str) -> str:
    digits = text.removeprefix("0x")
    if len(digits) != 40 or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise Problem(
            "FIELD_INVALID",
            "a session key is named by its address",
            field="key",
            given=text[:80],
            allowed="0x and 40 hexadecimal digits",
        )
    return "0x" + digits.lower()
