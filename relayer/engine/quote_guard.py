"""Market-maker protection: a maker that is filled too much in a moment has its quotes taken off the book.

Owns:     the guard of an account in a market: its terms, the maker fills inside the window, and whether it has tripped.
Promises: when the account's fills as maker within the window reach a limit, its other resting orders in the market are
          cancelled in the same command, before anybody's next order. Until the cooldown has passed or the account
          resets it, what could rest is refused; IOC and FOK go on, so that the maker can hedge.
Never:    cuts a taker's order short: that order was sent first, FOK is all or nothing, and so one order may take more
          than the limit. Fills as taker are the account's own doing and do not count.

A fill that the chain skips later stays counted. Terms that are set anew count from zero.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from cxdex.order import Order
from cxdex.problem import OrderProblem
from relayer.engine.events import GuardChanged

if TYPE_CHECKING:
    from relayer.engine.accounts import Account
    from relayer.engine.state import Market, State
    from relayer.engine.turn import Turn

CANCEL_REASON = "PROTECTION"
UNTIL_RESET = 0


class GuardTerms(msgspec.Struct, frozen=True, array_like=True):
    """Reaching `lots` or `notional` (1e-6 USDC; None: not watched) within `window_ms` trips it. cooldown_ms 0: it stays
    so until the account resets it."""

    window_ms: int
    lots: int | None
    notional: int | None
    cooldown_ms: int


class Guard:
    """fills: (time_ms, lots, notional) inside the window, oldest first. until_ms: end of the cooldown, UNTIL_RESET, or
    None when the guard has not tripped."""

    __slots__ = ("fills", "lots", "notional", "terms", "until_ms")

    def __init__(self, terms: GuardTerms) -> None:
        self.terms = terms
        self.fills: deque[tuple[int, int, int]] = deque()
        self.lots = 0
        self.notional = 0
        self.until_ms: int | None = None

    def count(self, time_ms: int, lots: int, notional: int) -> None:
        while self.fills and self.fills[0][0] <= time_ms - self.terms.window_ms:
            _, old_lots, old_notional = self.fills.popleft()
            self.lots -= old_lots
            self.notional -= old_notional
        self.fills.append((time_ms, lots, notional))
        self.lots += lots
        self.notional += notional

    @property
    def is_reached(self) -> bool:
        terms = self.terms
        return (terms.lots is not None and self.lots >= terms.lots) or (
            terms.notional is not None and self.notional >= terms.notional
        )

    def rearm(self, until_ms: int | None = None) -> None:
        """Counts from zero again; with `until_ms` only from then on."""
        self.fills.clear()
        self.lots = self.notional = 0
        self.until_ms = until_ms

    def is_tripped(self, time_ms: int) -> bool:
        return self.until_ms is not None and (self.until_ms == UNTIL_RESET or time_ms < self.until_ms)


def set_guard(turn: Turn, address: bytes, market: str, terms: GuardTerms | None) -> None:
    """In place of the one before; None takes it away. Resting orders stay. Strangers leave nothing behind."""
    account = turn.state.accounts.get(address)
    if account is None or market not in turn.state.markets:
        return
    if terms is not None:
        account.guards[market] = Guard(terms)
    elif account.guards.pop(market, None) is None:
        return
    turn.events.append(_changed(turn.time_ms, address, market, account.guards.get(market)))


def reset_guard(turn: Turn, address: bytes, market: str) -> None:
    account = turn.state.accounts.get(address)
    guard = account.guards.get(market) if account else None
    if guard is not None:
        guard.rearm()
        turn.events.append(_changed(turn.time_ms, address, market, guard))


def count_maker_fill(turn: Turn, maker: Account, market: str, lots: int, notional: int) -> None:
    guard = maker.guards.get(market)
    if guard is not None:
        guard.count(turn.time_ms, lots, notional)
        if guard.is_reached:
            turn.reached[maker.address] = maker


def trip_reached(turn: Turn, market: Market) -> None:
    """After a match: cancels the quotes of every maker whose guard the match has reached."""
    symbol = market.terms.symbol
    for address, account in turn.reached.items():
        guard = account.guards[symbol]
        cooldown = guard.terms.cooldown_ms
        guard.rearm(turn.time_ms + cooldown if cooldown else UNTIL_RESET)
        turn.close_all([r for r in account.open.values() if r.order.market == symbol], CANCEL_REASON)
        turn.events.append(_changed(turn.time_ms, address, symbol, guard))
    turn.reached.clear()


def require_armed(state: State, order: Order, time_ms: int) -> None:
    """Raises OrderProblem for an order that could rest while the account's guard has tripped."""
    account = state.accounts.get(order.account)
    guard = account.guards.get(order.market) if account else None
    if guard is None or not order.may_rest or not guard.is_tripped(time_ms):
        return
    raise OrderProblem(
        "PROTECTION_TRIPPED",
        "the account's market-maker protection has cancelled its quotes in this market and takes no new ones yet",
        field="timeInForce",
        given=order.time_in_force.name,
        allowed="IOC or FOK; or any after POST /v1/accounts/{account}/protection/{market}/reset"
        + (f", or after {guard.until_ms} (unix ms)" if guard.until_ms else ""),
    )


def _changed(time_ms: int, address: bytes, market: str, guard: Guard | None) -> GuardChanged:
    if guard is None:
        return GuardChanged(time_ms, address, market, 0, None, None, 0, None)
    terms = guard.terms
    return GuardChanged(
        time_ms, address, market, terms.window_ms, terms.lots, terms.notional, terms.cooldown_ms, guard.until_ms
    )
