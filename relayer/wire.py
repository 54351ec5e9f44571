"""The messages between the engine process and the gateways, over a Unix socket.

Framing: 4-byte big-endian length, then msgspec JSON. A request has an `id`; its reply repeats it. After
`Subscribe`, feed messages arrive on the same connection with no id. Bytes travel as base64 (msgspec's form).

Promises: a reply to `PlaceOrders` is sent only after the journal has synced the command to disk.
Never:    a gateway can make the engine trust it beyond what it says: the chain checks every signature again.
"""

from __future__ import annotations

import msgspec

from cxdex.order import Order, Side, SignatureKind

SOCKET_NAME = "engine.sock"
MAX_FRAME_BYTES = 8 * 1024 * 1024


class WireOrder(msgspec.Struct, frozen=True):
    order: Order
    signature: bytes
    digest: bytes
    client_order_id: str | None = None
    kind: SignatureKind = SignatureKind.ACCOUNT
    signer: bytes = b""  # the session key; empty for other kinds
    reject_after_ms: int = 0  # refused when the engine would accept it later; 0: never too late
    display_quantity: int = 0  # lots that show in the book at once; 0: all


class WireProblem(msgspec.Struct, frozen=True):
    code: str
    detail: str
    field: str | None = None
    given: str | None = None
    allowed: str | None = None


class OrderState(msgspec.Struct, frozen=True):
    """status: PENDING, OPEN, FILLED, CANCELLED, EXPIRED. version rises with every change. Times in unix milliseconds.

    signer: the session key that signed, while the engine remembers the order; empty when the account did.
    replaces, replaced_by: ids of orders of the same nonce, empty for most. filled_before: lots that the orders it
    replaced had filled; they count against its quantity. proof: publish times of the index prices that triggered it
    (see `cxdex.order.SignedOrder`), unix seconds.
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
    proof: tuple[int, int] = (0, 0)


class WireFill(msgspec.Struct, frozen=True):
    match_id: int
    market: str
    sequence: int
    price: int
    quantity: int
    is_maker: bool
    fee: int
    time_ms: int


class Request(msgspec.Struct, frozen=True, tag=True, tag_field="msg"):
    id: int


class GuardState(msgspec.Struct, frozen=True):
    """Market-maker protection in a market; window_ms 0: none. notional: 1e-6 USDC; None: not watched.

    until_ms: None when it is armed, 0 until it is reset, else unix milliseconds.
    """

    market: str
    window_ms: int
    lots: int | None = None
    notional: int | None = None
    cooldown_ms: int = 0
    until_ms: int | None = None


class PlaceOrders(Request, frozen=True):
    """Each order is answered on its own, in order. A digest that is already known returns its state, unchanged."""

    orders: list[WireOrder]


class PlaceStep(msgspec.Struct, frozen=True, tag=True):
    order: WireOrder


class ReplaceStep(msgspec.Struct, frozen=True, tag=True):
    """See `relayer.engine.commands.Replace`."""

    order: WireOrder
    replaces: bytes


class CancelAndPlaceStep(msgspec.Struct, frozen=True, tag=True):
    """See `relayer.engine.commands.CancelAndPlace`. The gateway has seen that the order's account wants the cancel."""

    order: WireOrder
    cancels: bytes = b""
    cancels_name: str | None = None
    place_anyway: bool = False
    keep_if_refused: bool = True


class CancelStep(msgspec.Struct, frozen=True, tag=True):
    """By id or by name."""

    account: bytes
    digest: bytes = b""
    client_order_id: str | None = None


class ReduceStep(msgspec.Struct, frozen=True, tag=True):
    """quantity: lots that the order may fill in all."""

    account: bytes
    digest: bytes
    quantity: int


AnyStep = PlaceStep | ReplaceStep | CancelAndPlaceStep | CancelStep | ReduceStep


class TakeSteps(Request, frozen=True):
    """One after the other, with nobody's commands in between; each is answered on its own, in order.

    An order that is known is answered with its state, and its step does nothing.
    """

    steps: list[AnyStep]


class CancelOrders(Request, frozen=True):
    """Each is answered on its own, in order, ids first. A name may stand for several orders: an answer for each."""

    account: bytes
    digests: list[bytes]
    client_order_ids: list[str] = []


class CancelAllOrders(Request, frozen=True):
    account: bytes
    market: str | None
    side: Side | None = None


class SetCountdown(Request, frozen=True):
    """Cancels all open orders of the account in so many seconds, unless it is set again. 0 ends that."""

    account: bytes
    seconds: int


class WatchConnection(Request, frozen=True):
    """Cancels all open orders of the account when `EndWatch` says that the client's connection (16 bytes of the
    gateway's choice) is lost, or when the gateway itself is."""

    account: bytes
    connection: bytes


class EndWatch(Request, frozen=True):
    account: bytes
    connection: bytes
    lost: bool


class NextNonces(Request, frozen=True):
    """`count` nonces that no one else has been given lately; each on its own lane."""

    account: bytes
    count: int


class GetOrder(Request, frozen=True):
    digest: bytes


class OpenOrders(Request, frozen=True):
    account: bytes
    market: str | None = None


class GetAccount(Request, frozen=True):
    account: bytes


class WithdrawInstantly(Request, frozen=True):
    """Sets the amount aside and co-signs it. The nonce names the withdrawal: asking again gives the same answer."""

    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int


class GetGuards(Request, frozen=True):
    account: bytes


class SetGuard(Request, frozen=True):
    """`until_ms` is not read. window_ms 0 takes the protection away."""

    account: bytes
    guard: GuardState


class ResetGuard(Request, frozen=True):
    account: bytes
    market: str


class GetStatus(Request, frozen=True):
    pass


class Subscribe(Request, frozen=True):
    """All public and private feed messages from now on, after one book snapshot per market."""


AnyRequest = (
    PlaceOrders
    | TakeSteps
    | CancelOrders
    | CancelAllOrders
    | SetCountdown
    | WatchConnection
    | EndWatch
    | NextNonces
    | GetOrder
    | OpenOrders
    | GetAccount
    | WithdrawInstantly
    | GetGuards
    | SetGuard
    | ResetGuard
    | GetStatus
    | Subscribe
)


class PlaceResult(msgspec.Struct, frozen=True):
    """Exactly one of `state` and `problem` is set. `fills` are those of this placement."""

    digest: bytes
    state: OrderState | None
    problem: WireProblem | None
    fills: list[WireFill] = []


class CancelResult(msgspec.Struct, frozen=True):
    """client_order_id: the name that was asked for. A name without an open order has no digest."""

    digest: bytes
    state: OrderState | None
    problem: WireProblem | None
    client_order_id: str | None = None


class StepResult(msgspec.Struct, frozen=True):
    """state: the order that the step was about; a cancel has none. cancelled: the orders that it ended."""

    digest: bytes = b""
    state: OrderState | None = None
    problem: WireProblem | None = None
    fills: list[WireFill] = []
    cancelled: list[OrderState] = []


class Balance(msgspec.Struct, frozen=True):
    asset: int
    total: int
    reserved: int


class Reply(msgspec.Struct, frozen=True, tag=True, tag_field="msg"):
    id: int


class PlaceReply(Reply, frozen=True):
    results: list[PlaceResult]


class StepsReply(Reply, frozen=True):
    results: list[StepResult]


class CancelReply(Reply, frozen=True):
    results: list[CancelResult]


class NoncesReply(Reply, frozen=True):
    nonces: list[int]


class OrderReply(Reply, frozen=True):
    state: OrderState | None


class OrdersReply(Reply, frozen=True):
    states: list[OrderState]


class SessionState(msgspec.Struct, frozen=True):
    """A session key. market: None is every market. left: the chain's count; available: after what is open and matched.
    1e-6 USDC. expiry: unix seconds."""

    key: bytes
    market: str | None
    left: int
    available: int
    expiry: int


class SetAsideState(msgspec.Struct, frozen=True):
    """A co-signed withdrawal that the chain has not paid yet; it is not in the balances. deadline: unix seconds."""

    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    nonce: int
    deadline: int


class LimitsState(msgspec.Struct, frozen=True):
    """None: no limit. Notional in 1e-6 USDC; traded_today: matched since 00:00 UTC. open_orders: in each market."""

    order_notional: int | None = None
    open_orders: int | None = None
    daily_volume: int | None = None
    band_bps: int | None = None
    traded_today: int = 0
    orders_per_second: int | None = None
    order_burst: int = 1


class AccountReply(Reply, frozen=True):
    """tier: of the fees of its fills, 0 to 4."""

    epoch: int
    balances: list[Balance]
    tier: int = 0
    sessions: list[SessionState] = []
    set_asides: list[SetAsideState] = []
    limits: LimitsState = LimitsState()
    countdown_ms: int = 0  # unix milliseconds at which its orders are cancelled unless it renews; 0: never


class CountdownReply(Reply, frozen=True):
    """until_ms: unix milliseconds; 0: no countdown runs."""

    until_ms: int


class WatchReply(Reply, frozen=True):
    pass


class GuardsReply(Reply, frozen=True):
    """All of the account's, after what was asked for."""

    guards: list[GuardState]


class WithdrawalReply(Reply, frozen=True):
    """`Vault.withdraw` takes these and what was asked for. deadline: unix seconds. signature: 65 bytes of COSIGNER."""

    deadline: int
    signature: bytes


class MarketState(msgspec.Struct, frozen=True):
    symbol: str
    index: int
    kind: int
    base_asset: int
    base_symbol: str
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int
    maker_fee_bps: int
    taker_fee_bps: int
    status: int
    next_sequence: int
    settled_sequence: int


class StatusReply(Reply, frozen=True):
    """epoch: name of this run of the feeds. journal_sequence: commands accepted so far. build: see `relayer.build`."""

    epoch: str
    journal_sequence: int
    chain_block: int
    markets: list[MarketState]
    build: str = ""


class SubscribedReply(Reply, frozen=True):
    epoch: str


class ErrorReply(Reply, frozen=True):
    """The request itself could not be served (malformed, engine stopping)."""

    problem: WireProblem


class Feed(msgspec.Struct, frozen=True, tag=True, tag_field="msg", gc=False):
    """One feed message, ready for a WebSocket envelope.

    channel: book, trades, markets, or (private) orders, balances; key: market symbol, or the account as 0x hex.
    type: snapshot, delta or event. seq counts per (channel, key); prev is the seq before, and on a snapshot the
    seq itself. data: JSON of the public shape (decimal strings; see `relayer.feeds`). crc: CRC32 of the book
    after this message, on book messages every 100 seq and on snapshots.
    """

    channel: str
    key: str
    epoch: str
    seq: int
    prev: int
    ts: int
    type: str
    data: msgspec.Raw
    crc: int | None = None


AnyReply = (
    PlaceReply
    | StepsReply
    | CancelReply
    | NoncesReply
    | OrderReply
    | OrdersReply
    | AccountReply
    | WithdrawalReply
    | GuardsReply
    | CountdownReply
    | WatchReply
    | StatusReply
    | SubscribedReply
    | ErrorReply
    | Feed
)
