"""`--log-orders`: whatever becomes of an order stands in the engine's log, under its id."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxdex.condition import Condition, Trigger
from cxdex.facts import Credited
from cxdex.order import Side
from relayer.engine.events import OrderAccepted
from relayer.order_log import fields_of
from tests.relayer.service.running_engine import BASE, ChainFacts, RunningEngine, account, signed, wait_for_market

ALICE, BOB, POOR = account(1), account(2), account(9)


async def trade(engine: RunningEngine, facts: ChainFacts) -> list[Any]:
    """An order that fills another, one that is cancelled, one that is refused; in this order."""
    facts.open_market([ALICE, BOB])
    facts.append(Credited(POOR, 0, 1), Credited(POOR, BASE, 1))
    engine.start()
    rests, takes = signed(ALICE, 0, Side.SELL, 1000, 3), signed(BOB, 0, Side.BUY, 1000, 3)
    cancelled, refused = signed(ALICE, 1, Side.SELL, 1001, 1), signed(POOR, 0, Side.BUY, 1000, 1)
    async with engine.client() as client:
        await wait_for_market(client, [ALICE, BOB, POOR])
        await client.place([rests, takes, cancelled, refused])
        await client.cancel(ALICE, [cancelled.digest])
    assert engine.stop() == 0
    return [rests, takes, cancelled, refused]


async def test_each_order_can_be_followed_by_its_id(tmp_path: Path, facts: ChainFacts) -> None:
    engine = RunningEngine(tmp_path, "--log-orders", "--log-format", "json")
    rests, takes, cancelled, refused = await trade(engine, facts)
    lines = [json.loads(line) for line in engine.log.read_text().splitlines()]
    told = [line for line in lines if line["logger"] == "relayer.orders"]

    def about(order: Any) -> list[tuple[str, dict[str, Any]]]:
        order_id = "0x" + order.digest.hex()
        names = ("order", "maker_order", "taker_order")
        return [(line["message"], line) for line in told if order_id in [line.get(name) for name in names]]

    (accepted, first), (traded, match), (closed, last) = about(rests)
    assert (accepted, traded, closed) == ("OrderAccepted", "Traded", "OrderClosed")
    assert first["account"] == "0x" + ALICE.hex()
    assert (first["side"], first["quantity"], first["price"], first["client_order_id"]) == ("SELL", 3, 1000, "c0")
    assert (match["match"], match["quantity"]) == (1, 3)
    assert last["reason"] == "FILLED"
    assert [word for word, _ in about(takes)] == ["OrderAccepted", "Traded", "OrderClosed"]
    assert [line.get("reason") for _, line in about(cancelled)] == [None, "USER"]
    assert [(word, line["code"]) for word, line in about(refused)] == [("OrderRejected", "BALANCE_INSUFFICIENT")]
    assert rests.signature.hex() not in engine.log.read_text()


def test_a_condition_is_told_with_the_order() -> None:
    order = signed(ALICE, 0, Side.SELL, 1000, 3).order
    waiting = replace(order, condition=Condition(Trigger.LAST_AT_OR_BELOW, 990, 0))
    told = fields_of(OrderAccepted(1, waiting, b"s" * 65, b"d" * 32, None))
    assert (told["trigger"], told["trigger_price"], told["order"]) == ("LAST_AT_OR_BELOW", 990, b"d" * 32)
    assert "signature" not in told


async def test_orders_are_not_told_unless_asked_for(engine: RunningEngine, facts: ChainFacts) -> None:
    rests, *_ = await trade(engine, facts)
    assert rests.digest.hex() not in engine.log.read_text()
