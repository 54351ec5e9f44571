"""Whether an order may enter: the checks before matching, in the order a trader would want to hear about them.

Promises: a refused order changes nothing; each refusal has a stable code and names what would be allowed.
Never:    verifies signatures (the gateway did) or moves anything.

Min lots: the contract refuses any fill below the market's `min_lots`. Every order's quantity must be a multiple of
it; then so is every fill, whoever meets whom, and no remainder can get stuck.
"""

from __future__ import annotations

from cxdex.market import CXPT_ASSET, USDC_ASSET, MarketStatus, MarketTerms
from cxdex.nonce import unpack_nonce
from cxdex.order import Order, Side, TimeInForce
from cxdex.problem import OrderProblem
from cxdex.units import format_asset, format_price, format_quantity, format_usdc
from relayer.engine.lanes import require_free
from relayer.engine.limits import require_within_limits
from relayer.engine.orders import SETTLEMENT_SECONDS, OrderRecord, matchable_until, reservation
from relayer.engine.quote_guard import require_armed
from relayer.engine.sessions import require_live_signer, require_notional
from relayer.engine.state import Market, State

MOST_PARTS = 100  # of an iceberg


def require_acceptable(
    state: State, order: Order, time_ms: int, filled_before: int = 0, *, shares_nonce: bool = False
) -> Market:
    """The order's market. Raises OrderProblem when the order cannot be accepted.

    shares_nonce: with an order that it replaces, and whose fills (`filled_before`) the chain counts against it too.
    """
    market = _require_market(state, order)
    _require_supported(order)
    require_whole_fills(market.terms, order.quantity)
    _require_fee_cap(market.terms, order)
    if matchable_until(order) * 1000 <= time_ms:
        raise OrderProblem(
            "ORDER_EXPIRED",
            f"the order expires in less than the {SETTLEMENT_SECONDS} s that settling a fill may take",
            field="expiry",
            given=str(order.expiry),
            allowed=f"unix seconds after {time_ms // 1000 + SETTLEMENT_SECONDS}",
        )
    if shares_nonce:
        _require_unfilled(market.terms, order, filled_before)
    else:
        require_free(state.accounts.get(order.account), unpack_nonce(order.nonce), order.nonce)
    return market


def require_may_trade(state: State, market: Market, record: OrderRecord, time_ms: int) -> None:
    """Raises for an order that may not enter the book now: one that was just sent, or was triggered just now."""
    is_triggered = record.order.condition is not None
    if is_triggered:
        _require_market(state, record.order)
    _require_funds(state, market.terms, record)
    require_within_limits(state, market, record, time_ms, is_triggered)
    require_armed(state, record.order, time_ms)
    session = require_live_signer(state, record, time_ms)
    if session is not None:
        require_notional(session, market.terms, market.book, record.entry)
    _require_book_allows(market, record)


def _require_book_allows(market: Market, record: OrderRecord) -> None:
    """Raises for POST_ONLY that would trade and FOK that cannot fill; both look at the book, neither touches it."""
    order, book = record.order, market.book
    if order.time_in_force is TimeInForce.POST_ONLY and book.crosses(record.entry):
        best = book.levels(not record.entry.is_buy, 1)[0][0]
        raise OrderProblem(
            "ORDER_POST_ONLY_WOULD_TRADE",
            "the order would trade at once, and POST_ONLY forbids that",
            field="limitPrice",
            given=format_price(market.terms, order.limit_price),
            allowed=f"{'below' if record.entry.is_buy else 'above'} {format_price(market.terms, best)}",
        )
    if order.time_in_force is TimeInForce.FOK and not book.can_fill(record.entry, order.self_trade):
        raise OrderProblem(
            "ORDER_FOK_UNFILLABLE",
            "the book cannot fill the whole order within its limit price, and FOK allows nothing less",
            field="quantity",
            given=format_quantity(market.terms, order.quantity),
        )


def _require_market(state: State, order: Order) -> Market:
    market = state.markets.get(order.market)
    if market is None or market.status == MarketStatus.UNLISTED:
        listed = [symbol for symbol, other in state.markets.items() if other.status != MarketStatus.UNLISTED]
        raise OrderProblem(
            "MARKET_UNKNOWN",
            "no such market is listed",
            field="market",
            given=order.market[:64],
            allowed=", ".join(listed[:16]) or "none are listed yet",
        )
    if market.status != MarketStatus.ACTIVE:
        raise OrderProblem(
            "MARKET_NOT_ACTIVE",
            "the market takes no orders now",
            field="market",
            given=f"{order.market} is {MarketStatus(market.status).name}",
            allowed="markets that are ACTIVE",
        )
    return market


def _require_supported(order: Order) -> None:
    if order.reduce_only and order.side is Side.BUY:
        raise OrderProblem(
            "ORDER_REDUCE_ONLY_UNSUPPORTED",
            "a buyer on a spot market has no position to reduce; a seller may say so, and then sells only what it has",
            field="reduceOnly",
            given="true",
            allowed="false, or true on a SELL",
        )
    if order.max_collateral:
        raise OrderProblem(
            "ORDER_MINT_UNSUPPORTED",
            "selling by minting is not open yet: sell what the account holds",
            field="maxCollateral",
            given=str(order.max_collateral),
            allowed="0",
        )


def require_display(state: State, order: Order, lots: int) -> None:
    """Raises for a part to show that the book cannot show: only what rests can hide, and only in whole fills.

    Each part can be a fill of its own, which somebody has to settle: there are at most MOST_PARTS.
    """
    market = state.markets.get(order.market)
    if not lots or market is None:
        return
    least = market.terms.min_lots
    fewest = -(-order.quantity // (MOST_PARTS * least)) * least
    if not order.may_rest or lots < fewest or lots % least or lots > order.quantity:
        raise OrderProblem(
            "ORDER_DISPLAY_INVALID",
            "the quantity to show must be a multiple of the market's smallest fill, on an order that may rest",
            field="displayQuantity",
            given=format_quantity(market.terms, lots),
            allowed=f"multiples of {format_quantity(market.terms, least)} from {format_quantity(market.terms, fewest)} "
            f"({MOST_PARTS} parts) up to the order's quantity, with GTC, GTD or POST_ONLY; or none",
        )


def require_whole_fills(terms: MarketTerms, quantity: int) -> None:
    """Raises for lots that the market's fills cannot add up to."""
    if quantity < terms.min_lots:
        raise OrderProblem(
            "ORDER_TOO_SMALL",
            "the order is below the market's smallest fill",
            field="quantity",
            given=format_quantity(terms, quantity),
            allowed=f"{format_quantity(terms, terms.min_lots)} or more",
        )
    rest = quantity % terms.min_lots
    if rest:
        below = quantity - rest
        raise OrderProblem(
            "ORDER_LOT_INVALID",
            "quantity must be a multiple of the market's smallest fill, so that no remainder gets stuck",
            field="quantity",
            given=format_quantity(terms, quantity),
            allowed=f"nearest: {format_quantity(terms, below)} or {format_quantity(terms, below + terms.min_lots)}",
        )


def _require_fee_cap(terms: MarketTerms, order: Order) -> None:
    """The contract charges at most the signed cap: a lower one would trade below the market's fee, or for nothing.

    The full rate, whatever the account's tier: the tier may be gone by the time of a fill.
    """
    if order.time_in_force is TimeInForce.POST_ONLY:
        rate = terms.maker_fee_bps
    elif order.may_rest:
        rate = max(terms.maker_fee_bps, terms.taker_fee_bps)
    else:
        rate = terms.taker_fee_bps
    if order.max_fee_bps < rate:
        raise OrderProblem(
            "ORDER_FEE_CAP_TOO_LOW",
            "the order does not allow the market's fee",
            field="maxFeeBps",
            given=str(order.max_fee_bps),
            allowed=f"{rate} or more",
        )


def _require_unfilled(terms: MarketTerms, order: Order, filled_before: int) -> None:
    if order.quantity <= filled_before:
        raise OrderProblem(
            "ORDER_FILLED_BEFORE",
            "the orders of this nonce have filled as much already, and the chain counts them as one",
            field="quantity",
            given=format_quantity(terms, order.quantity),
            allowed=f"more than {format_quantity(terms, filled_before)}",
        )


def _require_funds(state: State, terms: MarketTerms, record: OrderRecord) -> None:
    order, asset = record.order, record.asset
    needed = reservation(terms, order, record.entry.remaining)
    account = state.accounts.get(order.account)
    available = account.available(asset) if account else 0
    if available >= needed:
        return
    is_cash = asset in (USDC_ASSET, CXPT_ASSET)
    name = "USDC" if asset == USDC_ASSET else terms.base_symbol
    amounts = [(format_usdc if is_cash else format_asset)(value) for value in (needed, max(available, 0))]
    raise OrderProblem(
        "BALANCE_INSUFFICIENT",
        f"the order needs {amounts[0]} {name} that no other open order holds",
        field="quantity",
        given=f"{amounts[0]} {name}",
        allowed=f"{amounts[1]} {name} available",
    )
