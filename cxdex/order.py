"""The signed order: what a trader commits to, in the units the chain uses.

Owns:     `Order` (13 signed fields, and 3 more when it waits for a condition) and its enumerated words.
Promises: an `Order` that exists is well formed: every field is inside the width that the settlement
          contract packs it into. Money and quantities are integers (lots, ticks, 1e-6 USDC).
Never:    knows markets, balances, clocks or I/O. Decimal strings become lots and ticks in `units`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxdex.condition import Condition
from cxdex.problem import OrderProblem
from cxdex.signed_field import Word, require_range

QUANTITY_BITS = 39  # the lane that counts fills keeps its fortieth bit for a pending cancel
PRICE_BITS = 64
EXPIRY_BITS = 40
NONCE_BITS = 64
COLLATERAL_BITS = 64
MAX_FEE_BPS = 10_000
MAX_QUANTITY = 2**QUANTITY_BITS - 1
MAX_PRICE = 2**PRICE_BITS - 1
MAX_EXPIRY = 2**EXPIRY_BITS - 1
MAX_NONCE = 2**NONCE_BITS - 1
MAX_COLLATERAL = 2**COLLATERAL_BITS - 1


class Side(Word):
    SELL = 0
    BUY = 1

    @property
    def opposite(self) -> Side:
        return Side.BUY if self is Side.SELL else Side.SELL


class OrderType(Word):
    """A MARKET order is a LIMIT order that never rests: `limit_price` is the worst price it accepts."""

    LIMIT = 0
    MARKET = 1


class TimeInForce(Word):
    """GTD rests like GTC; the word says that whoever signed chose the expiry, which every order has."""

    GTC = 0
    IOC = 1
    FOK = 2
    POST_ONLY = 3
    GTD = 4

    @property
    def rests(self) -> bool:
        """What the book does not take at once stays in it."""
        return self not in (TimeInForce.IOC, TimeInForce.FOK)


class SelfTrade(Word):
    """What happens when the order would meet another one of its own account. The taker's word decides."""

    CANCEL_TAKER = 0
    CANCEL_MAKER = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


class SignatureKind(Word):
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
    condition      what must happen before the order trades; signed as a type of its own, see `eip712`
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
    condition: Condition | None = None

    def __post_init__(self) -> None:
        if len(self.account) != 20 or not any(self.account):
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                "account must be a non-zero address of 20 bytes",
                field="account",
                given="0x" + self.account.hex(),
                allowed="0x and 40 hexadecimal digits",
            )
        if not (
            1 <= self.quantity <= MAX_QUANTITY
            and 1 <= self.limit_price <= MAX_PRICE
            and 0 <= self.max_fee_bps <= MAX_FEE_BPS
            and 1 <= self.expiry <= MAX_EXPIRY
            and 0 <= self.nonce <= MAX_NONCE
            and 0 <= self.max_collateral <= MAX_COLLATERAL
        ):
            self._name_the_field()
        if self.order_type is OrderType.MARKET and self.time_in_force.rests:
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                "a MARKET order never rests, so it cannot be GTC, GTD or POST_ONLY",
                field="timeInForce",
                given=self.time_in_force.name,
                allowed="IOC, FOK",
            )
        if self.condition is not None and self.condition.active_from >= self.expiry:
            raise OrderProblem(
                "ORDER_FIELD_INVALID",
                "the order would expire before a price could trigger it",
                field="activeFrom",
                given=str(self.condition.active_from),
                allowed=f"before the expiry, {self.expiry}",
            )

    def _name_the_field(self) -> None:
        """Raises for the first field that is out of range. Apart, because making an order is part of every hot path."""
        require_range("quantity", self.quantity, 1, MAX_QUANTITY)
        require_range("limitPrice", self.limit_price, 1, MAX_PRICE)
        require_range("maxFeeBps", self.max_fee_bps, 0, MAX_FEE_BPS)
        require_range("expiry", self.expiry, 1, MAX_EXPIRY)
        require_range("nonce", self.nonce, 0, MAX_NONCE)
        require_range("maxCollateral", self.max_collateral, 0, MAX_COLLATERAL)

    @property
    def may_rest(self) -> bool:
        """Only such an order can be a maker; the contract enforces it."""
        return self.time_in_force.rests


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order with its signature, its digest (the order's id), and who made the signature.

    ACCOUNT and SESSION: 65 bytes, r 32, s 32, v 27 or 28. CONTRACT: whatever the wallet's code takes.

    proof  publish times that show the chain that an INDEX trigger was met: (when the price was, 0), or for a trailing
           one (when the extreme was, when the price had turned). No price is to be shown for LAST: (0, 0)
    """

    order: Order
    signature: bytes
    digest: bytes
    kind: SignatureKind = SignatureKind.ACCOUNT
    proof: tuple[int, int] = (0, 0)
