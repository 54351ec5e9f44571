"""Refusals that nobody pays for: they are not written down without end, and no accepted order is denied for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy.exc import OperationalError

from cxdex.facts import Credited, SessionSet
from cxdex.order import Side, SignatureKind, TimeInForce
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet
from relayer.cosigner import Cosigner
from relayer.engine.commands import AnyCommand, ApplyFact, Place, SetLimits
from relayer.engine.core import Engine
from relayer.engine.limit_terms import Limits, LimitTable
from relayer.engine.state import CLOSED_ORDERS_KEPT
from relayer.order_table import OrderTables
from relayer.refusal_budget import RefusalBudget
from relayer.request_handler import RequestHandler
from relayer.sequencer import Applied
from relayer.wire import (
    AnyStep,
    CancelAllOrders,
    CancelAndPlaceStep,
    CancelOrders,
    CancelStep,
    EndWatch,
    GetOrder,
    OrderState,
    PlaceOrders,
    PlaceStep,
    ReplaceStep,
    SetCountdown,
    StepResult,
    TakeSteps,
    WatchConnection,
    WireOrder,
    WithdrawInstantly,
)
from tests.relayer.service.running_engine import (
    DOMAIN,
    LISTED,
    ChainFacts,
    RunningEngine,
    account,
    as_sent,
    signed,
    wait_for_market,
)
from tests.relayer.service.test_parts import ACTIVE, Parts

ALICE, BOB, POOR, STRANGER = (account(number) for number in (1, 2, 3, 9))
BURST = 20
IOC = TimeInForce.IOC


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


class MovableTables(OrderTables):
    """is_away: as a database that refuses to answer."""

    is_away = False

    def find(self, digest: bytes) -> OrderState | None:
        if self.is_away:
            raise OperationalError("SELECT", None, Exception("connection refused"))
        return super().find(digest)


class Exchange:
    """The parts of an engine, in this process, with a clock that stands still and one order a second."""

    def __init__(self, state: Path) -> None:
        self.parts = parts = Parts(state)
        parts.sequencer._publish = self._publish
        self.tables = MovableTables(parts.database)
        self.now = 0.0
        self.handler = RequestHandler(
            parts.sequencer,
            parts.projector,
            self.tables,
            parts.thread,
            "e",
            clock=lambda: self.now,
            cosigner=Cosigner(LocalWallet(b"\x01" * 32), DOMAIN),
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        parts = self.parts
        self._tasks = [asyncio.create_task(part.run()) for part in (parts.sequencer, parts.projector)]
        facts = [LISTED, ACTIVE, *(Credited(who, asset, 10**20) for who in (ALICE, BOB) for asset in (0, 2))]
        now = parts.sequencer.now_ms()
        commands: list[AnyCommand] = [SetLimits(now, LimitTable((Limits(orders_per_second=1, order_burst=BURST),)))]
        commands += [ApplyFact(now, n, 0, n, False, fact) for n, fact in enumerate(facts, 1)]
        await parts.sequencer.submit(commands)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    @property
    def written(self) -> int:
        return self.parts.sequencer.sequence

    async def place(self, *orders: WireOrder) -> list[str]:
        """The code of each refusal, or the order's status."""
        results = (await self.handler.answer(PlaceOrders(1, list(orders)))).results
        return [result.problem.code if result.problem else result.state.status for result in results]

    async def take(self, *steps: AnyStep) -> list[StepResult]:
        return (await self.handler.answer(TakeSteps(1, list(steps)))).results

    async def cancel(self, who: bytes, *digests: bytes, names: tuple[str, ...] = ()) -> list[str]:
        results = (await self.handler.answer(CancelOrders(1, who, list(digests), list(names)))).results
        return [result.problem.code if result.problem else result.state.status for result in results]

    async def forget_closed(self) -> None:
        """So many orders are closed that the engine remembers none from before."""
        now = self.parts.sequencer.now_ms()
        for start in range(0, CLOSED_ORDERS_KEPT + 500, 500):
            orders = [signed(BOB, 9, Side.BUY, 5, 1, seq=start + n + 1, tif=IOC) for n in range(500)]
            placing = [Place(now, one.order, one.signature, one.digest) for one in orders]
            await self.parts.sequencer.submit([SetLimits(now, LimitTable()), *placing])
        await self.parts.sequencer.submit(
            [SetLimits(now, LimitTable((Limits(orders_per_second=1, order_burst=BURST),)))]
        )

    def _publish(self, batch: list[Applied]) -> None:
        for one in batch:
            self.parts.projector.enqueue(one.sequence, one.events)


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    made = Exchange(tmp_path)
    await made.open()
    yield made
    made.close()


async def test_old_orders_that_anybody_sends_again_cost_their_account_nothing(exchange: Exchange) -> None:
    """The chain shows the signatures of all that has settled."""
    mine = signed(ALICE, 0, Side.SELL, 1000, 10)
    newer = as_sent(replace(mine.order, expiry=mine.order.expiry + 1))
    newest = as_sent(replace(mine.order, expiry=mine.order.expiry + 2))
    gone = signed(ALICE, 1, Side.SELL, 1000, 10)
    assert await exchange.place(mine, gone) == ["OPEN", "OPEN"]
    await exchange.take(ReplaceStep(newer, mine.digest), ReplaceStep(newest, newer.digest))
    assert await exchange.cancel(ALICE, gone.digest) == ["CANCELLED"]
    await exchange.forget_closed()
    assert exchange.parts.sequencer.engine.order_state(mine.digest) is None
    before = exchange.written
    for _ in range(2 * BURST):
        assert await exchange.place(gone, mine, newer) == ["CANCELLED"] * 3
        steps = [PlaceStep(gone), ReplaceStep(mine, newest.digest), ReplaceStep(newer, b"?" * 32)]
        states = [result.state and result.state.status for result in await exchange.take(*steps)]
        assert states == ["CANCELLED"] * 3
    assert exchange.written == before, "nothing of it is written down"
    assert await exchange.place(signed(ALICE, 2, Side.SELL, 1000, 1)) == ["OPEN"]


async def test_a_key_whose_session_has_ended_costs_its_account_nothing(exchange: Exchange) -> None:
    before = exchange.written
    for lane in range(2 * BURST):
        order = signed(ALICE, lane, Side.SELL, 1000, 1)
        stolen = structs.replace(order, kind=SignatureKind.SESSION, signer=b"k" * 20)
        assert await exchange.place(stolen) == ["SESSION_NOT_LIVE"]
    assert exchange.written == before
    assert await exchange.place(signed(ALICE, 0, Side.SELL, 1000, 1)) == ["OPEN"]


async def test_refusals_of_a_session_key_do_not_stop_the_account(exchange: Exchange) -> None:
    sequencer = exchange.parts.sequencer
    fact = SessionSet(ALICE, b"k" * 20, None, 10**20, 2**31)
    await sequencer.submit([ApplyFact(sequencer.now_ms(), 99, 0, 99, False, fact)])
    codes = []
    for lane in range(BURST + 1):
        order = signed(ALICE, lane, Side.SELL, 1000, 10**9)
        mine = structs.replace(order, kind=SignatureKind.SESSION, signer=b"k" * 20)
        codes += await exchange.place(mine)
    assert codes == ["BALANCE_INSUFFICIENT"] * BURST + ["RATE_LIMITED"]
    assert await exchange.place(signed(ALICE, 0, Side.SELL, 1000, 1)) == ["OPEN"]


# ------------------------------------------------------------------ cancels of what nobody has seen


def unseen(number: int) -> bytes:
    return b"unseen" + number.to_bytes(26, "big")


async def test_cancels_of_ids_that_nobody_has_seen_are_bounded_and_others_never(exchange: Exchange) -> None:
    mine = signed(ALICE, 0, Side.SELL, 1000, 1)
    late = signed(ALICE, 1, Side.SELL, 1000, 1)
    assert await exchange.place(mine) == ["OPEN"]
    assert await exchange.cancel(ALICE, late.digest) == ["ORDER_UNKNOWN"]
    assert await exchange.place(late) == ["ORDER_CANCELLED_BEFORE"]
    ids = [unseen(number) for number in range(BURST + 5)]
    assert await exchange.cancel(ALICE, *ids) == ["ORDER_UNKNOWN"] * (BURST - 1) + ["RATE_LIMITED"] * 6
    before = exchange.written
    results = await exchange.take(*(CancelStep(ALICE, digest) for digest in ids))
    assert {result.problem.code for result in results if result.problem} == {"RATE_LIMITED"}
    assert await exchange.cancel(ALICE, *ids) == ["RATE_LIMITED"] * len(ids)
    assert exchange.written == before
    assert await exchange.cancel(ALICE, mine.digest, ids[0]) == ["CANCELLED", "RATE_LIMITED"]
    assert await exchange.cancel(BOB, unseen(0)) == ["ORDER_UNKNOWN"], "another account has its own"
    exchange.now += 2
    assert await exchange.cancel(ALICE, *ids[:3]) == ["ORDER_UNKNOWN"] * 2 + ["RATE_LIMITED"]


async def test_a_cancel_beyond_the_bound_still_takes_an_order_that_is_on_its_way(exchange: Exchange) -> None:
    await exchange.cancel(ALICE, *(unseen(number) for number in range(BURST + 1)))
    mine, named = signed(ALICE, 0, Side.SELL, 1000, 1), as_sent(signed(ALICE, 1, Side.SELL, 1000, 1).order, "mine")
    placing = asyncio.create_task(exchange.place(mine, named))
    await asyncio.sleep(0)
    assert await exchange.cancel(ALICE, mine.digest, names=("mine",)) == ["CANCELLED", "CANCELLED"]
    await placing
    steps = await exchange.take(
        PlaceStep(again := signed(ALICE, 2, Side.SELL, 1000, 1)), CancelStep(ALICE, again.digest)
    )
    assert [len(result.cancelled) for result in steps] == [0, 1]


async def test_cancels_that_find_nothing_are_not_written_down(exchange: Exchange) -> None:
    """Of names, of everything, and of what is another's."""
    (theirs, coming) = (signed(BOB, lane, Side.SELL, 1000, 1) for lane in (0, 1))
    assert await exchange.place(theirs) == ["OPEN"]
    placing = asyncio.create_task(exchange.place(coming))
    await asyncio.sleep(0)
    before = exchange.written
    assert await exchange.cancel(ALICE, theirs.digest, names=("mine",)) == ["ORDER_UNKNOWN"] * 2
    assert (await exchange.handler.answer(CancelAllOrders(1, ALICE, None, None))).results == []
    steps = await exchange.take(CancelStep(ALICE, theirs.digest), CancelStep(ALICE, client_order_id="mine"))
    assert [result.problem and result.problem.code for result in steps] == ["ORDER_UNKNOWN"] * 2
    await placing
    assert exchange.written == before + 1


async def test_a_database_that_is_away_holds_back_no_cancel_and_no_answer_about_others(exchange: Exchange) -> None:
    old, named, fresh = (signed(ALICE, lane, Side.SELL, 1000, 1) for lane in range(3))
    gone = signed(ALICE, 3, Side.SELL, 1000, 1)
    assert await exchange.place(old, named, gone) == ["OPEN"] * 3
    assert await exchange.cancel(ALICE, gone.digest) == ["CANCELLED"]
    await exchange.forget_closed()
    exchange.tables.is_away = True
    codes = await exchange.cancel(ALICE, gone.digest, old.digest, unseen(1), names=("c1",))
    assert codes == ["ENGINE_UNAVAILABLE", "CANCELLED", "ENGINE_UNAVAILABLE", "CANCELLED"]
    assert await exchange.place(gone, fresh) == ["ENGINE_UNAVAILABLE", "OPEN"]
    assert await exchange.cancel(ALICE, fresh.digest) == ["CANCELLED"]
    with pytest.raises(Problem, match="ENGINE_UNAVAILABLE"):
        await exchange.handler.answer(GetOrder(1, gone.digest))
    exchange.tables.is_away = False
    assert await exchange.place(gone) == ["CANCELLED"]
    late = as_sent(replace(fresh.order, nonce=fresh.order.nonce + 1))
    exchange.tables.is_away = True
    await exchange.cancel(ALICE, late.digest)
    exchange.tables.is_away = False
    assert await exchange.place(late) == ["ORDER_CANCELLED_BEFORE"], "what cannot be looked up is remembered"


async def test_settings_and_withdrawals_are_bounded_and_strangers_write_nothing(exchange: Exchange) -> None:
    before = exchange.written
    stranger = b"\x77" * 20
    for request in (
        WithdrawInstantly(1, stranger, 0, 1, False, stranger, 1),
        SetCountdown(1, stranger, 5),
        WatchConnection(1, stranger, b"c" * 16),
    ):
        with pytest.raises(Problem, match="ACCOUNT_UNKNOWN"):
            await exchange.handler.answer(request)
    for lost in (True, False):
        await exchange.handler.answer(EndWatch(1, stranger, b"c" * 16, lost))
        await exchange.handler.answer(EndWatch(1, ALICE, b"c" * 16, False))
    assert exchange.written == before
    for _ in range(BURST):
        await exchange.handler.answer(SetCountdown(1, ALICE, 60))
    with pytest.raises(Problem, match="RATE_LIMITED"):
        await exchange.handler.answer(SetCountdown(1, ALICE, 60))
    assert exchange.written == before + BURST
    assert await exchange.place(signed(ALICE, 0, Side.SELL, 1000, 1)) == ["OPEN"]
