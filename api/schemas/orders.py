"""Order entry as OpenAPI shows it. The routes read these bodies by hand (see `api.order_entry`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.account import ConditionShape, OrderShape, OrderStateWithFills
from api.schemas.base import Address, Decimal, Hash, Shape

Signature = Annotated[
    str,
    Field(
        description="65 bytes r, s, v by the account or a session key of it: 0x and 130 hexadecimal digits; a contract "
        "wallet's (ERC-1271) up to 1024 bytes",
        pattern="^0x([0-9a-fA-F]{2}){1,1024}$",
    ),
]
ChainId = Annotated[int | str, Field(examples=[31337])]


class OrderFields(Shape):
    """The signed fields. `quantity` and `limitPrice` are signed as whole lots and ticks; an order with a `condition` is
    signed as ConditionalOrder, with its three fields behind the thirteen."""

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
    reduce_only: Annotated[bool, Field(description="on a SELL: only what the account has; refused on a BUY")]
    expiry: str
    nonce: str
    condition: ConditionShape | None = None


class DraftCondition(ConditionShape):
    """`activeFrom`: now, unless it says otherwise."""

    active_from: str | None = None  # type: ignore[assignment]


class DraftFields(Shape):
    """An order of which a part may be left out: nonce, expiry (28 days), maxFeeBps (50), and the rest of the words."""

    account: Address
    market: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    limit_price: Decimal
    order_type: Literal["LIMIT", "MARKET"] = "LIMIT"
    time_in_force: Literal["GTC", "IOC", "FOK", "POST_ONLY", "GTD"] = "GTC"
    max_fee_bps: str = "50"
    max_collateral: Decimal = "0"
    self_trade: Literal["CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT"] = "CANCEL_TAKER"
    reduce_only: bool = False
    expiry: str | None = None
    nonce: str | None = None
    condition: DraftCondition | None = None


class PlaceRequest(Shape):
    order: OrderFields
    signature: Signature
    chain_id: ChainId
    client_order_id: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    reject_after: Annotated[
        int | str | None,
        Field(description="unix milliseconds; the engine refuses the order when it would accept it later. Not signed"),
    ] = None
    display_quantity: Annotated[
        Decimal | None,
        Field(description="an iceberg: the book shows at most so much at once; each next part queues last. Not signed"),
    ] = None


class AmendRequest(Shape):
    quantity: Annotated[Decimal, Field(description="what the order may fill in all; at most what it may fill now")]


class NamedOrder(Shape):
    """Exactly one of the two. A name stands for all open orders that have it."""

    id: Hash | None = None
    client_order_id: str | None = None


class SignedCancel(Shape):
    """A CancelOrders for this one nonce, signed by the account, or by a session key for an order that it signed."""

    nonce: str
    deadline: Annotated[str | int, Field(description="unix seconds")]
    signature: Signature


class CancelAndPlaceRequest(PlaceRequest):
    cancel: NamedOrder | SignedCancel
    if_not_cancelled: Annotated[
        Literal["STOP", "PLACE"], Field(description="whether the order is placed when there was nothing to cancel")
    ] = "STOP"
    if_refused: Annotated[
        Literal["KEEP", "CANCEL"], Field(description="what becomes of the old order when the new one is refused")
    ] = "KEEP"


class PlaceStep(PlaceRequest):
    op: Literal["place"]


class ReplaceStep(PlaceRequest):
    op: Literal["replace"]
    id: Annotated[Hash, Field(description="the open order whose place it takes")]


class CancelAndPlaceStep(CancelAndPlaceRequest):
    op: Literal["cancelAndPlace"]


class CancelStep(NamedOrder):
    op: Literal["cancel"]


class AmendStep(AmendRequest):
    op: Literal["amend"]
    id: Hash


Step = Annotated[PlaceStep | ReplaceStep | CancelAndPlaceStep | CancelStep | AmendStep, Field(discriminator="op")]


class BatchRequest(Shape):
    """Exactly one of the two."""

    orders: Annotated[list[PlaceRequest] | None, Field(min_length=1, max_length=50)] = None
    steps: Annotated[
        list[Step] | None, Field(min_length=1, max_length=50, description="cancel and amend need a bearer token")
    ] = None


class BatchOutcome(Shape):
    """`order` (but for a cancel) or `problem`; of steps also what they have `cancelled`."""

    order: OrderStateWithFills | None = None
    problem: dict[str, Any] | None = None
    cancelled: list[OrderShape] | None = None


class CancelAndPlaceReply(Shape):
    order: OrderStateWithFills
    cancelled: list[OrderShape]


class BatchReply(Shape):
    results: list[BatchOutcome]


class ValidateRequest(Shape):
    order: DraftFields
    signature: Signature | None = None
    chain_id: ChainId | None = None
    client_order_id: str | None = None


class ValidateReply(Shape):
    """`order` and `chainId` go into POST /v1/orders as they are; `typedData` is what the wallet signs."""

    order: OrderFields
    chain_id: int
    digest: Hash
    integers: dict[str, Any]
    notional: Decimal
    max_fee: Decimal
    typed_data: dict[str, Any]


class CancelRequest(Shape):
    account: Address
    nonces: Annotated[list[str], Field(min_length=1, max_length=64)]
    deadline: Annotated[str | int, Field(description="unix seconds")]
    signature: Signature


class CancelEntry(Shape):
    nonce: str
    order: OrderShape | None = None
    problem: dict[str, Any] | None = None


class CancelReply(Shape):
    results: list[CancelEntry]
