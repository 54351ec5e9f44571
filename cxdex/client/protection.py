"""Market-maker protection: the exchange cancels an account's quotes when they are filled too much too fast.

Never: does I/O (see `steps`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from cxdex.client import endpoints
from cxdex.client.amounts import Amount, to_decimal_text
from cxdex.client.replies import Page, Protection
from cxdex.client.session import Session
from cxdex.client.steps import Flow


def listed(session: Session) -> Flow[list[Protection]]:
    page: Page = yield from session.request(endpoints.protections(session.account), Page)
    return msgspec.json.decode(page.data, type=list[Protection])


def protect(
    session: Session,
    market: str,
    window_ms: int,
    max_quantity: Amount | None,
    max_notional: Amount | None,
    cooldown_ms: int,
) -> Flow[Protection]:
    body: dict[str, Any] = {"windowMs": window_ms, "cooldownMs": cooldown_ms}
    if max_quantity is not None:
        body["maxQuantity"] = to_decimal_text(max_quantity, "maxQuantity")
    if max_notional is not None:
        body["maxNotional"] = to_decimal_text(max_notional, "maxNotional")
    call = endpoints.set_protection(session.account, market, body)
    return (yield from session.request(call, Protection))


def reset(session: Session, market: str) -> Flow[Protection]:
    return (yield from session.request(endpoints.reset_protection(session.account, market), Protection))


def remove(session: Session, market: str) -> Flow[Protection]:
    return (yield from session.request(endpoints.remove_protection(session.account, market), Protection))
