"""How a trader changes what it has open: fewer lots, other terms, gone and another one placed, many steps at once.

Promises: what is answered is remembered, of the new order and of the one that it replaced.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

from cxdex.client.amending import Amend, Cancel, Replace, Step
from cxdex.client.replies import Order

if TYPE_CHECKING:
    from scripts.chaos.trader import Trader


def chosen(trader: Trader) -> Order | None:
    """One that was open when last heard of."""
    return trader.told.orders[trader.dice.choice(trader.open_ids)] if trader.open_ids else None


async def amend(trader: Trader) -> None:
    order = chosen(trader)
    if order is not None:
        trader.told.note(await trader.exchange.amend(order, half(trader, order)))
        trader.told.answers["order amended"] += 1


async def replace(trader: Trader) -> None:
    """At another price, or with fewer lots at the same."""
    order, began = chosen(trader), time.monotonic()
    if order is None:
        return
    if trader.dice.random() < 0.3:
        placed = await trader.exchange.replace(order, quantity=half(trader, order))
    else:
        placed = await trader.exchange.replace(order, price=near(trader, order))
    trader.accepted(placed, began)
    trader.told.answers["order replaced"] += 1


async def cancel_and_place(trader: Trader) -> None:
    order, began = chosen(trader), time.monotonic()
    if order is not None:
        words = {"if_not_cancelled": trader.dice.choice(("STOP", "PLACE")), "if_refused": "KEEP"}
        done = await trader.exchange.cancel_and_place(order, trader.ticket(), **words)
        for old in done.cancelled:
            trader.told.note_cancelled(old)
        trader.accepted(done.order, began)


async def steps(trader: Trader) -> None:
    """Several kinds in one request, with nobody's in between."""
    began = time.monotonic()
    run: list[Step] = [trader.ticket(), trader.ticket()]
    for kind in trader.dice.sample(("amend", "replace", "cancel"), 2):
        order = chosen(trader)
        if order is None:
            continue
        if kind == "amend":
            run.append(Amend(order, half(trader, order)))
        elif kind == "replace":
            run.append(Replace(order, price=near(trader, order)))
        else:
            run.append(Cancel(order))
    trader.dice.shuffle(run)
    for step, outcome in zip(run, await trader.exchange.batch(run), strict=True):
        for old in outcome.cancelled:
            trader.told.note(old)
        if isinstance(step, Cancel):
            if outcome.order is not None:
                trader.told.note_cancelled(outcome.order)
        elif isinstance(step, Amend):
            if outcome.order is not None:
                trader.told.note(outcome.order)
        else:
            trader.note_outcome(outcome, began)


def half(trader: Trader, order: Order) -> str:
    """About half of its quantity, in whole lots."""
    lot = trader.lot(order.market)
    return str(max(1, int(Decimal(order.quantity) / lot / 2)) * lot)


def near(trader: Trader, order: Order) -> str:
    middle = trader.middle[order.market]
    return str(middle + trader.dice.randint(-middle // 300, middle // 300))
