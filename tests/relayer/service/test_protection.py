"""Market-maker protection through the engine process: it outlives a kill, tripped or not."""

from __future__ import annotations

import pytest

from cxdex.order import Side
from cxdex.problem import Problem
from relayer.wire import GuardState
from tests.relayer.service.running_engine import MARKET, Audit, ChainFacts, RunningEngine, account, signed
from tests.relayer.service.running_engine import wait_for_market as until_market

ALICE, BOB = account(1), account(2)
GUARD = GuardState(MARKET, 600_000, 4, None, 0)


async def test_a_protection_outlives_a_kill(engine: RunningEngine, facts: ChainFacts) -> None:
    facts.open_market([ALICE, BOB])
    engine.start()
    async with engine.client() as client:
        await until_market(client, [ALICE, BOB])
        assert await client.set_guard(ALICE, GUARD) == [GUARD]
        await client.place([signed(ALICE, lane, Side.SELL, 10 + lane, 3) for lane in range(3)])
        await client.place([signed(BOB, 0, Side.BUY, 10, 3)])
        engine.kill()

        engine.start()
        assert await client.guards(ALICE) == [GUARD]
        assert len(await client.open_orders(ALICE)) == 2
        await client.place([signed(BOB, 1, Side.BUY, 11, 1)])
        assert await client.open_orders(ALICE) == []
        engine.kill()

        engine.start()
        (tripped,) = await client.guards(ALICE)
        assert tripped.until_ms == 0
        (refused,) = await client.place([signed(ALICE, 9, Side.SELL, 10, 1)])
        assert refused.problem is not None
        assert refused.problem.code == "PROTECTION_TRIPPED"
        assert await client.reset_guard(ALICE, MARKET) == [GUARD]
        with pytest.raises(Problem, match="PROTECTION_UNKNOWN"):
            await client.reset_guard(BOB, MARKET)
        with pytest.raises(Problem, match="MARKET_UNKNOWN"):
            await client.set_guard(BOB, GuardState("sDOGE-USDC", 5, 1))
        assert engine.stop() == 0
    audit = Audit(engine)
    audit.check()
    audit.check_snapshot()
