"""Every message of the WebSocket `/v1/ws`, in both directions. What a message shares with REST has the same shape here.

Owns:     SENT and TAKEN: the messages by name, from which /asyncapi.json is made and by which the tests judge what the
          server really sends.
Promises: nothing is sent on `/v1/ws` that is not described here: fields that are not named are not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.feed import PRIVATE_CHANNELS, PUBLIC_CHANNELS
from api.schemas.account import CancelOutcomes, LoginRequest, OrderShape, OrderStateWithFills
from api.schemas.base import Address, Decimal, Hash, Integer, Millis, ProblemShape, Shape
from api.schemas.market import Level, MarketShape, TickerData
from api.schemas.orders import (
    BatchReply,
    CancelAndPlaceReply,
    CancelAndPlaceRequest,
    CancelReply,
    CancelRequest,
    PlaceRequest,
    Step,
)
from api.schemas.protection import ProtectionShape
from api.schemas.safety import CancelBatchReply, CancelBatchRequest, CountdownRequest

Id = Annotated[str | int, Field(description="yours; the answer carries it")]
Channel = Literal[
    "book", "bbo", "ticker", "trades", "markets", "settlements", "orders", "balances", "protection", "fills"
]
Model = type[BaseModel]

# Data of the channels -----------------------------------------------------------------------------------------


class BookLevels(Shape):
    """Best price first. In a delta a quantity of "0" removes the level."""

    bids: list[Level]
    asks: list[Level]


class BestLevels(Shape):
    bid: Level | None
    ask: Level | None


class TradeEvent(Shape):
    """A match. How far it is on its way to the chain: channel `settlements`, by its `sequence`."""

    match_id: Integer
    trade_id: Hash
    sequence: Integer
    price: Decimal
    quantity: Decimal
    taker_side: Literal["BUY", "SELL"]
    time: Millis
    maker_order: Hash
    taker_order: Hash


class MarketEvent(Shape):
    symbol: str
    status: Literal["UNLISTED", "PAUSED", "ACTIVE", "DELISTED", "SETTLED"]


class BalanceEvent(Shape):
    asset: int
    total: Decimal
    reserved: Decimal
    available: Decimal


class BalanceState(BalanceEvent):
    symbol: str


class SettlementWord(Shape):
    """What has become of fills. `time`: when it was noticed."""

    market: str
    status: Literal["matched", "submitted", "mined", "final", "skipped", "reverted"]
    transaction: Annotated[Hash | None, Field(description="that carries them; from `submitted` on")]
    block: Annotated[int | None, Field(description="that they are in; when mined, final, skipped or reverted")]
    batch: Annotated[int | None, Field(description="of GET /v1/settlements; null when somebody else settled them")]
    reason: Annotated[str | None, Field(description="why the chain passed over them, when skipped")]
    time: Millis


class MarketSettlement(SettlementWord):
    """Of the fills from one number of the market's settlement sequence to another."""

    first_sequence: Integer
    last_sequence: Integer


class OwnFill(Shape):
    """The account's side of a match."""

    match_id: Integer
    sequence: Integer
    order_id: Hash
    side: Literal["BUY", "SELL"]
    role: Literal["MAKER", "TAKER"]
    price: Decimal
    quantity: Decimal


class FillSettlement(SettlementWord):
    """Of these fills of the account."""

    fills: list[OwnFill]


class ResetData(Shape):
    """Continuity is lost; a snapshot follows."""

    reason: str


_DATA: dict[str, tuple[Any, dict[str, Any]]] = {  # channel: (data of a snapshot, data by type of what follows)
    "book": (BookLevels, {"delta": BookLevels}),
    "bbo": (BestLevels, {"event": BestLevels}),
    "ticker": (TickerData, {"event": TickerData}),
    "trades": (list[TradeEvent], {"event": TradeEvent}),
    "settlements": (list[MarketSettlement], {"event": MarketSettlement}),
    "markets": (MarketShape, {"event": MarketEvent}),
    "orders": (list[OrderShape], {"event": OrderShape}),
    "balances": (list[BalanceState], {"event": BalanceEvent}),
    "protection": (list[ProtectionShape], {"event": ProtectionShape}),
    "fills": (list[FillSettlement], {"event": FillSettlement}),
}

# Answers ------------------------------------------------------------------------------------------------------


class Subscribed(Shape):
    """`seq`: the last message that this server has sent of it; what you begin with says where you are."""

    op: Literal["subscribed"]
    ch: Channel
    key: str
    epoch: str | None
    seq: int
    id: Id | None = None


class Unsubscribed(Shape):
    op: Literal["unsubscribed"]
    ch: Channel
    key: str
    id: Id | None = None


class Authenticated(Shape):
    op: Literal["authenticated"]
    account: str
    expires_at: str
    id: Id | None = None


class Pong(Shape):
    op: Literal["pong"]
    ts: Millis
    id: Id | None = None


class StreamPlace(Shape):
    """`epoch` where it is not the heartbeat's: of `fills` and `settlements`."""

    ch: Channel
    key: str
    seq: int
    epoch: str | None = None


class Heartbeat(Shape):
    """Every five seconds. `live`: whether the matching engine is connected. `settler`: when the settler last said that
    it works, as it does each second; while it does not, its channels stand still. null: none ever has."""

    op: Literal["heartbeat"]
    ts: Millis
    epoch: str | None
    live: bool
    settler: Millis | None
    channels: list[StreamPlace]


class GuardAnswer(Shape):
    op: Literal["cancelOnDisconnect"]
    enabled: bool
    account: Address
    id: Id | None = None


class CountdownAnswer(Shape):
    op: Literal["deadman"]
    fires_at: Millis | None
    id: Id | None = None


class Refusal(ProblemShape):
    """A problem as over HTTP. `ch` and `key` when it is about a subscription; further members belong to the code."""

    model_config = ConfigDict(extra="allow")

    op: Literal["error"]
    id: Id | None = None
    ch: Channel | None = None
    key: str | None = None


_ANSWERS: dict[str, Any] = {  # op of order entry: data of its answer
    "place": OrderStateWithFills,
    "placeBatch": BatchReply,
    "cancel": OrderShape,
    "cancelBatch": CancelBatchReply,
    "cancelAll": CancelOutcomes,
    "cancelSigned": CancelReply,
    "amend": OrderShape,
    "replace": OrderStateWithFills,
    "cancelAndPlace": CancelAndPlaceReply,
    "steps": BatchReply,
}

# Requests -----------------------------------------------------------------------------------------------------


class Resume(Shape):
    """The `epoch` and `seq` of the last message that came."""

    epoch: str
    seq: int


class Subscribe(Shape):
    """`key`: the market; of a private channel it may be left out."""

    op: Literal["subscribe"]
    ch: Channel
    key: str | None = None
    resume: Resume | None = None
    id: Id | None = None


class Unsubscribe(Shape):
    op: Literal["unsubscribe"]
    ch: Channel
    key: str | None = None
    id: Id | None = None


class AuthByToken(Shape):
    op: Literal["auth"]
    token: str
    id: Id | None = None


class AuthBySignature(LoginRequest):
    op: Literal["auth"]
    id: Id | None = None


class Ping(Shape):
    op: Literal["ping"]
    id: Id | None = None


class Guard(Shape):
    op: Literal["cancelOnDisconnect"]
    enabled: bool
    id: Id | None = None


class Countdown(CountdownRequest):
    op: Literal["deadman"]
    id: Id | None = None


class Place(PlaceRequest):
    op: Literal["place"]
    id: Id


class PlaceBatch(Shape):
    op: Literal["placeBatch"]
    id: Id
    orders: Annotated[list[PlaceRequest], Field(min_length=1, max_length=50)]


class CancelOrder(Shape):
    op: Literal["cancel"]
    id: Id
    order_id: Hash


class CancelOrders(CancelBatchRequest):
    op: Literal["cancelBatch"]
    id: Id


class CancelAll(Shape):
    op: Literal["cancelAll"]
    id: Id
    market: str | None = None
    side: Literal["BUY", "SELL"] | None = None


class CancelBySignature(CancelRequest):
    op: Literal["cancelSigned"]
    id: Id


class Amend(Shape):
    op: Literal["amend"]
    id: Id
    order_id: Hash
    quantity: Decimal


class Replace(PlaceRequest):
    op: Literal["replace"]
    id: Id
    order_id: Hash


class CancelAndPlace(CancelAndPlaceRequest):
    op: Literal["cancelAndPlace"]
    id: Id


class Steps(Shape):
    op: Literal["steps"]
    id: Id
    steps: Annotated[list[Step], Field(min_length=1, max_length=50)]


def feed_name(channel: str, kind: str) -> str:
    return f"{channel}.{kind}"


def answer_name(op: str) -> str:
    return f"answer.{op}"


def request_name(op: str) -> str:
    return f"request.{op}"


def _feed_messages() -> Iterator[tuple[str, Model]]:
    for channel in (*PUBLIC_CHANNELS, *PRIVATE_CHANNELS):
        snapshot, following = _DATA[channel]
        kinds = {"snapshot": snapshot, **following}
        for kind, data in {**kinds, "reset": ResetData}.items():
            yield feed_name(channel, kind), _envelope(channel, kind, data)


def _envelope(channel: str, kind: str, data: Any) -> Model:
    crc = "CRC32 of price:quantity|... over the ten best bids, then asks; in deltas whose seq is a multiple of 100"
    checksum: dict[str, Any] = {"crc": (int | None, Field(default=None, description=crc))} if channel == "book" else {}
    name = f"{channel.capitalize()}{kind.capitalize()}Message"
    fields: dict[str, Any] = {
        "ch": (Literal[channel], ...),
        "key": (str, Field(description="the account" if channel in PRIVATE_CHANNELS else "the market")),
        "epoch": (str, Field(description="name of the run that counts; another one: start from a snapshot")),
        "seq": (int, ...),
        "prev": (int, Field(description="seq of the message before; of a snapshot or reset its own")),
        "ts": (Millis, ...),
        "type": (Literal[kind], ...),
        "data": (data, ...),
        **checksum,
    }
    return create_model(name, __base__=Shape, **fields)


def _answers() -> Iterator[tuple[str, Model]]:
    plain: tuple[Model, ...] = (
        Subscribed, Unsubscribed, Authenticated, Pong, Heartbeat, GuardAnswer, CountdownAnswer, Refusal,
    )  # fmt: skip
    for model in plain:
        yield answer_name(_op_of(model)), model
    for op, data in _ANSWERS.items():
        name = f"{op[0].upper()}{op[1:]}Answer"
        fields: dict[str, Any] = {"op": (Literal[op], ...), "id": (Id, ...), "data": (data, ...)}
        yield answer_name(op), create_model(name, __base__=Shape, **fields)


def _op_of(model: Model) -> str:
    op: str = model.model_fields["op"].annotation.__args__[0]  # type: ignore[union-attr]
    return op


_REQUESTS: tuple[Model, ...] = (
    Subscribe, Unsubscribe, AuthByToken, AuthBySignature, Ping, Guard, Countdown, Place, PlaceBatch, CancelOrder,
    CancelOrders, CancelAll, CancelBySignature, Amend, Replace, CancelAndPlace, Steps,
)  # fmt: skip

SENT: dict[str, Model] = {**dict(_feed_messages()), **dict(_answers())}
"""What the server sends, by name: `book.delta`, `answer.place`."""

TAKEN: dict[str, tuple[Model, ...]] = {
    request_name(op): tuple(model for model in _REQUESTS if _op_of(model) == op)
    for op in dict.fromkeys(map(_op_of, _REQUESTS))
}
"""What a client sends, by name: `request.place`. Any of the shapes."""
