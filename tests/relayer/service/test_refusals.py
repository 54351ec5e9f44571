"""Refusals that nobody pays for: they are not written down without end, and no accepted order is denied for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxdex.facts import Credited
from cxdex.order import Side
from relayer.engine.commands import SetLimits
from relayer.engine.core import Engine
from relayer.engine.limit_terms import Limits, LimitTable
from relayer.refusal_budget import RefusalBudget
from relayer.wire import CancelAndPlaceStep, PlaceStep, ReplaceStep
from tests.relayer.service.running_engine import ChainFacts, RunningEngine, account, signed, wait_for_market

ALICE, BOB, POOR, STRANGER = (account(number) for number in (1, 2, 3, 9))
BURST = 20


@pytest.fixture
def engine(tmp_path: Path) -> RunningEngine:
    limits = tmp_path / "limits.json"
    limits.write_text(f'{{"tiers": [{{"maxOrdersPerSecond": 1, "orderBurst": {BURST}}}]}}')
    return RunningEngine(tmp_path, "--limits", str(limits))


async def test_orders_of_a_key_that_the_exchange_never_saw_are_not_written_down(
    engine: RunningEngine, facts: ChainFacts
) -> None:
    facts.open_market([ALICE])
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, [ALICE])
        before = (await client.status()).journal_sequence
        orders = [signed(STRANGER, lane, Side.SELL, 1000, 1) for lane in range(50)]
        codes = [result.problem.code for result in await client.place(orders) if result.problem]
        assert codes == ["BALANCE_INSUFFICIENT"] * 50
        steps = [PlaceStep(orders[0]), ReplaceStep(orders[1], b"x" * 32), CancelAndPlaceStep(orders[2], b"x" * 32)]
        codes = [result.problem.code for result in await client.take(steps) if result.problem]
        assert codes == ["BALANCE_INSUFFICIENT", "ORDER_UNKNOWN", "ORDER_UNKNOWN"]
        assert (await client.status()).journal_sequence == before
    engine.close()


async def test_an_account_that_is_refused_without_end_is_not_written_down_without_end(
    engine: RunningEngine, facts: ChainFacts
) -> None:
    """A unit of USDC makes it known. What it placed before stays its own, also when it is sent again."""
    facts.open_market([ALICE, BOB])
    facts.append(Credited(POOR, 0, 10**8))
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, [ALICE, BOB])
        mine = signed(POOR, 0, Side.BUY, 1000, 1)
        (placed,) = await client.place([mine])
        assert placed.problem is None
        await client.cancel(POOR, [mine.digest])
        for _ in range(2):  # the budget fills itself again meanwhile
            await client.place([signed(POOR, 1, Side.SELL, 1000, lots) for lots in range(1, BURST + 1)])
        before = (await client.status()).journal_sequence
        results = await client.place([signed(POOR, 2, Side.SELL, 1000, 1), mine, signed(ALICE, 0, Side.SELL, 2000, 1)])
        codes = [result.problem and result.problem.code for result in results]
        assert codes == ["RATE_LIMITED", None, None]
        assert results[1].state is not None
        assert results[1].state.status == "CANCELLED"
        (step,) = await client.take([PlaceStep(signed(POOR, 3, Side.SELL, 1000, 1))])
        assert step.problem is not None
        assert step.problem.code == "RATE_LIMITED"
        assert (await client.status()).journal_sequence == before + 1
    engine.close()


def test_the_budget_comes_back_at_the_accounts_own_rate() -> None:
    engine = Engine()
    engine.apply(SetLimits(5, LimitTable((Limits(orders_per_second=1, order_burst=BURST),))))
    now = [0.0]
    budget = RefusalBudget(engine, lambda: now[0])
    for _ in range(BURST):
        assert budget.refusal(ALICE) is None
        budget.charge(ALICE)
    assert budget.refusal(ALICE) is not None
    assert budget.refusal(BOB) is None
    now[0] += 1.0
    assert budget.refusal(ALICE) is None
