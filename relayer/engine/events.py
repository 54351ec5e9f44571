"""Events: everything the engine says happened, in order. Same commands, same events, on every machine.

The database, the feeds and the settler are functions of these; none of them reads the engine's memory.
"""

from __future__ import annotations

import msgspec

from cxdex.order import Order, SignatureKind
from cxdex.order_word import order_word


class Event(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all events. `time_ms` is the command's."""

    time_ms: int


class OrderAccepted(Event, frozen=True):
    """replaces: the order whose place it takes; the chain counts both as one. filled_before: lots that this one, and
    those before it, had filled: so many less may this one fill."""

    order: Order
    signature: bytes
    digest: bytes
    client_order_id: str | None
    kind: SignatureKind = SignatureKind.ACCOUNT
    signer: bytes = b""
    replaces: bytes = b""
    filled_before: int = 0
    display_quantity: int = 0


class OrderRejected(Event, frozen=True):
    """The order changed nothing. `code` is one of the stable codes; `given` and `allowed` are for people."""

    digest: bytes
    account: bytes
    market: str
    code: str
    detail: str
    field: str | None = None
    given: str | None = None
    allowed: str | None = None


class Traded(Event, frozen=True):
    """One fill. match_id counts all fills of the exchange from 1; sequence counts the market's from 0.

    Fees in 1e-6 USDC, as the contract will charge them at the accounts' present tiers. *_remaining in lots, after
    this fill.
    """

    match_id: int
    market: str
    sequence: int
    maker_digest: bytes
    taker_digest: bytes
    maker: bytes
    taker: bytes
    taker_is_buyer: bool
    price: int
    quantity: int
    maker_fee: int
    taker_fee: int
    maker_remaining: int
    taker_remaining: int
    maker_nonce: int
    taker_nonce: int

    @property
    def maker_order(self) -> bytes:
        """The maker's order as the chain names it."""
        return order_word(self.maker, self.maker_nonce, self.maker_digest)

    @property
    def taker_order(self) -> bytes:
        return order_word(self.taker, self.taker_nonce, self.taker_digest)


class OrderReduced(Event, frozen=True):
    """The open quantity fell without a trade of this order: by its owner's word, by a decrement of self-trade
    prevention, or because the other leg of its pair has filled so many lots (`filled_elsewhere`)."""

    digest: bytes
    account: bytes
    market: str
    remaining: int
    filled_elsewhere: int = 0


class OrderTriggered(Event, frozen=True):
    """The PENDING order enters the book as a taker. price: what met its condition, ticks of the market's last trade or
    1e-6 USDC of the index. proof_*: publish times that show the contract so (see `cxdex.order.SignedOrder`)."""

    digest: bytes
    account: bytes
    market: str
    remaining: int
    price: int
    proof_first: int
    proof_second: int


class OrderRearmed(Event, frozen=True):
    """A reorg took back the price that triggered the order: it has left the book and is PENDING again."""

    digest: bytes
    account: bytes
    market: str
    remaining: int


class OrderProven(Event, frozen=True):
    """A reorg took back the price that had triggered the closed order, and this price (see `OrderTriggered`) proves the
    fills of it that are not settled. The order stays closed, with the reason and the successor that it has."""

    digest: bytes
    account: bytes
    market: str
    remaining: int
    price: int
    proof_first: int
    proof_second: int
    reason: str | None
    replaced_by: bytes = b""


class OrderClosed(Event, frozen=True):
    """The order is done. status: FILLED, CANCELLED or EXPIRED; reason: a stable word, e.g. USER, IOC, SELF_TRADE.

    replaced_by: the order that took its place, when the reason is REPLACED.
    """

    digest: bytes
    account: bytes
    market: str
    status: str
    reason: str
    remaining: int
    replaced_by: bytes = b""


class ReduceRefused(Event, frozen=True):
    """The open order, if there is one, is as it was."""

    digest: bytes
    account: bytes
    code: str
    detail: str
    field: str | None = None
    given: str | None = None
    allowed: str | None = None


class LevelChanged(Event, frozen=True):
    """Total resting lots at a price after the command, one event per touched level; 0 removes the level."""

    market: str
    is_bid: bool
    price: int
    quantity: int


class BalanceChanged(Event, frozen=True):
    """Absolute engine view after the command. total counts matched but unsettled fills; it can be negative after
    a skipped fill whose proceeds were already spent."""

    account: bytes
    asset: int
    total: int
    reserved: int


class FillVoided(Event, frozen=True):
    """A matched fill that the chain passed over: its effect on both balances is undone."""

    match_id: int
    market: str
    sequence: int
    reason: int


class FillRestored(Event, frozen=True):
    """A reorg took back the FillVoided."""

    match_id: int
    market: str
    sequence: int


class FillCharged(Event, frozen=True):
    """The chain charged other fees than the match foresaw (a fee tier changed on the way), or a reorg took that back.
    The fees as they count now; balances are put right."""

    match_id: int
    market: str
    sequence: int
    maker_fee: int
    taker_fee: int


class WithdrawalSetAside(Event, frozen=True):
    """The amount has left the balance and may be co-signed until `deadline` (unix seconds of the chain)."""

    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int
    deadline: int


class WithdrawalRefused(Event, frozen=True):
    """Nothing changed. `code` is one of the stable codes."""

    account: bytes
    nonce: int
    code: str
    detail: str
    field: str | None = None
    given: str | None = None
    allowed: str | None = None


class WithdrawalReturned(Event, frozen=True):
    """The deadline has passed on chain without the withdrawal: the amount is back in the balance."""

    account: bytes
    nonce: int
    asset: int
    amount: int


class CountdownSet(Event, frozen=True):
    """The account's orders will be cancelled at this time (unix milliseconds) unless it renews. 0: not any more."""

    account: bytes
    until_ms: int


class ConnectionWatched(Event, frozen=True):
    """The account's orders will be cancelled when this connection of a client is lost."""

    account: bytes
    connection: bytes


class MarketChanged(Event, frozen=True):
    """A market was listed or its status changed. status: cxdex.market.MarketStatus."""

    market: str
    status: int


class GuardChanged(Event, frozen=True):
    """Market-maker protection was set, reset, taken away (window_ms 0) or has tripped. until_ms: None when it is armed,
    0 until it is reset, else unix milliseconds. notional: 1e-6 USDC."""

    account: bytes
    market: str
    window_ms: int
    lots: int | None
    notional: int | None
    cooldown_ms: int
    until_ms: int | None


AnyEvent = (
    OrderAccepted
    | OrderRejected
    | Traded
    | OrderReduced
    | ReduceRefused
    | OrderTriggered
    | OrderRearmed
    | OrderProven
    | OrderClosed
    | LevelChanged
    | BalanceChanged
    | FillVoided
    | FillRestored
    | FillCharged
    | WithdrawalSetAside
    | WithdrawalRefused
    | WithdrawalReturned
    | CountdownSet
    | ConnectionWatched
    | MarketChanged
    | GuardChanged
)
