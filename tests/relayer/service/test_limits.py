"""The operator's limits in a real engine process: from the file to a refusal, and after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cxdex.facts import PriceUpdated
from cxdex.order import Side
from cxdex.problem import Problem
from relayer.client import EngineClient
from relayer.engine.limit_terms import NO_LIMITS
from relayer.limits_file import DEFAULTS, load_limits
from relayer.wire import PlaceResult
from tests.relayer.service.running_engine import (
    BASE,
    ROOT,
    Audit,
    ChainFacts,
    RunningEngine,
    account,
    signed,
    until,
    wait_for_market,
)

ALICE, BOB = account(1), account(2)
SMALL = {"tiers": [{"maxOpenOrders": 2, "maxOrderNotional": "0.01"}]}


def limits_file(folder: Path, value: Any) -> str:
    path = folder / "limits.json"
    path.write_text(json.dumps(value))
    return str(path)


async def begin(engine: RunningEngine, client: EngineClient, facts: ChainFacts) -> None:
    facts.open_market([ALICE, BOB])
    engine.start()
    await wait_for_market(client, [ALICE, BOB])


async def place(client: EngineClient, lane: int, price: int = 10, quantity: int = 1, who: bytes = ALICE) -> PlaceResult:
    (result,) = await client.place([signed(who, lane, Side.BUY, price, quantity)])
    return result


def code(result: PlaceResult) -> str | None:
    return None if result.problem is None else result.problem.code


async def test_a_kill_and_another_file_change_what_is_refused_and_nothing_else(
    tmp_path: Path, facts: ChainFacts
) -> None:
    engine = RunningEngine(tmp_path, "--limits", limits_file(tmp_path, SMALL))
    try:
        async with engine.client() as client:
            await begin(engine, client, facts)
            assert [code(await place(client, lane)) for lane in range(3)] == [None, None, "ORDER_TOO_MANY_OPEN"]
            large = await place(client, 3, 10, 11, BOB)
            assert large.problem is not None
            assert (large.problem.code, large.problem.given) == ("ORDER_TOO_LARGE", "0.011 USDC")
            assert large.problem.allowed == "at most 0.01 USDC"
            limits = (await client.account(ALICE)).limits
            assert (limits.open_orders, limits.daily_volume) == (2, DEFAULTS.daily_volume)
            engine.kill()

            engine.start()
            assert code(await place(client, 4)) == "ORDER_TOO_MANY_OPEN"
            engine.kill()

            limits_file(tmp_path, {"accounts": {"0x" + ALICE.hex(): {"maxOpenOrders": 3}}, **SMALL})
            engine.start()
            assert [code(await place(client, lane)) for lane in (5, 6)] == [None, "ORDER_TOO_MANY_OPEN"]
            assert engine.stop() == 0
    finally:
        engine.close()
    audit = Audit(engine)
    audit.check()
    audit.check_snapshot()
    assert len(audit.orders) == 3


async def test_the_oracles_price_reaches_the_band(tmp_path: Path, facts: ChainFacts) -> None:
    engine = RunningEngine(tmp_path, "--limits", limits_file(tmp_path, {}))
    try:
        async with engine.client() as client:
            await begin(engine, client, facts)
            assert code(await place(client, 0, price=900)) is None
            facts.append(PriceUpdated(BASE, 10**9, int(time.time())))  # a tick is 1 USDC of a whole synth
            lanes = count(1)

            async def is_refused() -> PlaceResult | None:
                tried = await place(client, next(lanes), price=1_201)
                await client.cancel(ALICE, [tried.digest])
                return tried if tried.problem is not None else None

            refused = await until("the price", is_refused)
            assert refused.problem is not None
            assert (refused.problem.code, refused.problem.allowed) == ("ORDER_PRICE_OUT_OF_BAND", "at most 1200")
            assert code(await place(client, next(lanes), price=1_200)) is None
    finally:
        engine.close()


def test_defaults_and_off() -> None:
    (tier,) = load_limits(None).tiers
    assert (tier.order_notional, tier.open_orders) == (1_000_000 * 10**6, 100)
    assert (tier.daily_volume, tier.band_bps) == (10_000_000 * 10**6, 2_000)
    assert (tier.orders_per_second, tier.order_burst) == (100, 1_000)
    assert load_limits("off") == NO_LIMITS


def test_a_file_may_leave_out_lift_and_change(tmp_path: Path) -> None:
    table = load_limits(limits_file(tmp_path, {"tiers": [{}, {"maxDailyVolume": None}], "indexMaxAgeSeconds": 60}))
    assert table.tiers[0] == DEFAULTS
    assert table.tiers[1].daily_volume is None
    assert table.tiers[1].open_orders == DEFAULTS.open_orders
    assert (table.accounts, table.index_seconds) == ((), 60)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "the file must be an object"),
        ({"tier": []}, "'tier'; known are tiers"),
        ({"tiers": []}, "a list of 1 to 5"),
        ({"tiers": [{"maxOpenOrders": "5"}]}, r"tiers.0.maxOpenOrders must be a whole number"),
        ({"tiers": [{"maxOpenOrders": True}]}, "whole number"),
        ({"tiers": [{"maxOpenOrders": -1}]}, "whole number"),
        ({"tiers": [{"maxOrderNotional": 5}]}, "decimal string"),
        ({"tiers": [{"maxOrders": 5}]}, "'maxOrders'"),
        ({"tiers": [{"orderBurst": None}]}, "whole number"),
        ({"accounts": {"alice": {}}}, "no address"),
        ({"accounts": {f"0x{number:040x}": {} for number in range(50_001)}}, "at most 50000"),
        ({"accounts": {"0x" + ALICE.hex(): 5}}, "must be an object"),
        ({"indexMaxAgeSeconds": None}, "indexMaxAgeSeconds"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, value: Any, says: str) -> None:
    with pytest.raises(Problem, match=says) as caught:
        load_limits(limits_file(tmp_path, value))
    assert caught.value.code == "LIMITS_INVALID"


def test_the_process_refuses_to_start_and_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text("{")
    done = subprocess.run(
        [
            sys.executable, "-m", "relayer", "engine", "--state", str(tmp_path),
            "--database", f"sqlite:///{tmp_path / 'exchange.db'}", "--limits", str(tmp_path / "limits.json"),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"engine: LIMITS_INVALID: {tmp_path}/limits.json is not JSON")
