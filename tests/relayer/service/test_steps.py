"""Several steps in one request: in order, each with its own answer, and the same answer when it is sent again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cxdex.facts import Credited
from cxdex.order import Side
from cxdex.problem import Problem
from relayer import placements
from relayer.engine.commands import AnyCommand, ApplyFact
from relayer.engine.state import CLOSED_ORDERS_KEPT
from relayer.request_handler import RequestHandler
from relayer.wire import (
    CancelAndPlaceStep,
    CancelStep,
    PlaceOrders,
    PlaceStep,
    ReduceStep,
    ReplaceStep,
    StepResult,
    TakeSteps,
    WireOrder,
)
from tests.relayer.service.running_engine import (
    LISTED,
    Audit,
    ChainFacts,
    RunningEngine,
    account,
    as_sent,
    signed,
    wait_for_market,
)
from tests.relayer.service.test_parts import ACTIVE, Parts

ALICE, BOB = account(1), account(2)


def newer(old: WireOrder, **changes) -> WireOrder:
    return as_sent(replace(old.order, expiry=old.order.expiry + 1, **changes), "newer")


def code(result: StepResult) -> str | None:
    return None if result.problem is None else result.problem.code


async def test_a_request_is_one_run_and_its_answers_are_the_same_after_a_kill(
    engine: RunningEngine, facts: ChainFacts
) -> None:
    facts.open_market([ALICE, BOB])
    engine.start()
    first, second = signed(ALICE, 0, Side.SELL, 1000, 10), signed(ALICE, 1, Side.SELL, 1001, 10)
    taker = signed(BOB, 0, Side.BUY, 1000, 4)
    changed, placed = newer(first, quantity=9), signed(ALICE, 2, Side.SELL, 1003, 5)
    steps = [
        PlaceStep(first),
        PlaceStep(second),
        PlaceStep(taker),
        ReplaceStep(changed, first.digest),
        ReduceStep(ALICE, second.digest, 3),
        CancelAndPlaceStep(placed, cancels=second.digest),
        CancelStep(ALICE, digest=b"?" * 32),
        PlaceStep(first),
    ]
    async with engine.client() as client:
        await wait_for_market(client, [ALICE, BOB])
        results = await client.take(steps)
        assert [code(result) for result in results] == [None] * 6 + ["ORDER_UNKNOWN", None]
        assert [fill.quantity for fill in results[2].fills] == [4]
        assert results[3].state is not None
        assert (results[3].state.filled_before, results[3].state.remaining) == (4, 5)
        assert [(old.digest, old.replaced_by) for old in results[3].cancelled] == [(first.digest, changed.digest)]
        assert results[4].state is not None
        assert results[4].state.remaining == 3
        assert [(old.digest, old.reason) for old in results[5].cancelled] == [(second.digest, "USER")]
        engine.kill()
        await asyncio.to_thread(engine.start)
        again = await client.take(steps)
        assert [code(result) for result in again] == [None] * 4 + ["ORDER_NOT_OPEN", None, "ORDER_UNKNOWN", None]
        for before, after in zip(results, again, strict=True):
            assert [old.digest for old in before.cancelled] == [old.digest for old in after.cancelled]
        assert again[3].state == results[3].state
        (resting,) = [s for s in await client.open_orders(ALICE) if s.order.limit_price == 1000]
        assert resting.replaces == first.digest
    assert engine.stop() == 0
    Audit(engine).check()
    Audit(engine).check_snapshot()


@pytest.fixture
async def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


async def open_market(parts: Parts) -> asyncio.Task[None]:
    running = asyncio.create_task(parts.sequencer.run())
    facts = (LISTED, ACTIVE, *(Credited(who, asset, 10**24) for who in (ALICE, BOB) for asset in (0, 2)))
    commands: list[AnyCommand] = [ApplyFact(1, n, 0, n, False, fact) for n, fact in enumerate(facts, 1)]
    await parts.sequencer.submit(commands)
    return running


async def store(parts: Parts) -> None:
    """Brings what was applied into the tables, as the process does."""
    projecting = asyncio.create_task(parts.projector.run())
    done = 0
    try:
        while True:
            for applied in parts.applied[done:]:
                parts.projector.enqueue(applied.sequence, applied.events)
            done = len(parts.applied)
            await asyncio.sleep(0.01)
    finally:
        projecting.cancel()


async def take(parts: Parts, *steps, handler: RequestHandler | None = None) -> list[StepResult]:
    return (await (handler or parts.handler).answer(TakeSteps(1, list(steps)))).results


async def test_the_same_request_twice_at_once_is_one(parts: Parts) -> None:
    running = await open_market(parts)
    old = signed(ALICE, 0, Side.SELL, 1000, 10)
    await take(parts, PlaceStep(old))
    replacing = ReplaceStep(newer(old, quantity=4), old.digest)
    steps = [replacing, PlaceStep(signed(ALICE, 1, Side.SELL, 1000, 10))]
    both = await asyncio.gather(take(parts, *steps), take(parts, *steps))
    assert both[0] == both[1]
    placed = await parts.handler.answer(PlaceOrders(2, [replacing.order]))
    assert placed.results[0].state == both[0][0].state, "however it is sent"
    running.cancel()


async def test_an_order_that_the_engine_forgot_is_still_answered_with_its_state(parts: Parts) -> None:
    running = await open_market(parts)
    storing = asyncio.create_task(store(parts))
    old, foreign = signed(ALICE, 0, Side.SELL, 1000, 10), signed(BOB, 0, Side.SELL, 1000, 1)
    step = ReplaceStep(newer(old), old.digest)
    await take(parts, PlaceStep(old), step, CancelStep(ALICE, client_order_id="newer"), PlaceStep(foreign))
    for start in range(0, CLOSED_ORDERS_KEPT + 600, 300):
        orders = [signed(BOB, 1, Side.BUY, 5, 1, seq=start + n + 1) for n in range(300)]
        await take(parts, *(s for o in orders for s in (PlaceStep(o), CancelStep(BOB, o.digest))))
    assert parts.sequencer.engine.order_state(step.order.digest) is None
    (result,) = await take(parts, step)
    assert result.state is not None
    assert (result.state.status, result.state.replaces) == ("CANCELLED", old.digest)
    assert [state.digest for state in result.cancelled] == [old.digest]
    assert [code(r) for r in await take(parts, ReduceStep(ALICE, old.digest, 1))] == ["ORDER_NOT_OPEN"]
    assert [code(r) for r in await take(parts, CancelStep(ALICE, foreign.digest))] == ["ORDER_UNKNOWN"]
    running.cancel()
    storing.cancel()


async def test_cancels_go_on_when_new_orders_have_to_wait(parts: Parts, tmp_path: Path) -> None:
    running = await open_market(parts)
    behind = Problem("SETTLEMENT_BEHIND", "the chain has to catch up")
    handler = RequestHandler(
        parts.sequencer, parts.projector, parts.tables, parts.thread, "e", settlement_refusal=lambda: behind
    )
    first, second, third = (signed(ALICE, lane, Side.SELL, 1000, 10) for lane in range(3))
    await take(parts, *(PlaceStep(order) for order in (first, second, third)))
    steps = [
        PlaceStep(signed(ALICE, 5, Side.SELL, 1000, 10)),
        ReplaceStep(newer(first), first.digest),
        CancelAndPlaceStep(signed(ALICE, 6, Side.SELL, 1000, 1), cancels=second.digest),
        CancelAndPlaceStep(signed(ALICE, 7, Side.SELL, 1000, 1), cancels_name="c2", keep_if_refused=False),
        ReduceStep(ALICE, first.digest, 2),
        CancelStep(ALICE, digest=first.digest),
    ]
    results = await take(parts, *steps, handler=handler)
    assert [code(result) for result in results] == ["SETTLEMENT_BEHIND"] * 4 + [None, None]
    assert [len(result.cancelled) for result in results] == [0, 0, 0, 1, 0, 1]
    assert [view.digest for view in parts.sequencer.engine.open_orders(ALICE)] == [second.digest]
    running.cancel()


async def test_nothing_is_written_for_strangers_and_for_what_is_closed(parts: Parts) -> None:
    running = await open_market(parts)
    order = signed(ALICE, 0, Side.SELL, 1000, 10)
    await take(parts, PlaceStep(order), CancelStep(ALICE, order.digest))
    before = parts.sequencer.sequence
    stranger = b"\x77" * 20
    steps = [
        CancelStep(ALICE, order.digest),
        ReduceStep(ALICE, order.digest, 1),
        ReduceStep(ALICE, b"?" * 32, 1),
        CancelStep(stranger, order.digest),
        CancelStep(stranger, client_order_id="x"),
    ]
    codes = [code(result) for result in await take(parts, *steps)]
    assert codes == ["ORDER_NOT_OPEN", "ORDER_NOT_OPEN", "ORDER_UNKNOWN", "ORDER_UNKNOWN", "ORDER_UNKNOWN"]
    assert parts.sequencer.sequence == before
    running.cancel()


async def test_many_that_have_to_be_looked_up_wait_for_the_tables_together(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The projector does not run: the database is away."""
    monkeypatch.setattr(placements, "LONGEST_LOOK_SECONDS", 0.3)
    running = await open_market(parts)
    late = [signed(ALICE, lane, Side.SELL, 1000, 1, expiry=1_000) for lane in range(20)]
    began = asyncio.get_running_loop().time()
    steps = await take(parts, *(PlaceStep(order) for order in late))
    placed = await parts.handler.answer(PlaceOrders(2, late))
    assert asyncio.get_running_loop().time() - began < 6.0, "one after the other they would need 12 s"
    assert {code(result) for result in steps} == {"ENGINE_UNAVAILABLE"}
    assert {result.problem.code for result in placed.results} == {"ENGINE_UNAVAILABLE"}
    running.cancel()
