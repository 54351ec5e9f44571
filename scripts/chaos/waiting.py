"""Orders of a trader that wait for a price: stops, take-profits, trailing stops, and pairs that cancel each other.

Promises: levels lie so near that most are met within the run.
Never:    waits for the index. A reorg of this node sets the time back and loses price reports for ever; a filled order
          whose proof was among them would stop its market for as long as a refused fill is held.
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


async def pair(trader: Trader) -> None:
    """A limit order that rests, and a stop on the same side and nonce."""
    began = time.monotonic()
    rests = replace(trader.ticket(), order_type="LIMIT", time_in_force="GTC", client_order_id=None)
    for order in await trader.exchange.oco(rests, waits(trader, rests)):
        trader.accepted(order, began)


def waits(trader: Trader, ticket: Ticket) -> Ticket:
    """The ticket with a condition: any trigger by the last price, a level or a distance within a third of a percent."""
    trigger = trader.dice.choice([trigger for trigger in Trigger if not trigger.by_index])
    near = max(1, trader.middle[ticket.market] // 300)
    level = trader.dice.randint(1, near)
    if not trigger.name.endswith("_BY"):
        level = trader.middle[ticket.market] + trader.dice.randint(-near, near)
    word = None if ticket.order_type == "MARKET" or ticket.time_in_force == "POST_ONLY" else ticket.time_in_force
    return replace(ticket, time_in_force=word, trigger=trigger.name, trigger_price=str(level))
