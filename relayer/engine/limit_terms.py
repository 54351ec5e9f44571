"""What an account may trade, as the operator says it, and the index prices it is judged by: plain messages.

Promises: the journal and the snapshot hold these.
Never:    decides anything; `limits` does. Apart from it because messages are not compiled (see `relayer.build`).
"""

from __future__ import annotations

import msgspec

INDEX_SECONDS = 300


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """None: no limit. order_notional and daily_volume: 1e-6 USDC. open_orders: in one market. band_bps: 1/10,000.

    orders_per_second, after `order_burst` at once: accepted orders, by the time of their commands.
    """

    order_notional: int | None = None
    open_orders: int | None = None
    daily_volume: int | None = None
    band_bps: int | None = None
    orders_per_second: int | None = None
    order_burst: int = 1


class LimitTable(msgspec.Struct, frozen=True, array_like=True):
    """tiers: by fee tier; the last one is also that of all higher tiers. accounts: they override their tier's.

    index_seconds: how old an index price may be to count.
    """

    tiers: tuple[Limits, ...] = (Limits(),)
    accounts: tuple[tuple[bytes, Limits], ...] = ()
    index_seconds: int = INDEX_SECONDS


NO_LIMITS = LimitTable()


class IndexPrice(msgspec.Struct, frozen=True, array_like=True):
    """price: 1e-6 USDC for a whole synth. publish_time: unix seconds."""

    price: int
    publish_time: int
