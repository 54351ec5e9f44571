"""Balances, orders, fills, withdrawals and nonces of one account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Address, AsOf, Decimal, Hash, IndexedPage, Integer, Millis, Page, Shape
from api.schemas.market import TradeShape


class AccountShape(Shape):
    """feeTier 0 to 4; each takes 10 % off the market's fees. cxptToNextTier: null at the highest."""

    account: Address
    epoch: Annotated[int, Field(description="orders of another epoch are cancelled; Settlement.cancelAll raises it")]
    fee_tier: int
    fee_discount_percent: int
    cxpt_to_next_tier: Decimal | None


class SessionShape(Shape):
    """notionalLeft: the chain's figure, in USDC. notionalAvailable: less what its orders hold and have matched."""

    key: Address
    market: Annotated[str | None, Field(description="null: every market")]
    notional_left: Decimal
    notional_available: Decimal
    expiry: Annotated[str, Field(description="unix seconds")]


class SessionList(Shape):
    data: list[SessionShape]


class LimitsShape(Shape):
    """What the account may trade; null: no limit. USDC. An order beyond one is refused and changes nothing."""

    max_order_notional: Annotated[Decimal | None, Field(description="of one order: ORDER_TOO_LARGE")]
    max_open_orders: Annotated[int | None, Field(description="resting in one market: ORDER_TOO_MANY_OPEN")]
    max_daily_volume: Annotated[Decimal | None, Field(description="matched in a UTC day: ORDER_DAILY_VOLUME")]
    price_band_bps: Annotated[int | None, Field(description="around the index price: ORDER_PRICE_OUT_OF_BAND")]
    max_orders_per_second: Annotated[int | None, Field(description="accepted orders: RATE_LIMITED")]
    order_burst: Annotated[int, Field(description="how many of them may come at once")]
    volume_today: Annotated[Decimal, Field(description="matched since 00:00 UTC, as maker and as taker")]


class BalanceShape(Shape):
    """total counts matched but unsettled fills; available = total - reserved; settled is the contract's figure.

    leaving: co-signed for withdrawal and not paid yet; it is not in total any more.
    """

    asset: int
    symbol: str
    total: Decimal
    reserved: Decimal
    available: Decimal
    settled: Decimal
    leaving: Decimal


class BalanceList(Shape):
    data: list[BalanceShape]
    as_of: AsOf | None


class ConditionShape(Shape):
    """What must have happened to a price before the order trades; signed with it.

    INDEX is the oracle's price, which the chain checks; LAST is this market's last price, which it cannot. AT_OR_ABOVE
    and AT_OR_BELOW: it reached `triggerPrice`. FALLS_BY and RISES_BY (trailing): it moved so far from its highest
    (lowest) since `activeFrom`. Only prices published (INDEX) or traded (LAST) at `activeFrom` or later count.
    """

    trigger: Literal[
        "INDEX_AT_OR_ABOVE",
        "INDEX_AT_OR_BELOW",
        "LAST_AT_OR_ABOVE",
        "LAST_AT_OR_BELOW",
        "INDEX_FALLS_BY",
        "INDEX_RISES_BY",
        "LAST_FALLS_BY",
        "LAST_RISES_BY",
    ]
    trigger_price: Decimal
    active_from: Annotated[str, Field(description="unix seconds")]


ENDED_BY = {
    "FILLED": "all of it",
    "USER": "cancelled by its owner, or by a key of theirs",
    "REDUCED": "lowered by its owner to what it had filled",
    "REPLACED": "another order took its place: replacedBy",
    "OCO": "the other leg of the pair was filled, set off or cancelled",
    "IOC": "what could not be filled at once; a market order's, too",
    "SELF_TRADE": "it met an order of the same account, and one of the two says so",
    "EXPIRED": "its time is over",
    "DEADMAN": "the countdown of POST /v1/deadman ran out",
    "DISCONNECTED": "the connection was lost that was to cancel it",
    "PROTECTION": "market-maker protection",
    "CHAIN_CANCEL": "cancelled on chain, or its nonce was used there",
    "SESSION_REVOKED": "the session key that signed it was revoked",
    "SESSION_CHANGED": "the session key that signed it has other terms now",
    "SESSION_LIMIT": "the session key that signed it has used up its notional",
    "SIGNATURE_REFUSED": "the wallet refuses its signature now",
    "BALANCE_WITHDRAWN": "money that it needed has left, or is announced to leave",
    "FILL_VOIDED": "money that it needed came from a fill that the chain passed over",
    "FEE_CHANGED": "a fill cost more than foreseen, and money that it needed was taken for that",
    "MARKET_DELISTED": "the market is closed for ever",
    "QUARANTINED": "the contract refuses one of its fills for ever",
}
"""Why an order is over. An order that was set off and then refused has the problem's code instead."""


class OrderShape(Shape):
    """The signed fields, and what has become of the order. `id` is its EIP-712 digest.

    status PENDING: it waits for its `condition`, hidden, with nothing reserved; then it is OPEN like any other.
    """

    id: Hash
    account: Address
    market: str
    side: Literal["BUY", "SELL"]
    order_type: Literal["LIMIT", "MARKET"]
    time_in_force: Literal["GTC", "IOC", "FOK", "POST_ONLY", "GTD"]
    quantity: Decimal
    limit_price: Decimal
    max_fee_bps: str
    max_collateral: Decimal
    self_trade: Literal["CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT"]
    reduce_only: bool
    expiry: Annotated[str, Field(description="unix seconds")]
    nonce: str
    condition: ConditionShape | None
    client_order_id: str | None
    status: Literal["PENDING", "OPEN", "FILLED", "CANCELLED", "EXPIRED"]
    reason: Annotated[
        str | None,
        Field(
            description="why it is over; null while it is PENDING or OPEN. "
            + "; ".join(f"{word}: {meaning}" for word, meaning in ENDED_BY.items())
            + ". When its price came and it was refused: the code of the problem"
        ),
    ]
    filled: Decimal
    remaining: Decimal
    display_quantity: Annotated[
        Decimal | None, Field(description="how much of it the book shows at once; null: all. A wish, it is not signed")
    ]
    filled_before: Annotated[
        Decimal, Field(description="filled by the orders that it replaced; counts against its quantity, as on chain")
    ]
    replaces: Annotated[Hash | None, Field(description="the order of the same nonce whose place it took")]
    replaced_by: Hash | None
    proof: Annotated[
        list[int] | None,
        Field(description="once the index triggered it: unix seconds at which the prices that show it were published"),
    ]
    version: int
    created_at: Millis
    updated_at: Millis


class OrderPage(Page[OrderShape]):
    pass


class FillShape(TradeShape):
    """The account's side of a match."""

    order_id: Hash
    side: Literal["BUY", "SELL"]
    role: Literal["MAKER", "TAKER"]
    fee: Decimal


class SettledFillShape(Shape):
    """The account's side of a fill, as the chain has it. The chain names an order by account, nonce and the last four
    bytes of its id (`digestTail`). Null: the exchange never saw the order (`orderId`), or did not match it (`matchId`).
    """

    match_id: Integer | None
    trade_id: Hash
    market: str
    sequence: Integer
    price: Decimal
    quantity: Decimal
    notional: Decimal
    side: Literal["BUY", "SELL"]
    role: Literal["MAKER", "TAKER"]
    fee: Decimal
    order_id: Hash | None
    nonce: str
    digest_tail: Annotated[str, Field(description="0x and 8 hex digits")]
    transaction: Hash
    block: int
    time: Annotated[Millis, Field(description="of the block")]


class SettledFillPage(IndexedPage[SettledFillShape]):
    pass


class FillPage(IndexedPage[FillShape]):
    pass


class WithdrawalShape(Shape):
    """REQUESTED until `claimableAt` and a claim; then CLAIMED, or CANCELLED.

    `paid` is less than `amount` when fills had used the balance by the claim. Naming another recipient begins the delay
    anew: `requestedAt` is when it began last.
    """

    id: str
    asset: int
    symbol: str
    amount: Decimal
    as_cxpt: bool
    recipient: Address
    status: Literal["REQUESTED", "CANCELLED", "CLAIMED"]
    paid: Decimal | None
    requested_at: Millis
    claimable_at: Millis
    requested_block: int
    requested_transaction: Hash
    closed_block: int | None
    closed_transaction: Hash | None


class WithdrawalPage(IndexedPage[WithdrawalShape]):
    pass


class NonceList(Shape):
    """Each on its own lane; not offered to anybody else for ten seconds."""

    nonces: Annotated[list[str], Field(examples=[["1", "16777217"]])]


class CancelOutcome(Shape):
    """Exactly one of the two."""

    order: OrderShape | None = None
    problem: dict[str, object] | None = None


class CancelOutcomes(Shape):
    results: list[CancelOutcome]


class LoginRequest(Shape):
    """The wallet signs Login(account, statement, expiresAt) under the domain of /v1/status."""

    account: Address
    expires_at: Annotated[str | int, Field(examples=["1790000000"], description="unix seconds, at most 24 h ahead")]
    signature: Annotated[str, Field(examples=["0x" + "11" * 64 + "1b"])]


class LoginReply(Shape):
    token: str
    account: Address
    expires_at: str


class OrderStateWithFills(OrderShape):
    """What placing answers: the order and the fills of this placement."""

    fills: list[PlacementFill]


class PlacementFill(Shape):
    match_id: Integer
    sequence: Integer
    price: Decimal
    quantity: Decimal
    role: Literal["MAKER", "TAKER"]
    fee: Decimal
    time: Millis


OrderStateWithFills.model_rebuild()
