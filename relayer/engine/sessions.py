"""Session keys: which key may sign for an account, in which market, until when, and for how much.

Owns:     `Session`, one key of one account as the chain last described it, and what the engine has used of it since.
Promises: an order of a session is accepted only if the chain would settle all of it today: the key is live, the market
          is allowed, the order ends before the session does, and its notional is covered by what is left after every
          open order and every matched fill of the key.
Never:    verifies signatures (the gateway did), or sets a limit of its own: all terms come from chain facts.

`left` follows the chain's own number, which SessionUsed tells just before the fill that used it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cxdex.facts import SessionRevoked, SessionSet, SessionUsed
from cxdex.market import MarketTerms
from cxdex.order import Order, SignatureKind
from cxdex.problem import OrderProblem
from cxdex.units import format_usdc

if TYPE_CHECKING:
    from relayer.engine.accounts import Account
    from relayer.engine.book import Book, BookOrder
    from relayer.engine.orders import OrderRecord
    from relayer.engine.state import State
    from relayer.engine.turn import Turn


class SessionTerms(msgspec.Struct, frozen=True, array_like=True):
    """As the chain has it. market: None means every market. left: 1e-6 USDC. expiry: unix seconds; 0 is no session."""

    market: str | None
    left: int
    expiry: int


NO_SESSION = SessionTerms(None, 0, 0)


class Session:
    """matched: notional of fills on their way to the chain. reserved: what open orders may still use. 1e-6 USDC."""

    __slots__ = ("matched", "reserved", "terms")

    def __init__(self, terms: SessionTerms = NO_SESSION) -> None:
        self.terms = terms
        self.matched = 0
        self.reserved = 0

    @property
    def available(self) -> int:
        return self.terms.left - self.matched - self.reserved

    def permits(self, order: Order) -> bool:
        """Whether the terms allow the order at all, whatever is left of the notional."""
        terms = self.terms
        return order.expiry <= terms.expiry and terms.market in (None, order.market)


def notional_at_limit(terms: MarketTerms, order: Order, lots: int) -> int:
    """What open lots of the order count for. A resting order trades at its own limit price exactly."""
    return terms.notional(lots, order.limit_price)


def require_live(account: Account | None, signer: bytes, order: Order, time_ms: int) -> Session:
    """The session that may sign this order. Raises OrderProblem."""
    session = account.sessions.get(signer) if account else None
    if session is None or session.terms.expiry * 1000 <= time_ms:
        raise OrderProblem(
            "SESSION_NOT_LIVE",
            "the account has given this key no session, or it has ended",
            field="signature",
            given="0x" + signer.hex(),
            allowed="the account's own key, or a key that Settlement.setSession named",
        )
    if session.terms.market not in (None, order.market):
        raise OrderProblem(
            "SESSION_MARKET_REFUSED",
            "the session is for another market",
            field="market",
            given=order.market,
            allowed=session.terms.market,
        )
    if order.expiry > session.terms.expiry:
        raise OrderProblem(
            "SESSION_TOO_SHORT",
            "the order would outlive the session that signed it",
            field="expiry",
            given=str(order.expiry),
            allowed=f"at most {session.terms.expiry}",
        )
    return session


def require_live_signer(state: State, record: OrderRecord, time_ms: int) -> Session | None:
    """The session whose key signed the order, which must be live; None when the account itself signed. Raises
    OrderProblem."""
    if record.kind is not SignatureKind.SESSION:
        return None
    return require_live(state.accounts.get(record.order.account), record.signer, record.order, time_ms)


def require_notional(session: Session, terms: MarketTerms, book: Book[bytes], entry: BookOrder[bytes]) -> None:
    """Raises OrderProblem unless what is left of the session covers the order, at the prices it would get now."""
    # A buyer pays at most the limit; a seller may be paid more, and the chain counts what was paid.
    value = entry.remaining * entry.price if entry.is_buy else book.proceeds(entry)
    needed = value * terms.quote_per_lot_tick
    if needed > session.available:
        raise OrderProblem(
            "SESSION_LIMIT_EXCEEDED",
            "the session may not trade that much any more, beside what it has open",
            field="quantity",
            given=f"{format_usdc(needed)} USDC",
            allowed=f"{format_usdc(max(session.available, 0))} USDC",
        )


def set_session(turn: Turn, fact: SessionSet) -> SessionTerms:
    """Returns the terms that it took the place of."""
    terms = SessionTerms(fact.market, fact.notional, fact.expiry)
    return _replace(turn, fact.account, fact.key, terms, "SESSION_CHANGED")


def revoke_session(turn: Turn, fact: SessionRevoked) -> SessionTerms:
    return _replace(turn, fact.account, fact.key, NO_SESSION, "SESSION_REVOKED")


def use_session(turn: Turn, fact: SessionUsed) -> SessionTerms:
    """The fill that used it still counts as matched until its own fact, the next one: `cover_session` comes then."""
    session = turn.state.account(fact.account).session(fact.key)
    before = session.terms
    session.terms = msgspec.structs.replace(before, left=fact.notional_left)
    return before


def cover_session(turn: Turn, address: bytes, key: bytes) -> None:
    """Closes the newest orders of the key until what is left of its notional covers the rest."""
    account = turn.state.account(address)
    session = account.session(key)
    if session.available >= 0:
        return
    for record in reversed(list(account.open.values())):
        if session.available >= 0:
            return
        if record.signer == key and record.session_reserved:
            turn.close_all([record], "SESSION_LIMIT")


def restore_session(turn: Turn, account: bytes, key: bytes, terms: SessionTerms) -> None:
    """After a reorg. Orders that the fact closed stay closed; ones that the old terms do not allow close now."""
    _replace(turn, account, key, terms, "SESSION_CHANGED")


def _replace(turn: Turn, address: bytes, key: bytes, terms: SessionTerms, reason: str) -> SessionTerms:
    account = turn.state.account(address)
    session = account.session(key)
    before, session.terms = session.terms, terms
    mine = [record for record in account.open.values() if record.signer == key]
    turn.close_all([record for record in mine if not session.permits(record.order)], reason)
    cover_session(turn, address, key)
    return before
