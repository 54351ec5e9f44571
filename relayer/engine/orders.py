"""What the engine remembers of an order, from acceptance until it is dropped from memory.

Owns:     `OrderRecord` (mutable, the engine's) and `OrderView` (a copy for the outside).
Promises: a record's version rises by one with every event that names its order, starting at 1 for OrderAccepted.
Never:    changes balances or books; `turn` does.
"""

from __future__ import annotations

from typing import NamedTuple

from cxdex.fees import fee_cap
from cxdex.market import USDC_ASSET, MarketTerms
from cxdex.nonce import unpack_nonce
from cxdex.order import Order, Side, SignatureKind
from relayer.engine.book import BookOrder

SETTLEMENT_SECONDS = 60  # a match must reach the chain before the order it fills expires there

PENDING = "PENDING"  # waits for a price, in no book
OPEN = "OPEN"
FILLED = "FILLED"
CANCELLED = "CANCELLED"
EXPIRED = "EXPIRED"
LIVE = (OPEN, PENDING)
NO_PROOF = (0, 0)


class OrderView(NamedTuple):
    """An order at one moment. Quantities in lots, times in unix milliseconds.

    status  PENDING, OPEN, FILLED, CANCELLED or EXPIRED; reason is None while PENDING or OPEN
    filled  lots matched, whether or not the chain has settled them (a voided fill stays counted)
    version 1 at acceptance, plus 1 for every later event that names the order
    signer  the session key that signed; empty when the account did
    replaces, replaced_by   see `events`; empty for most
    filled_before           lots that other orders of its nonce filled (those that it replaced, the other leg of its
                            pair): they count against its quantity
    display_quantity        lots that show in the book at once; 0: all
    proof                   publish times of the prices that triggered it; zeros before, and for LAST
    """

    order: Order
    digest: bytes
    client_order_id: str | None
    status: str
    reason: str | None
    filled: int
    remaining: int
    version: int
    created_ms: int
    updated_ms: int
    signer: bytes = b""
    replaces: bytes = b""
    replaced_by: bytes = b""
    filled_before: int = 0
    display_quantity: int = 0
    proof: tuple[int, int] = NO_PROOF


class OrderRecord:
    """number: place in the order of acceptance; an order that keeps another's place in the book keeps its number.

    reserved: of `asset`. unsettled: fills on their way to the chain.
    signer: the session key that signed, empty when the account did. session_reserved: notional held of its limit.
    ancestors: of an open order, all that it has replaced, and those before them.
    since: of one that trails, the number of the first price that counts for it (see `trailing`); 0: none has come.
    twin: the other open leg of a pair (see `pairing`). display: lots that an iceberg shows at once; 0: all.
    proof: publish times of the prices that triggered it last (see `cxdex.order.SignedOrder`).
    seeks_proof: it is closed, a reorg has taken its proof away, and fills of it wait for another one.
    settled_block: the last one in which the chain decided a fill that needed the proof; 0: none.
    """

    __slots__ = (
        "ancestors",
        "asset",
        "client_order_id",
        "created_ms",
        "digest",
        "display",
        "entry",
        "filled",
        "filled_before",
        "kind",
        "lane",
        "number",
        "order",
        "proof",
        "reason",
        "replaced_by",
        "replaces",
        "reserved",
        "seeks_proof",
        "session_reserved",
        "settled_block",
        "signer",
        "since",
        "status",
        "twin",
        "unsettled",
        "updated_ms",
        "version",
    )

    def __init__(
        self,
        number: int,
        order: Order,
        digest: bytes,
        client_order_id: str | None,
        terms: MarketTerms,
        time_ms: int,
        kind: SignatureKind = SignatureKind.ACCOUNT,
        signer: bytes = b"",
        replaces: bytes = b"",
        filled_before: int = 0,
        ancestors: tuple[bytes, ...] = (),
    ) -> None:
        self.number = number
        self.order = order
        self.digest = digest
        self.client_order_id = client_order_id
        self.entry: BookOrder[bytes] = BookOrder(
            digest, order.account, order.side is Side.BUY, order.limit_price, order.quantity - filled_before
        )
        self.lane = unpack_nonce(order.nonce).lane
        self.asset = reserved_asset(terms, order)
        self.kind = kind
        self.signer = signer
        self.reserved = 0
        self.session_reserved = 0
        self.status = OPEN if order.condition is None else PENDING
        self.since = 0
        self.proof = NO_PROOF
        self.seeks_proof = False
        self.settled_block = 0
        self.twin: OrderRecord | None = None
        self.display = 0
        self.reason: str | None = None
        self.filled = 0
        self.filled_before = filled_before
        self.replaces = replaces
        self.ancestors = ancestors
        self.replaced_by = b""
        self.unsettled = 0
        self.version = 1
        self.created_ms = self.updated_ms = time_ms

    @property
    def nonce_filled(self) -> int:
        """Lots that all orders of its nonce have filled: what the chain counts, once it has settled them."""
        return self.filled_before + self.filled

    @property
    def awaits_price(self) -> bool:
        return self.status == PENDING or self.seeks_proof

    def view(self) -> OrderView:
        return OrderView(
            self.order,
            self.digest,
            self.client_order_id,
            self.status,
            self.reason,
            self.filled,
            self.entry.total,
            self.version,
            self.created_ms,
            self.updated_ms,
            self.signer,
            self.replaces,
            self.replaced_by,
            self.filled_before,
            self.display,
            self.proof,
        )


def matchable_until(order: Order) -> int:
    """Unix second from which the order no longer trades here: a fill after it could come too late for the chain."""
    return order.expiry - SETTLEMENT_SECONDS


def reserved_asset(terms: MarketTerms, order: Order) -> int:
    """Buyers hold back USDC, sellers the base asset."""
    return USDC_ASSET if order.side is Side.BUY else terms.base_asset


def reservation(terms: MarketTerms, order: Order, remaining: int) -> int:
    """What `remaining` lots of the order can cost at most, in its reserved asset's units."""
    if order.side is Side.BUY:
        notional = terms.notional(remaining, order.limit_price)
        return notional + fee_cap(notional, order.max_fee_bps)
    return remaining * terms.lot_size
