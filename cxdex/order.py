"""The signed order: what a trader commits to, in the units the chain uses.

Owns:     `Order` (13 signed fields), its enumerated words, and the digest that is its id for ever.
Promises: an `Order` that exists is well formed: every field is inside the width that the settlement
          contract packs it into. Money and quantities are integers (lots, ticks, 1e-6 USDC).
Never:    knows markets, balances, clocks or I/O. Decimal strings become lots and ticks in `units`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cxdex.problem import OrderProblem

QUANTITY_BITS = 39  # the lane that counts fills keeps its fortieth bit for a pending cancel
PRICE_BITS = 64
EXPIRY_BITS = 40
NONCE_BITS = 64
COLLATERAL_BITS = 64
MAX_FEE_BPS = 10_000


class _Word(IntEnum):
    """An enumeration that a wallet shows as a word and the contract packs as its number."""

    @classmethod
    def parse(cls, word: str, field: str) -> _Word:
        try:
            return cls[word]
        except KeyError:
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                f"{field} is not one of the words this exchange knows",
                field=field,
                given=word,
                allowed=", ".join(member.name for member in cls),
            ) from None


class Side(_Word):
    SELL = 0
    BUY = 1

    @property
    def opposite(self) -> Side:
        return Side.BUY if self is Side.SELL else Side.SELL


class OrderType(_Word):
    """A MARKET order is a LIMIT order that never rests: `limit_price` is the worst price it accepts."""

    LIMIT = 0
    MARKET = 1


class TimeInForce(_Word):
    GTC = 0
    IOC = 1
    FOK = 2
    POST_ONLY = 3


class SelfTrade(_Word):
    """What happens when the order would meet another one of its own account. The taker's word decides."""

    CANCEL_TAKER = 0
    CANCEL_MAKER = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


class SignatureKind(_Word):
    """Who signed the order's digest; the account that pays is always the one inside the order."""

    ACCOUNT = 0  # the account's own key
    SESSION = 1  # a key that the account registered with Settlement.setSession
    CONTRACT = 2  # the account is a contract and its code decides (ERC-1271)


@dataclass(frozen=True, slots=True)
class Order:
    """What the account signs.

    account        20 bytes; the owner of the funds (not necessarily the key that signs)
    market         symbol, e.g. ``sBTC-USDC``; a listed symbol can never get other terms
    quantity       lots, 1 .. 2**39 - 1
    limit_price    ticks, 1 .. 2**64 - 1; a buy pays at most, a sell receives at least this
    max_fee_bps    most that any one fill may cost, in 1/10,000 of its notional
    max_collateral most cash, 1e-6 USDC, that minting the sold synth may lock beside the proceeds of the sale;
                   0: sell only what the account has
    expiry         unix seconds; the order is dead from this second on
    nonce          epoch 16 | lane 24 | seq 24, see `nonce`
    """

    account: bytes
    market: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    limit_price: int
    max_fee_bps: int
    expiry: int
    nonce: int
    max_collateral: int = 0
    self_trade: SelfTrade = SelfTrade.CANCEL_TAKER
    reduce_only: bool = False

    def __post_init__(self) -> None:
        if len(self.account) != 20 or not any(self.account):
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                "account must be a non-zero address of 20 bytes",
                field="account",
                given="0x" + self.account.hex(),
                allowed="0x and 40 hexadecimal digits",
            )
        _require_range("quantity", self.quantity, 1, 2**QUANTITY_BITS - 1)
        _require_range("limitPrice", self.limit_price, 1, 2**PRICE_BITS - 1)
        _require_range("maxFeeBps", self.max_fee_bps, 0, MAX_FEE_BPS)
        _require_range("expiry", self.expiry, 1, 2**EXPIRY_BITS - 1)
        _require_range("nonce", self.nonce, 0, 2**NONCE_BITS - 1)
        _require_range("maxCollateral", self.max_collateral, 0, 2**COLLATERAL_BITS - 1)
        if self.order_type is OrderType.MARKET and self.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK):
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                "a MARKET order never rests, so it cannot be GTC or POST_ONLY",
                field="timeInForce",
                given=self.time_in_force.name,
                allowed="IOC, FOK",
            )

    @property
    def may_rest(self) -> bool:
        """Only such an order can be a maker; the contract enforces it."""
        return self.time_in_force in (TimeInForce.GTC, TimeInForce.POST_ONLY)


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order with its signature, its digest (the order's id), and who made the signature.

    ACCOUNT and SESSION: 65 bytes, r 32, s 32, v 27 or 28. CONTRACT: whatever the wallet's code takes.
    """

    order: Order
    signature: bytes
    digest: bytes
    kind: SignatureKind = SignatureKind.ACCOUNT


def _require_range(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise OrderProblem(
            "ORDER_FIELD_INVALID",
            f"{field} is outside the range the contract can hold",
            field=field,
            given=str(value),
            allowed=f"{low} to {high}",
        )
