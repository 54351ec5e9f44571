"""Answers of the API as typed values. Amounts are decimal strings, as the exchange sent them; times unix milliseconds.

Unknown members are ignored, so that an older client works with a newer exchange.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cxdex.deployment import Deployment
from cxdex.eip712 import DOMAIN_NAME, DOMAIN_VERSION, to_checksum
from cxdex.market import MarketKind, MarketTerms

SETTLED = ("mined", "final")


class Reply(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all answers."""


class DomainInfo(Reply, frozen=True):
    name: str
    version: str
    chain_id: int
    verifying_contract: str


class Status(Reply, frozen=True):
    """Which chain and contracts this exchange settles on. `contracts`: name to address; mode: normal or halted."""

    chain_id: int
    contracts: dict[str, str]
    domain: DomainInfo
    mode: str = "normal"

    @classmethod
    def of_deployment(cls, deployment: Deployment) -> Status:
        contracts = {name: to_checksum(address) for name, address in deployment.contracts.items()}
        domain = DomainInfo(DOMAIN_NAME, DOMAIN_VERSION, deployment.chain_id, contracts["Settlement"])
        return cls(deployment.chain_id, contracts, domain)


class Market(Reply, frozen=True):
    """A listing: its terms never change, its status can. lot_size in the base asset, tick_size in USDC."""

    symbol: str
    index: int
    kind: str
    status: str
    base_asset: int
    base_symbol: str
    lot_size: str
    tick_size: str
    min_quantity: str
    lot_exponent: int
    quote_per_lot_tick: str
    min_lots: str
    maker_fee_bps: int
    taker_fee_bps: int
    next_sequence: str = "0"
    settled_sequence: str = "0"

    @property
    def terms(self) -> MarketTerms:
        return MarketTerms(
            symbol=self.symbol,
            index=self.index,
            kind=MarketKind[self.kind],
            base_asset=self.base_asset,
            base_symbol=self.base_symbol,
            lot_exponent=self.lot_exponent,
            quote_per_lot_tick=int(self.quote_per_lot_tick),
            min_lots=int(self.min_lots),
            maker_fee_bps=self.maker_fee_bps,
            taker_fee_bps=self.taker_fee_bps,
        )


class Book(Reply, frozen=True):
    """Levels as (price, quantity), best first, as of `seq` of the feed's `epoch`."""

    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    epoch: str = ""
    seq: int = 0


class Settlement(Reply, frozen=True):
    """How far a fill is: matched, submitted, mined, final; skipped, which undoes it; or
    reverted, until it is in a later transaction."""

    status: str
    transaction: str | None = None
    block: int | None = None
    batch: int | None = None
    reason: str | None = None


class PlacedFill(Reply, frozen=True):
    """A fill that an order met when it was placed."""

    match_id: str
    sequence: str
    price: str
    quantity: str
    role: str
    fee: str
    time: int


class Condition(Reply, frozen=True):
    """What a PENDING order waits for; see `cxdex.condition`."""

    trigger: str
    trigger_price: str
    active_from: str


class Order(Reply, frozen=True):
    """An order as the exchange has it. `version` rises with every change: the higher copy is the newer one.

    replaces, replaced_by: ids of orders with the same nonce. filled_before: what the orders that it replaced had
    filled; it counts against the quantity, here as on chain. condition: what a PENDING order waits for. proof: once the
    index triggered it, the unix seconds at which the prices that show it to the chain were published.
    """

    id: str
    account: str
    market: str
    side: str
    order_type: str
    time_in_force: str
    quantity: str
    limit_price: str
    max_fee_bps: str
    expiry: str
    nonce: str
    status: str
    filled: str
    remaining: str
    version: int
    reason: str | None = None
    client_order_id: str | None = None
    created_at: int = 0
    updated_at: int = 0
    max_collateral: str = "0"
    self_trade: str = "CANCEL_TAKER"
    reduce_only: bool = False
    filled_before: str = "0"
    replaces: str | None = None
    replaced_by: str | None = None
    condition: Condition | None = None
    proof: list[int] | None = None
    display_quantity: str | None = None
    fills: list[PlacedFill] = []

    @property
    def is_open(self) -> bool:
        return self.status == "OPEN"

    @property
    def is_live(self) -> bool:
        """It may still trade: it is open, or waits for a price."""
        return self.status in ("OPEN", "PENDING")


class Fill(Reply, frozen=True):
    """One account's side of a match. `fee` in USDC."""

    match_id: str
    market: str
    sequence: str
    order_id: str
    side: str
    role: str
    price: str
    quantity: str
    notional: str
    fee: str
    time: int
    settlement: Settlement

    @property
    def is_settled(self) -> bool:
        return self.settlement.status in SETTLED


class SettledFill(Reply, frozen=True):
    """One account's side of a fill, as the chain has it.

    order_id: None for an order that the exchange never saw; nonce and digest_tail (the last four bytes of the id) name
    it. match_id: None for a fill that the exchange did not make. time: of the block.
    """

    trade_id: str
    market: str
    sequence: str
    side: str
    role: str
    price: str
    quantity: str
    notional: str
    fee: str
    nonce: str
    digest_tail: str
    transaction: str
    block: int
    time: int
    match_id: str | None = None
    order_id: str | None = None


class Ticker(Reply, frozen=True):
    """A market at a glance. None: no match (in the last 24 hours), no order on that side, no index price."""

    market: str
    volume24h: str
    notional24h: str
    trades24h: int
    last: str | None = None
    last_time: int | None = None
    open24h: str | None = None
    high24h: str | None = None
    low24h: str | None = None
    change24h: str | None = None
    bid: tuple[str, str] | None = None
    ask: tuple[str, str] | None = None
    index: str | None = None
    index_time: int | None = None


class Trade(Reply, frozen=True):
    """A match on the public tape."""

    match_id: str
    market: str
    price: str
    quantity: str
    taker_side: str
    time: int
    settlement: Settlement | None = None


class Balance(Reply, frozen=True):
    """total counts matched but unsettled fills; available = total - reserved; settled is what the contract holds.

    leaving: co-signed for withdrawal and not paid yet; it is not in total any more.
    """

    asset: int
    symbol: str
    total: str
    reserved: str
    available: str
    settled: str | None = None
    leaving: str = "0"


class AccountInfo(Reply, frozen=True):
    """fee_tier 0 to 4 follows from the CXPT inside the exchange; each takes 10 % off the fees."""

    account: str
    epoch: int
    fee_tier: int
    fee_discount_percent: int
    cxpt_to_next_tier: str | None = None


class SessionKey(Reply, frozen=True):
    """A key that may sign orders for the account. market: None is every market. expiry: unix seconds."""

    key: str
    market: str | None
    notional_left: str
    notional_available: str
    expiry: str


class Cosigned(Reply, frozen=True):
    """A withdrawal that the exchange has co-signed. deadline: unix seconds."""

    nonce: str
    deadline: str
    recipient: str
    signature: str


class Withdrawal(Reply, frozen=True):
    """A withdrawal as the chain has it. claimable_at: unix milliseconds.

    paid: less than the amount when fills that were matched before had used the balance.
    """

    id: str
    symbol: str
    amount: str
    as_cxpt: bool
    status: str
    claimable_at: int
    recipient: str | None = None
    paid: str | None = None


class Page(Reply, frozen=True):
    """A page of anything; `next` is the cursor of the page after, None at the end."""

    data: msgspec.Raw
    next: str | None = None


class NonceList(Reply, frozen=True):
    nonces: list[str]


class Login(Reply, frozen=True):
    token: str


class BatchEntry(Reply, frozen=True):
    """Exactly one of `order` and `problem` is set, but for a cancel. cancelled: what the step has ended."""

    order: Order | None = None
    problem: dict[str, Any] | None = None
    cancelled: list[Order] | None = None


class BatchReply(Reply, frozen=True):
    results: list[BatchEntry]


class Cancelled(Reply, frozen=True):
    """One entry of a batch of cancels, named by what was asked: the `order` as it is now, or the `problem`."""

    id: str | None = None
    client_order_id: str | None = None
    order: Order | None = None
    problem: dict[str, Any] | None = None


class CancelBatchReply(Reply, frozen=True):
    results: list[Cancelled]


class Countdown(Reply, frozen=True):
    """fires_at: when the open orders are cancelled; None: no countdown runs."""

    fires_at: int | None


class CancelledAndPlaced(Reply, frozen=True):
    """The new order, and as they ended, those that were cancelled."""

    order: Order
    cancelled: list[Order] = []


class Outcome(msgspec.Struct, frozen=True):
    """What became of one order or step of a batch. `outcome`: accepted, rejected or unknown.

    `id` is set in every case but for a cancel by name. cancelled: the orders that a step has ended.
    """

    outcome: str
    id: str
    order: Order | None = None
    problem: dict[str, Any] | None = None
    cancelled: list[Order] = []


class Protection(Reply, frozen=True):
    """Market-maker protection in one market. status: OFF, ARMED or TRIPPED; until: when it arms itself again."""

    market: str
    status: str
    window_ms: int
    cooldown_ms: int
    max_quantity: str | None = None
    max_notional: str | None = None
    until: int | None = None


class Limits(Reply, frozen=True):
    """What the account may trade; None: no limit. USDC."""

    order_burst: int
    volume_today: str
    max_order_notional: str | None = None
    max_open_orders: int | None = None
    max_daily_volume: str | None = None
    price_band_bps: int | None = None
    max_orders_per_second: int | None = None
