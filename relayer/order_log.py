"""What became of every order, one record a line in the engine's log, with the order's id. Only when asked for.

Owns:     which events are about orders, and the words of their fields.
Promises: a record is written only when the journal has the command on disk, in the engine's order, from a thread of its
          own: a slow reader of the log holds nobody up. Refusals are told too; no table has those.
Never:    writes a signature.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from cxdex.logs import about
from relayer.engine.events import AnyEvent, OrderAccepted, Traded

log = logging.getLogger("relayer.orders")

UNTOLD = ("order", "signature", "kind", "time_ms")
NAMES = {"digest": "order", "match_id": "match", "maker_digest": "maker_order", "taker_digest": "taker_order"}


class OrderLog:
    """Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._writer = ThreadPoolExecutor(1, "order log")

    def write(self, batches: Iterable[Sequence[AnyEvent]]) -> None:
        told = [event for events in batches for event in events if is_about_an_order(event)]
        if told:
            self._writer.submit(_write, told)

    def close(self) -> None:
        """Returns when everything is written."""
        self._writer.shutdown()


def is_about_an_order(event: AnyEvent) -> bool:
    return isinstance(event, Traded) or hasattr(event, "digest")


def _write(events: list[AnyEvent]) -> None:
    for event in events:
        log.info("%s", type(event).__name__, extra=about(**fields_of(event)))


def fields_of(event: AnyEvent) -> dict[str, Any]:
    """Everything that the event says, under the names of logs. Prices in ticks, quantities in lots."""
    fields = msgspec.structs.asdict(event)
    told = {NAMES.get(name, name): value for name, value in fields.items() if name not in UNTOLD and value != b""}
    if isinstance(event, OrderAccepted):
        order = event.order
        told |= {
            "account": order.account, "market": order.market, "side": order.side.name, "type": order.order_type.name,
            "time_in_force": order.time_in_force.name, "quantity": order.quantity, "price": order.limit_price,
        }  # fmt: skip
        if order.condition is not None:
            told |= {"trigger": order.condition.trigger.name, "trigger_price": order.condition.trigger_price}
    return told | {"time_ms": event.time_ms}
