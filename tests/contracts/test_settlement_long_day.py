"""One long run of random trading, made so that everything that can happen does, together."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from cxdex.batch import SkipReason
from cxdex.condition import Trigger
from tests.contracts.random_trading import LANES, TRADERS
from tests.contracts.settlement_desk import BTC, CASH, CORE, SBTC, SETH, STRANGER
from tests.contracts.test_settlement_reference import KEYS, SILENCE, SYNTH_PRICE, RandomTrading, trading_machine


@pytest.fixture(scope="module")
def machine(bytecode_of: Callable[[str], bytes]) -> type[RandomTrading]:
    return trading_machine(bytecode_of)


def long_day(trading: RandomTrading, draw: random.Random) -> None:
    """One action, chosen so that everything happens often enough together."""
    trader, place = draw.choice(TRADERS), draw.randrange(6)
    match draw.choice(
        ("trade",) * 8
        + ("time", "tier", "withdraw", "deposit", "price", "index", "index", "session", "session", "cancel")
    ):
        case "trade":
            trading.trade(draw, CORE if draw.random() < 0.8 else STRANGER)
        case "time":
            trading.time_passes(draw.choice((60, 60, 300, SILENCE)))
        case "tier":
            trading.one_changes_tier(place, draw.choice((10**9, 10**11, 10**12)))
            trading.wash(trader, draw.choice(TRADERS), 100, 3)
        case "withdraw":
            trading.one_withdraws_everything(place)
            trading.wallet_changes_its_mind(draw.random() < 0.5)
        case "deposit":
            for account in trading.accounts:
                trading.deposit(account, draw.choice((CASH, SBTC, SETH)), draw.randint(0, 10**6))
        case "price":
            trading.the_price_moves(draw.choice((SYNTH_PRICE // 2, SYNTH_PRICE, 2 * SYNTH_PRICE)))
            trading.core_beats()
        case "index":
            for asset in (SBTC, SETH):
                trading.the_index_moves(draw, asset)
        case "session":
            market, notional = draw.choice(("", "", BTC)), draw.choice((3_000, 20_000, 2**96 - 1))
            trading.make_session(trader, draw.choice(KEYS), market, notional, draw.choice((90, 10**6)))
        case "cancel":
            lane = draw.choice(LANES)
            seq = trading.ledger.lane(trader.account, lane)[0] + draw.randint(0, 1)
            trading.cancel(trader, lane, seq, trading.ledger.epochs[trader.account], draw.random() < 0.5)
            if draw.random() < 0.1:
                trading.cancel_all(trader)
                trading.revoke_session(trader, draw.choice(KEYS))


def test_a_long_run_meets_everything_that_can_happen(machine: type[RandomTrading]) -> None:
    """Several hundred actions on one ledger; each reason for a skip, minting and settling by strangers occur."""
    draw = random.Random(3)
    machine.seen = Counter()
    for _ in range(6):
        trading = machine()
        trading.start()
        for _ in range(300):
            long_day(trading, draw)
            trading.every_promise_holds()
        trading.teardown()
    reasons = {reason.name for reason in SkipReason if reason is not SkipReason.VOIDED}
    tries = ("X:EARLY", "X:UNMET", "X:PROOF", "X:ORDER", "O:NONE")
    expected = ["Fill", "minted", "by anyone", *reasons, *tries, *(trigger.name for trigger in Trigger)]
    expected += [f"hostile wallet {mode}" for mode in machine.hostile.values()]
    seldom = [name for name in expected if machine.seen[name] < 3]
    assert seldom == []  # else the run proves less than it says
