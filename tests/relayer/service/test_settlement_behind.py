"""New orders are refused while the chain is behind; whoever wants out is not."""

from __future__ import annotations

import time
from itertools import count

from cxdex.order import Side
from cxdex.problem import Problem
from cxdex.storage import open_database
from relayer.settler.state import SettlerState
from relayer.settler.store import Store
from tests.relayer.service.running_engine import ChainFacts, RunningEngine, account, signed, until, wait_for_market

ALICE = account(1)
PROMISE_MS = 120_000


def now_ms() -> int:
    return time.time_ns() // 10**6


class SettlersWord:
    def __init__(self, engine: RunningEngine) -> None:
        self._store = Store(open_database(f"sqlite:///{engine.database}"))
        self._store.open()

    def say(self, oldest_ms: int | None, age_ms: int = 0, waiting: int = 3) -> None:
        self._store.write_state(SettlerState(now_ms() - age_ms, oldest_ms, waiting, PROMISE_MS, 0))


async def test_late_settlement_stops_new_orders_and_nothing_else(engine: RunningEngine, facts: ChainFacts) -> None:
    facts.open_market([ALICE])
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, [ALICE])
        (first,) = await client.place([signed(ALICE, 1, Side.SELL, 1000, 1)])
        assert first.state is not None, "without a settler nothing is refused"

        lanes = count(2)

        async def refusal() -> Problem | None:
            try:
                await client.place([signed(ALICE, next(lanes), Side.SELL, 1000, 1)])
            except Problem as refused:
                return refused
            return None

        async def is_accepted() -> bool:
            return await refusal() is None

        word = SettlersWord(engine)
        word.say(now_ms() - PROMISE_MS - 1_000)
        refused = await until("the refusal", refusal)
        assert refused is not None
        assert refused.code == "SETTLEMENT_BEHIND"
        assert "the oldest of 3 fills" in refused.detail
        (cancelled,) = await client.cancel(ALICE, [first.digest])
        assert cancelled.problem is None
        word.say(now_ms() - PROMISE_MS + 60_000)
        await until("orders while it is late, but not too late", is_accepted)

        word.say(now_ms() - PROMISE_MS - 1_000)
        await until("the second refusal", refusal)
        word.say(None, waiting=0)
        await until("orders when nothing waits", is_accepted)
    assert engine.stop() == 0
    assert engine.log.read_text().count("ALERT: new orders wait") == 2


async def test_what_a_settler_said_before_the_start_is_not_held_against_the_traders(
    engine: RunningEngine, facts: ChainFacts
) -> None:
    facts.open_market([ALICE])
    SettlersWord(engine).say(now_ms() - 10 * PROMISE_MS, age_ms=9 * PROMISE_MS)
    engine.start()
    async with engine.client() as client:
        await wait_for_market(client, [ALICE])
        assert (await client.place([signed(ALICE, 1, Side.SELL, 1000, 1)]))[0].state is not None
    assert engine.stop() == 0
