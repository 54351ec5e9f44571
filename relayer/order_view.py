"""From the engine's view of orders to the messages of `wire`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from relayer.engine.core import Engine, MarketView
from relayer.engine.events import (
    AnyEvent,
    OrderAccepted,
    OrderClosed,
    OrderProven,
    OrderRearmed,
    OrderReduced,
    OrderTriggered,
    Traded,
)
from relayer.engine.orders import OrderView
from relayer.wire import (
    AccountReply,
    Balance,
    GetAccount,
    LimitsState,
    MarketState,
    OrderState,
    SessionState,
    SetAsideState,
)

_ABOUT_AN_ORDER: Final = (OrderAccepted, OrderClosed, OrderReduced, OrderTriggered, OrderRearmed, OrderProven)


def order_state(view: OrderView) -> OrderState:
    return OrderState(*view)  # the same fields in the same order


def market_state(view: MarketView) -> MarketState:
    terms = view.terms
    return MarketState(
        symbol=terms.symbol,
        index=terms.index,
        kind=int(terms.kind),
        base_asset=terms.base_asset,
        base_symbol=terms.base_symbol,
        lot_exponent=terms.lot_exponent,
        quote_per_lot_tick=terms.quote_per_lot_tick,
        min_lots=terms.min_lots,
        maker_fee_bps=terms.maker_fee_bps,
        taker_fee_bps=terms.taker_fee_bps,
        status=int(view.status),
        next_sequence=view.next_sequence,
        settled_sequence=view.settled_sequence,
    )


def account_reply(engine: Engine, request: GetAccount, now_ms: int) -> AccountReply:
    account = request.account
    limits = engine.limits_of(account)
    return AccountReply(
        request.id,
        engine.epoch(account),
        [Balance(asset, total, reserved) for asset, (total, reserved) in engine.balances(account).items()],
        engine.tier(account),
        [SessionState(s.key, s.market, s.left, s.available, s.expiry) for s in engine.sessions(account)],
        [
            SetAsideState(held.asset, held.amount, held.as_cxpt, held.recipient, held.nonce, held.deadline)
            for held in engine.set_asides(account)
        ],
        LimitsState(
            limits.order_notional,
            limits.open_orders,
            limits.daily_volume,
            limits.band_bps,
            engine.volume_today(account, now_ms),
            limits.orders_per_second,
            limits.order_burst,
        ),
        engine.countdown(account),
    )


def states_after(engine: Engine, events: Iterable[AnyEvent]) -> list[OrderState]:
    """The orders that the last command's events name, as they are after it, in the order of first mention."""
    digests: dict[bytes, None] = {}
    for event in events:
        if isinstance(event, Traded):
            digests[event.maker_digest] = digests[event.taker_digest] = None
        elif isinstance(event, _ABOUT_AN_ORDER):
            digests[event.digest] = None
    states = []
    for digest in digests:
        view = engine.order_state(digest)
        if view is not None:
            states.append(OrderState(*view))
    return states
