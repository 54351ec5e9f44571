"""The engine: one door for commands, a few windows for questions.

Owns:     a `State`, and which part of the engine answers which command.
Promises: the same commands give the same events and the same state hash, on every machine, from an empty engine or
          from a snapshot taken anywhere in between. Every command first closes the orders that its time has expired,
          and those of accounts whose countdown has ended; it ends with the orders that its prices have triggered.
          `apply` never raises for anything a trader or the chain can send: refusals are events.
Never:    reads a clock, does I/O, draws a random number or uses floating point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from cxdex.facts import AnyFact
from cxdex.nonce import unpack_nonce
from relayer.engine.acceptance import place
from relayer.engine.amending import cancel_and_place, reduce, replace
from relayer.engine.cancelling import (
    cancel,
    cancel_all,
    end_watch,
    fire_countdowns,
    forget_early,
    named,
    open_orders,
    set_countdown,
    watch,
)
from relayer.engine.chain import apply_fact, note_row
from relayer.engine.chain_log import OutboxRow
from relayer.engine.commands import (
    AnyCommand,
    ApplyFact,
    Cancel,
    CancelAll,
    CancelAndPlace,
    EndWatch,
    OutboxRead,
    Place,
    Reduce,
    Replace,
    ResetGuard,
    SeeBlock,
    SetAsideWithdrawal,
    SetCountdown,
    SetGuard,
    SetLimits,
    WatchConnection,
)
from relayer.engine.conditional import enter_triggered
from relayer.engine.events import AnyEvent, OrderRejected
from relayer.engine.hopeless import refused_at_once
from relayer.engine.lanes import free_nonces
from relayer.engine.limit_terms import Limits, LimitTable
from relayer.engine.limits import volume_today
from relayer.engine.orders import OrderView
from relayer.engine.quote_guard import GuardTerms, reset_guard, set_guard
from relayer.engine.snapshot import dump, load
from relayer.engine.state import MarketView, State
from relayer.engine.turn import Turn
from relayer.engine.withdrawals import SetAside, is_late, see_block, set_aside

__all__ = ["Engine", "MarketView", "OrderView", "SessionView", "SetAside"]


@dataclass(frozen=True, slots=True)
class SessionView:
    """A live session key. market: None is every market. left: the chain's count; available: after what is open and
    matched. 1e-6 USDC. expiry: unix seconds."""

    key: bytes
    market: str | None
    left: int
    available: int
    expiry: int


class Engine:
    """All markets and accounts of one exchange. Queries return copies; only `apply` changes anything."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = State()

    @classmethod
    def restore(cls, data: bytes) -> Engine:
        """The engine that `snapshot` described. Raises ValueError when the bytes are not such a description."""
        engine = cls()
        engine._state = load(data)
        return engine

    def snapshot(self) -> bytes:
        return dump(self._state)

    def state_hash(self) -> bytes:
        """SHA-256 of the snapshot: 32 bytes that two engines share only if they will behave alike."""
        return hashlib.sha256(self.snapshot()).digest()

    def apply(self, command: AnyCommand) -> list[AnyEvent]:
        """What the command caused, in order."""
        self._state.drop_closed()
        turn = Turn(self._state, command.time_ms)
        forget_early(turn)
        turn.close_expired()
        fire_countdowns(turn)
        match command:
            case Place():
                place(turn, command)
            case Replace():
                replace(turn, command)
            case CancelAndPlace():
                cancel_and_place(turn, command)
            case Reduce():
                reduce(turn, command)
            case Cancel():
                cancel(turn, command)
            case CancelAll():
                cancel_all(turn, command)
            case SetCountdown():
                set_countdown(turn, command)
            case WatchConnection():
                watch(turn, command)
            case EndWatch():
                end_watch(turn, command)
            case ApplyFact():
                apply_fact(turn, command)
            case OutboxRead():
                note_row(self._state, command)
            case SetAsideWithdrawal():
                set_aside(turn, command)
            case SeeBlock():
                see_block(turn, command)
            case SetLimits():
                self._state.limits.set_table(command.table)
            case SetGuard():
                set_guard(turn, command.account, command.market, command.terms)
            case ResetGuard():
                reset_guard(turn, command.account, command.market)
            case _:  # Expire: done above
                pass
        if turn.triggered:
            enter_triggered(turn)
        return turn.finish()

    def refused_at_once(self, command: Place | Replace | CancelAndPlace) -> OrderRejected | None:
        """What the command would come to when it can only be refused, and not by its account's doing (see `hopeless`):
        a refusal that changes nothing. None for all others."""
        return refused_at_once(Turn(self._state, command.time_ms), command)

    def has_used(self, account: bytes, nonce: int) -> bool:
        """Whether an order of this nonce may have been accepted once."""
        found, wanted = self._state.accounts.get(account), unpack_nonce(nonce)
        if found is None or wanted.epoch > found.epoch:
            return False
        lane = found.lanes.get(wanted.lane)
        return wanted.epoch < found.epoch or (lane is not None and wanted.seq <= lane.used)

    def order_state(self, digest: bytes) -> OrderView | None:
        """An open or recently closed order. None: never accepted, or closed and settled long ago."""
        record = self._state.orders.get(digest)
        return None if record is None else record.view()

    def has_open(self, account: bytes, name: str) -> bool:
        """Whether an open order of the account has this name."""
        found = self._state.accounts.get(account)
        return found is not None and bool(named(found, (name,)))

    def open_orders(self, account: bytes, market: str | None = None) -> list[OrderView]:
        """Oldest first."""
        return [record.view() for record in open_orders(self._state, account, market)]

    def knows(self, account: bytes) -> bool:
        """Whether the chain or an order ever named the account."""
        return account in self._state.accounts

    def countdown(self, account: bytes) -> int:
        """Unix milliseconds at which the account's orders are cancelled unless it renews; 0: no countdown runs."""
        return self._state.countdowns.until.get(account, 0)

    def watched_connections(self) -> list[tuple[bytes, bytes]]:
        """(account, connection) of every connection whose loss cancels the account's orders."""
        return [(account, one) for account, connections in self._state.watched.items() for one in connections]

    def is_watched(self, account: bytes, connection: bytes) -> bool:
        return connection in self._state.watched.get(account, ())

    def balances(self, account: bytes) -> dict[int, tuple[int, int]]:
        """asset -> (total, reserved), by asset number."""
        found = self._state.accounts.get(account)
        if found is None:
            return {}
        return {asset: (balance.total, balance.reserved) for asset, balance in sorted(found.balances.items())}

    def epoch(self, account: bytes) -> int:
        found = self._state.accounts.get(account)
        return 0 if found is None else found.epoch

    def tier(self, account: bytes) -> int:
        """The fee tier that the account's fills have now."""
        found = self._state.accounts.get(account)
        return 0 if found is None else found.tier

    @property
    def limits(self) -> LimitTable:
        """As they were last set; at first there are none."""
        return self._state.limits.table

    def limits_of(self, account: bytes) -> Limits:
        return self._state.limits.of(account, self.tier(account))

    def volume_today(self, account: bytes, time_ms: int) -> int:
        """1e-6 USDC that the account has matched since 00:00 UTC of the day of `time_ms`."""
        found = self._state.accounts.get(account)
        return 0 if found is None else volume_today(found, time_ms)

    def guards(self, account: bytes) -> list[tuple[str, GuardTerms, int | None]]:
        """The account's market-maker protections as (market, terms, until_ms), see `quote_guard.Guard`."""
        found = self._state.accounts.get(account)
        return [(market, guard.terms, guard.until_ms) for market, guard in (found.guards.items() if found else ())]

    def sessions(self, account: bytes) -> list[SessionView]:
        """Keys that may sign for the account, by key. Some may have expired: the caller knows the time."""
        found = self._state.accounts.get(account)
        return [
            SessionView(key, session.terms.market, session.terms.left, session.available, session.terms.expiry)
            for key, session in sorted(found.sessions.items() if found else ())
            if session.terms.expiry
        ]

    def set_asides(self, account: bytes) -> list[SetAside]:
        """Co-signed withdrawals of the account that the chain has not paid yet, oldest first."""
        return [held for held in self._state.set_asides.values() if held.account == account]

    def set_aside(self, account: bytes, nonce: int) -> SetAside | None:
        return self._state.set_asides.get((account, nonce))

    @property
    def has_set_asides(self) -> bool:
        return bool(self._state.set_asides)

    def has_late_withdrawal(self, timestamp: int) -> bool:
        """Whether a block of this time (unix seconds) would give something that is set aside back."""
        return any(is_late(held, timestamp) for held in self._state.set_asides.values())

    def free_nonces(self, account: bytes, count: int, leased: Collection[int] = ()) -> list[int]:
        """Nonces that would be accepted now, lowest lanes first. `leased`: lane numbers to leave alone."""
        return free_nonces(self._state.accounts.get(account), count, leased)

    def levels(self, market: str, depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as (price in ticks, quantity in lots), best first. Empty for an unknown market."""
        found = self._state.markets.get(market)
        if found is None:
            return [], []
        return found.book.levels(True, depth), found.book.levels(False, depth)

    def markets(self) -> list[MarketView]:
        """In the order of listing."""
        return [market.view() for market in self._state.markets.values()]

    def index(self, market: str) -> tuple[int, int] | None:
        """(1e-6 USDC for a whole unit of the base, when it was published in unix seconds), however old."""
        found = self._state.limits.prices.get(self._state.markets[market].terms.base_asset)
        return None if found is None else (found.price, found.publish_time)

    def next_expiry(self) -> int | None:
        """Unix seconds at which a command will next have an order to expire; None when none rests."""
        return self._state.next_expiry()

    def next_countdown(self) -> int | None:
        """Unix milliseconds at which the first countdown ends; None when none runs."""
        return self._state.countdowns.next()

    @property
    def outbox_position(self) -> tuple[int, int, int]:
        """(block, log index, outbox seq) of the last chain fact; (0, -1, 0) before the first."""
        return *self._state.position, self._state.outbox_row.seq

    @property
    def outbox_row(self) -> OutboxRow:
        """The last row of the outbox that was read."""
        return self._state.outbox_row

    def applied_facts(self) -> list[tuple[tuple[int, int, bytes], AnyFact]]:
        """Recent chain facts as (place, fact), oldest first; the last one always."""
        return [(applied.place, applied.fact) for applied in self._state.applied]
