"""Commands: everything that can ever change the engine's state, in the order the journal holds them.

A command carries its own time and its own chain position, so replaying the journal needs nothing else.
The tag carries the journal's format, so that a journal of another is refused, not misread: 1 was before session keys
and fee tiers and had other reasons for skipped fills; who knew 2 would take a conditional order for a plain one; a
settled fill of 3 named its orders by digest.
Amounts are 1e-6 USDC (assets 0 and 1) or 1e-18 synth units; quantities are lots, prices are ticks.
"""

from __future__ import annotations

import msgspec

from cxdex.facts import AnyFact
from cxdex.order import Order, Side, SignatureKind
from relayer.engine.limit_terms import LimitTable
from relayer.engine.quote_guard import GuardTerms

JOURNAL_FORMAT = 4


def _tag(name: str) -> str:
    return f"{name}.{JOURNAL_FORMAT}"


class Command(msgspec.Struct, frozen=True, tag=_tag, array_like=True):
    """Base of all commands. `time_ms`: unix milliseconds at which the service accepted it."""

    time_ms: int


class SignedCommand(Command, frozen=True):
    """A signed order whose signature the gateway has checked. signer: the session key; empty for other kinds.

    reject_after_ms: the order is refused when the command's time is later; 0: it may come at any time.
    display_quantity: lots that show in the book at once; 0: all. The owner's word to the exchange, not signed.
    """

    order: Order
    signature: bytes
    digest: bytes
    client_order_id: str | None = None
    kind: SignatureKind = SignatureKind.ACCOUNT
    signer: bytes = b""
    reject_after_ms: int = 0
    display_quantity: int = 0


class Place(SignedCommand, frozen=True):
    """A new order."""


class Replace(SignedCommand, frozen=True):
    """An order in place of an open one of the same account, market, side and nonce, which the chain counts as one."""

    replaces: bytes = b""


class CancelAndPlace(SignedCommand, frozen=True):
    """Cancels an order of the account (by id, or those open with a name) and enters another, in one step.

    place_anyway: also when there was nothing to cancel. keep_if_refused: the order stays when the new one is refused.
    """

    cancels: bytes = b""
    cancels_name: str | None = None
    place_anyway: bool = False
    keep_if_refused: bool = True


class Reduce(Command, frozen=True):
    """Lowers what the order may fill in all to `quantity` lots, those that it has filled included; it keeps its place.

    When so many are filled already the rest is cancelled. The same command again changes nothing.
    """

    account: bytes
    digest: bytes
    quantity: int


class Cancel(Command, frozen=True):
    """Cancels these open orders of the account, and those that it gave one of these names.

    An id that was never seen is remembered for a while: its order may come behind its cancel (see `cancelling`).
    """

    account: bytes
    digests: list[bytes]
    client_order_ids: list[str] = []


class CancelAll(Command, frozen=True):
    """Cancels every open order of the account: in one market or (None) in all, of one side or (None) of both."""

    account: bytes
    market: str | None = None
    side: Side | None = None


class SetCountdown(Command, frozen=True):
    """Cancels all open orders of the account `seconds` after this command, unless it comes again. 0 ends that."""

    account: bytes
    seconds: int


class WatchConnection(Command, frozen=True):
    """All open orders of the account are to be cancelled when this connection of a client is lost."""

    account: bytes
    connection: bytes


class EndWatch(Command, frozen=True):
    """lost: the connection is gone, so the account's orders go too; otherwise the client no longer wants that."""

    account: bytes
    connection: bytes
    lost: bool


class Expire(Command, frozen=True):
    """Closes every resting order that may no longer trade at `time_ms` (see `orders.matchable_until`), and those of
    every account whose countdown has ended."""


class ApplyFact(Command, frozen=True):
    """Something the chain did. `outbox_seq` is where to go on reading after a restart.

    (block, log_index, block_hash) is the place of the fact, which no other fact of any chain shares (`cxdex.outbox`).
    """

    block: int
    log_index: int
    outbox_seq: int
    reverted: bool
    fact: AnyFact
    block_hash: bytes = b""


class OutboxRead(Command, frozen=True):
    """Where to go on reading a table that was made anew: behind this row. Everything before it has been compared."""

    block: int
    log_index: int
    outbox_seq: int
    reverted: bool
    block_hash: bytes


class SetAsideWithdrawal(Command, frozen=True):
    """Takes the amount out of the account's balance for a withdrawal that the exchange will co-sign.

    The nonce names the withdrawal: the same command again changes nothing and keeps the first deadline (unix seconds).
    """

    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int
    deadline: int


class SeeBlock(Command, frozen=True):
    """Every fact of blocks up to this one has been applied. timestamp: the block's, unix seconds."""

    block: int
    timestamp: int


class SetLimits(Command, frozen=True):
    """From now on these limits bind new orders, in place of all that were set before."""

    table: LimitTable


class SetGuard(Command, frozen=True):
    """Market-maker protection of the account in the market, in place of the one before; None takes it away."""

    account: bytes
    market: str
    terms: GuardTerms | None


class ResetGuard(Command, frozen=True):
    """Arms a protection that has tripped, and counts from zero."""

    account: bytes
    market: str


AnyCommand = (
    Place
    | Replace
    | CancelAndPlace
    | Reduce
    | Cancel
    | CancelAll
    | SetCountdown
    | WatchConnection
    | EndWatch
    | Expire
    | ApplyFact
    | OutboxRead
    | SetAsideWithdrawal
    | SeeBlock
    | SetLimits
    | SetGuard
    | ResetGuard
)
