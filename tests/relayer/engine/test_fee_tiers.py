"""Fees by tier: what the match charges, and what the chain charged in the end."""

from __future__ import annotations

import pytest
from trading_desk import ALICE, BOB, BTC, Desk, of_type

from cxdex.batch import SkipReason
from cxdex.facts import Credited, Debited, FillSettled, FillSkipped, SettledTerms
from relayer.engine.core import Engine
from relayer.engine.events import FillCharged, FillVoided, OrderClosed, Traded

CXPT = 1
NOTIONAL = 10_000 * 100


def trade(desk: Desk, **changes) -> Traded:
    """Bob rests a sale of 10,000 lots at 100, Alice takes it."""
    desk.sell(BOB, 10_000, 100)
    _, events = desk.buy(ALICE, 10_000, 100, **changes)
    return of_type(events, Traded)[0]


def settled(made: Traded, maker_fee: int, taker_fee: int, **changes) -> FillSettled:
    fields = {"quantity": made.quantity, "price": made.price, **changes}
    terms = SettledTerms(
        made.maker_order,
        made.taker_order,
        made.taker_is_buyer,
        fields["price"],
        fields["quantity"],
        maker_fee,
        taker_fee,
    )
    return FillSettled(made.market, made.sequence, terms)


@pytest.mark.parametrize(
    ("cxpt", "tier", "fee"),
    [
        (10**9 - 1, 0, 2_500),
        (10**9, 1, 2_250),
        (10**10, 2, 2_000),
        (10**11, 3, 1_750),
        (10**12, 4, 1_500),
        (10**15, 4, 1_500),
    ],
)
def test_cxpt_in_the_account_lowers_its_fee_and_nobody_elses(cxpt: int, tier: int, fee: int) -> None:
    desk = Desk()
    desk.fact(Credited(ALICE, CXPT, cxpt))
    assert (desk.engine.tier(ALICE), desk.engine.tier(BOB)) == (tier, 0)
    made = trade(desk)
    assert (made.taker_fee, made.maker_fee) == (fee, 2_500)
    assert desk.engine.balances(ALICE)[0][0] == 10**15 - NOTIONAL - fee


def test_announcing_the_cxpts_withdrawal_ends_the_tier() -> None:
    desk = Desk()
    desk.fact(Credited(ALICE, CXPT, 10**10))
    desk.fact(Debited(ALICE, CXPT, 1))
    assert desk.engine.tier(ALICE) == 1
    assert Engine.restore(desk.engine.snapshot()).tier(ALICE) == 1
    assert trade(desk).taker_fee == 2_250


def test_the_chains_fee_counts_and_a_reorg_takes_it_back() -> None:
    desk = Desk()
    made = trade(desk)
    before = {who: desk.engine.balances(who) for who in (ALICE, BOB)}
    fact = settled(made, 2_250, 2_000)
    assert of_type(desk.fact(fact, at=(50, 0)), FillCharged) == [
        FillCharged(desk.now_ms, made.match_id, BTC.symbol, 0, 2_250, 2_000)
    ]
    assert desk.engine.balances(BOB)[0][0] == before[BOB][0][0] + 250
    assert desk.engine.balances(ALICE)[0][0] == before[ALICE][0][0] + 500
    events = desk.fact(fact, at=(50, 0), reverted=True)
    assert of_type(events, FillCharged)[0].taker_fee == made.taker_fee
    assert {who: desk.engine.balances(who) for who in (ALICE, BOB)} == before
    desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.BUYER_BALANCE), at=(51, 0))
    assert (desk.engine.balances(ALICE)[0][0], desk.engine.balances(BOB)[0][0]) == (10**15, 10**15)


def test_the_foreseen_fee_needs_no_correction() -> None:
    desk = Desk()
    made = trade(desk)
    assert desk.fact(settled(made, made.maker_fee, made.taker_fee)) == []


def test_a_higher_fee_than_foreseen_closes_what_it_uncovers() -> None:
    desk = Desk(usdc=NOTIONAL + 2_500)
    desk.fact(Credited(ALICE, CXPT, 10**12))
    made = trade(desk, max_fee_bps=25)
    assert made.taker_fee == 1_500
    resting, _ = desk.buy(ALICE, 10, 99)
    events = desk.fact(settled(made, made.maker_fee, 2_250))
    assert [(event.digest, event.reason) for event in of_type(events, OrderClosed)] == [(resting, "FEE_CHANGED")]


def test_the_same_orders_in_another_quantity_are_another_fill() -> None:
    """After six silent hours anybody may settle, and not necessarily what the engine matched."""
    desk = Desk()
    made = trade(desk)
    events = desk.fact(settled(made, 3, 3, quantity=1))
    assert [event.reason for event in of_type(events, FillVoided)] == [SkipReason.VOIDED]
    assert desk.engine.balances(ALICE)[0][0] == 10**15 - 100 - 3
    assert desk.engine.balances(ALICE)[2][0] == 10**24 + 10**14
