"""Cancels: of single orders, of many at once, by a countdown that ran out, by a connection that was lost.

Owns:     what a cancel finds, and what it leaves behind for an order that has not come yet.
Promises: a cancel that overtakes its order blocks it for EARLY_CANCEL_MS. An account leaves at most
          MOST_EARLY_CANCELS such marks; the oldest make room, and none outlives its time. A countdown fires in the
          first command at or after its time, before anything else of that command, so also before any match of an
          engine that was down meanwhile.
Never:    makes an account: strangers leave nothing behind.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from cxdex.problem import OrderProblem
from relayer.engine.commands import Cancel, CancelAll, EndWatch, SetCountdown, WatchConnection
from relayer.engine.events import ConnectionWatched, CountdownSet
from relayer.engine.orders import CANCELLED, LIVE, OrderRecord

if TYPE_CHECKING:
    from collections.abc import Collection

    from relayer.engine.accounts import Account
    from relayer.engine.commands import SignedCommand
    from relayer.engine.state import State
    from relayer.engine.turn import Turn

EARLY_CANCEL_MS = 120_000
MOST_EARLY_CANCELS = 256
LONGEST_COUNTDOWN_SECONDS = 86_400
MOST_WATCHED_CONNECTIONS = 16


def open_orders(state: State, account: bytes, market: str | None = None) -> list[OrderRecord]:
    """Oldest first."""
    found = state.accounts.get(account)
    if found is None:
        return []
    return [record for record in found.open.values() if market is None or record.order.market == market]


def cancel(turn: Turn, command: Cancel) -> None:
    account = turn.state.accounts.get(command.account)
    if account is None:
        return
    for digest in command.digests:
        record = turn.state.orders.get(digest)
        if record is None:
            block_early(turn, account, digest)
        elif record.status in LIVE and record.order.account == command.account:
            turn.close(record, CANCELLED, "USER")
    if command.client_order_ids:
        turn.close_all(named(account, frozenset(command.client_order_ids)), "USER")


def named(account: Account, names: Collection[str]) -> list[OrderRecord]:
    """The account's open orders with one of these names, oldest first."""
    return [record for record in account.open.values() if record.client_order_id in names]


def cancel_all(turn: Turn, command: CancelAll) -> None:
    found = open_orders(turn.state, command.account, command.market)
    turn.close_all([record for record in found if command.side in (None, record.order.side)], "USER")


def require_in_time(turn: Turn, command: SignedCommand) -> None:
    """Raises for an order that came after its own time limit, or after its cancel."""
    if command.reject_after_ms and turn.time_ms > command.reject_after_ms:
        raise OrderProblem(
            "ORDER_TOO_LATE",
            "the order reached the engine after the time that it came with",
            field="rejectAfter",
            given=str(command.reject_after_ms),
            allowed=f"{turn.time_ms} or later, unix milliseconds",
        )
    account = turn.state.accounts.get(command.order.account)
    if account is not None and account.early_cancels.get(command.digest, 0) > turn.time_ms:
        raise OrderProblem(
            "ORDER_CANCELLED_BEFORE",
            "a cancel of this order came before the order",
            field="id",
            given="0x" + command.digest.hex(),
        )


def set_countdown(turn: Turn, command: SetCountdown) -> None:
    if command.account not in turn.state.accounts:
        return
    until = turn.time_ms + 1_000 * min(command.seconds, LONGEST_COUNTDOWN_SECONDS) if command.seconds > 0 else 0
    turn.state.countdowns.set(command.account, until)
    turn.events.append(CountdownSet(turn.time_ms, command.account, until))


def fire_countdowns(turn: Turn) -> None:
    """Every command begins with it, right after it has closed what has expired."""
    countdowns = turn.state.countdowns
    while (address := countdowns.take_due(turn.time_ms)) is not None:
        turn.close_all(open_orders(turn.state, address), "DEADMAN")
        turn.events.append(CountdownSet(turn.time_ms, address, 0))


def watch(turn: Turn, command: WatchConnection) -> None:
    if command.account not in turn.state.accounts:
        return
    watched = turn.state.watched.setdefault(command.account, {})
    if command.connection in watched or len(watched) < MOST_WATCHED_CONNECTIONS:
        watched[command.connection] = None
        turn.events.append(ConnectionWatched(turn.time_ms, command.account, command.connection))


def end_watch(turn: Turn, command: EndWatch) -> None:
    """A lost connection cancels whether or not it is known: the gateway knows whom it has lost."""
    watched = turn.state.watched.get(command.account)
    if watched is not None:
        watched.pop(command.connection, None)
        if not watched:
            del turn.state.watched[command.account]
    if command.lost:
        turn.close_all(open_orders(turn.state, command.account), "DISCONNECTED")


def block_early(turn: Turn, account: Account, digest: bytes) -> None:
    early, until = account.early_cancels, turn.time_ms + EARLY_CANCEL_MS
    early.pop(digest, None)
    early[digest] = until
    heappush(turn.state.early, (until, account.address))
    if len(early) > MOST_EARLY_CANCELS:
        del early[next(iter(early))]


def forget_early(turn: Turn) -> None:
    """Every command begins with it: an account that never comes back must not leave its marks for ever."""
    ends = turn.state.early
    while ends and ends[0][0] <= turn.time_ms:
        early = turn.state.accounts[heappop(ends)[1]].early_cancels
        while early and early[next(iter(early))] <= turn.time_ms:  # oldest first, because each lasts equally long
            del early[next(iter(early))]
