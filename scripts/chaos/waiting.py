"""Orders of a trader that wait for a price: stops, take-profits, trailing stops, and pairs that cancel each other.

Promises: levels lie so near that most are met within the run.
          Some wait for the index. A reorg of this node sets the time back and loses price reports for ever, so fills of
          such orders have to find another price that proves them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cxdex.client.ticket import Ticket
from cxdex.condition import Trigger

if TYPE_CHECKING:
    from scripts.chaos.trader import Trader


async def conditional(trader: Trader) -> None:
    began = time.monotonic()
    trader.accepted(await trader.exchange.place(waits(trader, trader.ticket())), began)


async def iceberg(trader: Trader) -> None:
    """Large enough for several parts, at a price that is met."""
    dice, ticket, began = trader.dice, trader.ticket(), time.monotonic()
    lot = trader.lot(ticket.market)
    parts, part = dice.randint(2, 12), dice.randint(1, 5) * lot
    tif = dice.choice(("GTC", "GTC", "POST_ONLY"))
    shown = replace(
        ticket, order_type="LIMIT", time_in_force=tif, quantity=str(parts * part), display=str(part), trigger=None
    )
    trader.accepted(await trader.exchange.place(shown if dice.random() < 0.7 else waits(trader, shown)), began)


async def pair(trader: Trader) -> None:
    """A limit order that rests, and a stop on the same side and nonce."""
    began = time.monotonic()
    rests = replace(trader.ticket(), order_type="LIMIT", time_in_force="GTC", client_order_id=None)
    for order in await trader.exchange.oco(rests, waits(trader, rests)):
        trader.accepted(order, began)


def waits(trader: Trader, ticket: Ticket) -> Ticket:
    """The ticket with a condition: any trigger, a level or a distance within a third of a percent."""
    trigger = trader.dice.choice(list(Trigger))
    near = max(1, trader.middle[ticket.market] // 300)
    level = trader.dice.randint(1, near)
    if not trigger.name.endswith("_BY"):
        level = trader.middle[ticket.market] + trader.dice.randint(-near, near)
    word = None if ticket.order_type == "MARKET" or ticket.time_in_force == "POST_ONLY" else ticket.time_in_force
    return replace(ticket, time_in_force=word, trigger=trigger.name, trigger_price=str(level))
