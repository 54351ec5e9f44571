"""What the engine makes of the chain's word: money, settled and skipped fills, cancels, markets, and reorgs."""

from __future__ import annotations

import msgspec
import pytest
from trading_desk import ALICE, ASSETS, BOB, BTC, CAROL, ETH, Desk, nonce, of_type

from cxdex.batch import SkipReason
from cxdex.facts import (
    Credited,
    Debited,
    EpochRaised,
    FillSettled,
    FillSkipped,
    MarketListed,
    MarketStatusChanged,
    NonceRaised,
    SettledTerms,
)
from cxdex.fees import fill_fee
from cxdex.market import MarketStatus
from cxdex.nonce import pack_nonce
from cxdex.order_word import order_word
from relayer.engine.chain import LEAST_FACTS, UNDO_BLOCKS
from relayer.engine.core import Engine
from relayer.engine.events import (
    BalanceChanged,
    FillRestored,
    FillVoided,
    LevelChanged,
    MarketChanged,
    OrderClosed,
    OrderRejected,
    Traded,
)


def closings(events) -> list[tuple[bytes, str, str]]:
    return [(event.digest, event.status, event.reason) for event in of_type(events, OrderClosed)]


def all_balances(engine: Engine) -> dict:
    return {account: engine.balances(account) for account in (ALICE, BOB, CAROL)}


def test_deposits_and_withdrawals_change_totals() -> None:
    desk = Desk(usdc=0)
    (event,) = desk.fact(Credited(ALICE, 0, 2**100))
    assert event == BalanceChanged(desk.now_ms, ALICE, 0, 2**100, 0)
    (event,) = desk.fact(Debited(ALICE, 0, 1))
    assert event.total == 2**100 - 1


def test_a_withdrawal_cancels_the_newest_orders_it_uncovers() -> None:
    desk = Desk(usdc=100_150)
    oldest, _ = desk.buy(ALICE, 100, 300, max_fee_bps=25)
    selling, _ = desk.sell(ALICE, 100, 900)
    middle, _ = desk.buy(ALICE, 100, 200, max_fee_bps=25)
    newest, _ = desk.buy(ALICE, 100, 100, max_fee_bps=25)
    events = desk.fact(Debited(ALICE, 0, 60_000))
    assert closings(events) == [
        (newest, "CANCELLED", "BALANCE_WITHDRAWN"),
        (middle, "CANCELLED", "BALANCE_WITHDRAWN"),
    ]
    assert {view.digest for view in desk.engine.open_orders(ALICE)} == {oldest, selling}
    assert desk.engine.balances(ALICE)[0] == (40_150, 30_075)
    assert [(event.price, event.quantity) for event in of_type(events, LevelChanged)] == [(100, 0), (200, 0)]


def traded_desk() -> tuple[Desk, bytes, bytes, Traded]:
    """Alice rests a buy of 10, Bob sells 4 into it."""
    desk = Desk()
    buy, _ = desk.buy(ALICE, 10, 100)
    sell, events = desk.sell(BOB, 4, 90)
    (trade,) = of_type(events, Traded)
    return desk, buy, sell, trade


def test_a_trade_moves_what_the_contract_will_move() -> None:
    desk, _, _, trade = traded_desk()
    notional = 4 * 100
    fee = fill_fee(notional, 25, 50)
    assert (trade.price, trade.quantity, trade.maker_fee, trade.taker_fee) == (100, 4, fee, fee)
    assert (trade.match_id, trade.sequence, trade.taker_is_buyer) == (1, 0, False)
    alice, bob = desk.engine.balances(ALICE), desk.engine.balances(BOB)
    assert alice[0] == (10**15 - notional - fee, 600 + 3)  # 6 lots still rest, with 50 bps of fee
    assert alice[2] == (10**24 + 4 * 10**14, 0)
    assert bob[0] == (10**15 + notional - fee, 0)
    assert bob[2] == (10**24 - 4 * 10**14, 0)


def test_the_market_counts_what_is_matched_and_what_is_settled() -> None:
    desk, *_ = traded_desk()
    desk.sell(BOB, 1, 100)
    assert [(m.next_sequence, m.settled_sequence) for m in desk.engine.markets()] == [(2, 0), (0, 0)]
    assert desk.fact(FillSettled(BTC.symbol, 0)) == []
    desk.fact(FillSkipped(BTC.symbol, 1, SkipReason.TAKER_EXPIRED))
    assert [(m.next_sequence, m.settled_sequence) for m in desk.engine.markets()] == [(2, 2), (0, 0)]


@pytest.mark.parametrize(
    ("reason", "closing"),
    [
        (SkipReason.MAKER_CANCELLED, ("CANCELLED", "CHAIN_CANCEL")),
        (SkipReason.MAKER_EXPIRED, ("EXPIRED", "EXPIRED")),
        (SkipReason.TAKER_CANCELLED, None),
        (SkipReason.BUYER_BALANCE, None),
        (99, None),
    ],
)
def test_a_skipped_fill_is_undone_to_the_unit(reason: int, closing: tuple[str, str] | None) -> None:
    desk = Desk()
    before = {who: {asset: total for asset, (total, _) in desk.engine.balances(who).items()} for who in (ALICE, BOB)}
    buy, _ = desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 4, 90)
    events = desk.fact(FillSkipped(BTC.symbol, 0, reason))
    assert of_type(events, FillVoided) == [FillVoided(desk.now_ms, 1, BTC.symbol, 0, reason)]
    assert closings(events) == ([(buy, *closing)] if closing else [])
    after = {who: {asset: total for asset, (total, _) in desk.engine.balances(who).items()} for who in (ALICE, BOB)}
    assert after == before
    assert len(of_type(events, BalanceChanged)) == 4
    assert desk.view(buy).remaining == 6


def test_a_skipped_fill_closes_the_rest_of_a_blamed_taker() -> None:
    desk = Desk()
    desk.sell(BOB, 4, 100)
    taker, _ = desk.buy(ALICE, 10, 100)
    events = desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.TAKER_CANCELLED))
    assert closings(events) == [(taker, "CANCELLED", "CHAIN_CANCEL")]


def test_a_fill_that_was_given_up_closes_what_is_left_of_both_orders() -> None:
    """Whatever the contract has against them, it would have it against their next fill too."""
    desk = Desk()
    before = {who: {asset: total for asset, (total, _) in desk.engine.balances(who).items()} for who in (ALICE, BOB)}
    buy, _ = desk.buy(ALICE, 10, 100)
    sell, _ = desk.sell(BOB, 14, 90)  # takes the ten, and four rest
    bystander, _ = desk.buy(ALICE, 3, 80)
    events = desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.VOIDED))
    assert closings(events) == [(sell, "CANCELLED", "QUARANTINED")]
    assert desk.view(buy).status == "FILLED", "how the order ended is one thing, what became of its fill another"
    assert desk.view(bystander).status == "OPEN"
    after = {who: {asset: total for asset, (total, _) in desk.engine.balances(who).items()} for who in (ALICE, BOB)}
    assert after == before
    maker, _ = desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 4, 90)
    assert closings(desk.fact(FillSkipped(BTC.symbol, 1, SkipReason.VOIDED))) == [(maker, "CANCELLED", "QUARANTINED")]
    assert desk.engine.balances(BOB)[BTC.base_asset][1] == 0, "nothing is held back any more"


def test_a_number_that_others_used_up_says_nothing_about_our_orders() -> None:
    desk = Desk()
    desk.sell(BOB, 4, 100)
    desk.buy(ALICE, 10, 100)
    foreign = FillSkipped(BTC.symbol, 0, SkipReason.TAKER_CANCELLED, 1, b"m" * 32, b"t" * 32)
    events = desk.fact(foreign)
    assert [event.reason for event in of_type(events, FillVoided)] == [SkipReason.VOIDED]
    assert closings(events) == []


def test_a_skip_that_names_our_orders_blames_them() -> None:
    desk = Desk()
    maker, _ = desk.sell(BOB, 4, 100)
    taker, _ = desk.buy(ALICE, 10, 100)
    events = desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.TAKER_CANCELLED, 1, desk.word(maker), desk.word(taker)))
    assert closings(events) == [(taker, "CANCELLED", "CHAIN_CANCEL")]


def test_spent_proceeds_of_a_skipped_fill_leave_a_debt_and_cancel_what_it_uncovers() -> None:
    desk = Desk(base=10**15)  # 10 lots each
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 10, 100)  # Alice now has 20 lots
    desk.buy(CAROL, 12, 100)
    desk.sell(ALICE, 12, 100)  # and sells 12 of them on
    resting, _ = desk.sell(ALICE, 8, 100)
    events = desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.SELLER_BALANCE))
    assert closings(events) == [(resting, "CANCELLED", "FILL_VOIDED")]
    assert desk.engine.balances(ALICE)[2] == (-2 * 10**14, 0)
    _, refused = desk.sell(ALICE, 1, 100)
    assert of_type(refused, OrderRejected)[0].allowed == "0 sBTC available"


def test_a_lane_is_free_again_when_its_fills_have_settled() -> None:
    desk, buy, _, _ = traded_desk()
    assert desk.engine.free_nonces(BOB, 1, set()) == [nonce(1, 1)]
    desk.cancel(ALICE, buy)
    assert desk.engine.free_nonces(ALICE, 1, set()) == [nonce(1, 1)]  # closed, but its fill is on its way
    desk.fact(FillSettled(BTC.symbol, 0))
    assert desk.engine.free_nonces(ALICE, 2, set()) == [nonce(0, 2), nonce(1, 1)]
    assert desk.engine.free_nonces(BOB, 2, {0}) == [nonce(1, 1), nonce(2, 1)]


def test_raising_a_nonce_kills_the_lanes_order_below_it() -> None:
    desk = Desk()
    first, _ = desk.buy(ALICE, 1, 10, nonce=nonce(0, 3))
    second, _ = desk.buy(ALICE, 1, 11, nonce=nonce(1, 3))
    assert closings(desk.fact(NonceRaised(ALICE, 1, 3))) == []
    assert closings(desk.fact(NonceRaised(ALICE, 0, 4))) == [(first, "CANCELLED", "CHAIN_CANCEL")]
    assert desk.view(second).status == "OPEN"
    desk.fact(NonceRaised(ALICE, 2, 9))
    assert desk.engine.free_nonces(ALICE, 2, set()) == [nonce(0, 4), nonce(2, 9)]


def test_raising_the_epoch_kills_every_order() -> None:
    desk = Desk()
    buy, _ = desk.buy(ALICE, 1, 10)
    sell, _ = desk.sell(ALICE, 1, 11)
    other, _ = desk.buy(BOB, 1, 10)
    events = desk.fact(EpochRaised(ALICE, 1))
    assert closings(events) == [(buy, "CANCELLED", "CHAIN_CANCEL"), (sell, "CANCELLED", "CHAIN_CANCEL")]
    assert (desk.engine.epoch(ALICE), desk.engine.epoch(BOB)) == (1, 0)
    assert desk.view(other).status == "OPEN"
    assert desk.engine.free_nonces(ALICE, 1, set()) == [nonce(0, 2, epoch=1)]


def test_a_pause_keeps_resting_orders_and_a_delisting_closes_them() -> None:
    desk = Desk()
    bid, _ = desk.buy(ALICE, 1, 10)
    ask, _ = desk.sell(BOB, 1, 11)
    other, _ = desk.sell(BOB, 5, 11, market=ETH.symbol)
    paused = desk.fact(MarketStatusChanged(BTC.symbol, MarketStatus.PAUSED, MarketStatus.ACTIVE))
    assert paused == [MarketChanged(desk.now_ms, BTC.symbol, MarketStatus.PAUSED)]
    assert closings(desk.cancel(ALICE, bid)) == [(bid, "CANCELLED", "USER")]
    events = desk.fact(MarketStatusChanged(BTC.symbol, MarketStatus.DELISTED, MarketStatus.PAUSED))
    assert closings(events) == [(ask, "CANCELLED", "MARKET_DELISTED")]
    assert desk.view(other).status == "OPEN"


def test_a_fact_counts_once_and_a_revert_only_after_it() -> None:
    desk = Desk(usdc=0)
    before = desk.engine.outbox_position
    desk.fact(Credited(ALICE, 0, 5), at=(50, 2))
    desk.fact(Credited(ALICE, 0, 5), at=(50, 2))
    desk.fact(Credited(ALICE, 0, 7), at=(50, 1))
    desk.fact(Credited(ALICE, 0, 7), at=(50, 3), reverted=True)
    assert desk.engine.balances(ALICE)[0] == (5, 0)
    assert desk.engine.outbox_position == (50, 2, desk.outbox_seq)
    desk.fact(Credited(ALICE, 0, 5), at=(50, 2), reverted=True)
    desk.fact(Credited(ALICE, 0, 5), at=(50, 2), reverted=True)
    assert desk.engine.balances(ALICE)[0] == (0, 0)
    assert desk.engine.outbox_position[:2] == before[:2], "the fact before it is the last one again"
    desk.fact(Credited(ALICE, 0, 6), at=(50, 2))
    assert desk.engine.balances(ALICE)[0] == (6, 0)


def test_a_reorg_takes_a_settlement_back_and_the_lane_with_it() -> None:
    desk, *_ = traded_desk()
    desk.fact(FillSettled(BTC.symbol, 0), at=(50, 0))
    assert desk.engine.free_nonces(BOB, 1, set()) == [nonce(0, 2)]
    balances = all_balances(desk.engine)
    assert desk.fact(FillSettled(BTC.symbol, 0), at=(50, 0), reverted=True) == []
    assert desk.engine.free_nonces(BOB, 1, set()) == [nonce(1, 1)]
    assert desk.engine.markets()[0].settled_sequence == 0
    assert all_balances(desk.engine) == balances
    desk.fact(FillSkipped(BTC.symbol, 0, SkipReason.BUYER_BALANCE), at=(51, 0))
    assert desk.engine.balances(ALICE)[2][0] == 10**24


def test_a_reorg_restores_a_skipped_fill() -> None:
    desk, *_ = traded_desk()
    balances = all_balances(desk.engine)
    skipped = FillSkipped(BTC.symbol, 0, SkipReason.SELLER_BALANCE)
    desk.fact(skipped, at=(50, 0))
    events = desk.fact(skipped, at=(50, 0), reverted=True)
    assert of_type(events, FillRestored) == [FillRestored(desk.now_ms, 1, BTC.symbol, 0)]
    assert all_balances(desk.engine) == balances


def test_a_reorg_restores_nonces_epochs_and_listings() -> None:
    desk = Desk()
    desk.buy(ALICE, 1, 10)
    desk.fact(NonceRaised(BOB, 0, 5), at=(50, 0))
    desk.fact(NonceRaised(BOB, 0, 9), at=(51, 0))
    desk.fact(EpochRaised(BOB, 3), at=(51, 1))
    desk.fact(EpochRaised(BOB, 3), at=(51, 1), reverted=True)
    desk.fact(NonceRaised(BOB, 0, 9), at=(51, 0), reverted=True)
    assert desk.engine.free_nonces(BOB, 1, set()) == [nonce(0, 5)]
    paused = MarketStatusChanged(BTC.symbol, MarketStatus.PAUSED, MarketStatus.ACTIVE)
    desk.fact(paused, at=(52, 0))
    desk.fact(paused, at=(52, 0), reverted=True)
    assert desk.engine.markets()[0].status == MarketStatus.ACTIVE
    gone = MarketListed("sSOL-USDC", 3, 0, 4, "sSOL", 16, 1, 1, 25, 25)
    desk.fact(gone, at=(53, 0))
    desk.fact(gone, at=(53, 0), reverted=True)
    _, events = desk.buy(ALICE, 1, 1, market="sSOL-USDC")
    assert events[0].code == "MARKET_UNKNOWN"
    desk.fact(MarketListed("sSOL-USDC", 3, 0, 4, "sSOL", 15, 1, 2, 25, 25), at=(53, 0))
    assert desk.engine.markets()[2].terms.min_lots == 2


def test_what_is_kept_for_reorgs_is_dropped_after_the_limit() -> None:
    desk, *_ = traded_desk()
    desk.fact(FillSettled(BTC.symbol, 0), at=(50, 0))
    desk.fact(NonceRaised(CAROL, 0, 5), at=(50, 1))
    desk.fact(Credited(ALICE, 0, 1), at=(50 + UNDO_BLOCKS, 0))
    for index in range(LEAST_FACTS - 1):
        desk.fact(Credited(ALICE, 0, 1), at=(50 + UNDO_BLOCKS, 1 + index))
    places = [place[:2] for place, _ in desk.engine.applied_facts()]
    assert (places[:2], len(places)) == ([(50, 0), (50, 1)], 2 + LEAST_FACTS)
    kept = len(desk.engine.snapshot())
    desk.fact(Credited(ALICE, 0, 1), at=(51 + UNDO_BLOCKS, 0))
    assert desk.engine.applied_facts()[0][0][:2] == (50 + UNDO_BLOCKS, 0)
    assert len(desk.engine.snapshot()) < kept - 100


def test_a_chain_that_is_ahead_moves_the_sequence_on() -> None:
    """After a lost journal the engine must not reuse numbers that the chain has seen."""
    desk = Desk()
    desk.fact(FillSettled(BTC.symbol, 41))
    desk.buy(ALICE, 1, 100)
    _, events = desk.sell(BOB, 1, 100)
    assert of_type(events, Traded)[0].sequence == 42


def test_facts_about_unknown_markets_change_nothing() -> None:
    desk = Desk(fresh=True)
    assert desk.fact(FillSettled("x", 0), at=(5, 0)) == []
    assert desk.fact(FillSettled("x", 0), at=(5, 0), reverted=True) == []
    assert desk.fact(MarketStatusChanged("x", 2, 1)) == []


def test_no_event_lists_an_asset_twice() -> None:
    desk, *_ = traded_desk()
    for events in desk.events:
        touched = [(event.account, event.asset) for event in of_type(events, BalanceChanged)]
        assert len(touched) == len(set(touched))
        assert {asset for _, asset in touched} <= set(ASSETS)


def settled_terms(trade: Traded, maker_nonce: int, taker_nonce: int) -> SettledTerms:
    return SettledTerms(
        order_word(trade.maker, maker_nonce, trade.maker_digest),
        order_word(trade.taker, taker_nonce, trade.taker_digest),
        trade.taker_is_buyer,
        trade.price,
        trade.quantity,
        trade.maker_fee,
        trade.taker_fee,
    )


def test_an_engine_that_lost_its_journal_takes_the_fills_from_the_chain() -> None:
    desk, _, _, trade = traded_desk()
    desk.cancel_all(ALICE)
    nonces = (pack_nonce(0, 0, 7), pack_nonce(0, 3, 9))
    amnesiac = Desk()
    amnesiac.fact(FillSettled(BTC.symbol, 0, settled_terms(trade, *nonces)))
    for who in (ALICE, BOB):
        assert amnesiac.engine.balances(who) == desk.engine.balances(who)
    assert [(m.next_sequence, m.settled_sequence) for m in amnesiac.engine.markets()] == [(1, 1), (0, 0)]
    maker = trade.maker
    assert amnesiac.engine.free_nonces(maker, 1) == [pack_nonce(0, 0, 8)]
    assert Engine.restore(amnesiac.engine.snapshot()).state_hash() == amnesiac.engine.state_hash()


def test_a_reorg_takes_a_foreign_fill_back_to_the_unit() -> None:
    trade = traded_desk()[3]
    desk = Desk()
    before = {who: desk.engine.balances(who) for who in (ALICE, BOB)}
    fact = FillSettled(BTC.symbol, 0, settled_terms(trade, 1, 1))
    desk.fact(fact, at=(50, 0))
    desk.fact(fact, at=(50, 0), reverted=True)
    assert {who: desk.engine.balances(who) for who in (ALICE, BOB)} == before
    assert desk.engine.markets()[0].settled_sequence == 0


def test_a_fill_that_somebody_else_settled_under_our_number_replaces_ours() -> None:
    desk, buy, _, trade = traded_desk()
    other = settled_terms(trade, nonce(9, 1), nonce(9, 1))
    other = msgspec.structs.replace(other, quantity=1, maker_fee=0)
    events = desk.fact(FillSettled(BTC.symbol, 0, other))
    assert of_type(events, FillVoided) == [FillVoided(desk.now_ms, 1, BTC.symbol, 0, SkipReason.VOIDED)]
    assert desk.engine.balances(ALICE)[0][0] == 10**15 - 100
    assert desk.view(buy).status == "OPEN"


def test_an_order_that_somebody_else_filled_is_not_matched_again() -> None:
    """Six of Alice's lots were left. On chain they are gone, in a number that no match of ours has."""
    desk, buy, _, trade = traded_desk()
    desk.fact(FillSettled(BTC.symbol, 0))
    beside, _ = desk.buy(ALICE, 1, 100)
    other = msgspec.structs.replace(settled_terms(trade, nonce(0, 1), nonce(9, 1)), quantity=6)
    events = desk.fact(FillSettled(BTC.symbol, 1, other))
    assert closings(events) == [(buy, "CANCELLED", "SETTLED_ELSEWHERE")]
    assert desk.view(beside).status == "OPEN"
    assert desk.engine.balances(ALICE)[0] == (10**15 - 1_000 - 2 * trade.maker_fee, 100)
    (later,) = of_type(desk.sell(CAROL, 3, 100)[1], Traded)
    assert (later.maker_digest, later.quantity) == (beside, 1)


def test_an_order_whose_lane_somebody_else_moved_on_is_dead_on_chain() -> None:
    desk, buy, _, trade = traded_desk()
    desk.fact(FillSettled(BTC.symbol, 0))
    newer, _ = desk.buy(ALICE, 1, 100, nonce=nonce(1, 9))
    other = settled_terms(trade, nonce(1, 8), nonce(9, 1))
    assert closings(desk.fact(FillSettled(BTC.symbol, 1, other))) == [], "the lane will move on to the newer one"
    other = settled_terms(trade, nonce(0, 2), nonce(9, 1))
    assert closings(desk.fact(FillSettled(BTC.symbol, 2, other))) == [(buy, "CANCELLED", "SETTLED_ELSEWHERE")]
    assert desk.view(newer).status == "OPEN"


def test_one_fact_voids_a_range_and_gives_it_back() -> None:
    desk = Desk()
    before = desk.engine.balances(ALICE)
    desk.buy(ALICE, 10, 100)
    for _ in range(3):
        desk.sell(BOB, 1, 100)
    void = FillSkipped(BTC.symbol, 0, SkipReason.VOIDED, 3)
    assert [event.sequence for event in of_type(desk.fact(void, at=(50, 0)), FillVoided)] == [0, 1, 2]
    desk.cancel_all(ALICE)
    assert desk.engine.balances(ALICE)[0] == before[0]
    restored = desk.fact(void, at=(50, 0), reverted=True)
    assert [event.sequence for event in of_type(restored, FillRestored)] == [2, 1, 0]
