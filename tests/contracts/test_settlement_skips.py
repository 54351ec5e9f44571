"""What a trader can cause alone: the fill is passed over with its reason, uses up its number, moves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from cxdex.batch import SkipReason
from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus
from cxdex.nonce import MAX_SEQ
from cxdex.order import SignedOrder
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    CORE,
    NOW,
    SBTC,
    USDC,
    VAULT,
    Desk,
    Trader,
    fill_numbers,
    order_word,
)
from tests.contracts.settlement_events import Event


def state(desk: Desk, *traders: Trader) -> list[Any]:
    return [
        (desk.balance(t, CASH), desk.balance(t, SBTC), desk.lane(t, 0), desk.lane(t, 2), desk.fees(BTC))
        for t in traders
    ]


def assert_skips(desk: Desk, maker: SignedOrder, taker: SignedOrder, reason: SkipReason, lots: int = 4) -> Event:
    traders = [Trader.named(name) for name in ("alice", "bob", "carol")]
    before, sequence = state(desk, *traders), desk.sequence(BTC)
    event = desk.fill(maker, taker, lots)
    assert event.name == "FillSkipped"
    assert SkipReason(event.fields["reason"]) is reason
    assert (event.fields["maker"], event.fields["taker"]) == (order_word(maker), order_word(taker))
    numbers = fill_numbers(event)
    assert (numbers.sequence, numbers.quantity, numbers.price) == (sequence, lots, maker.order.limit_price)
    assert desk.sequence(BTC) == sequence + 1
    assert state(desk, *traders) == before
    return event


@pytest.mark.parametrize("lane", [0, 1, 2, 3, 4])
def test_cancelled_by_nonce(desk: Desk, alice: Trader, bob: Trader, lane: int) -> None:
    ask, bid = desk.sell(alice, 10, 500, lane=lane), desk.buy(bob, 10, 500, lane=lane)
    desk.kill(bob, bid.order.nonce)
    assert_skips(desk, ask, bid, SkipReason.TAKER_CANCELLED)
    desk.kill(alice, ask.order.nonce)
    assert_skips(desk, ask, bid, SkipReason.MAKER_CANCELLED)


def test_cancelled_by_epoch(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask, bid = desk.sell(alice, 10, 500), desk.buy(bob, 10, 500)
    desk.kill_all(bob)
    assert_skips(desk, ask, bid, SkipReason.TAKER_CANCELLED)
    desk.kill_all(alice)
    assert_skips(desk, ask, bid, SkipReason.MAKER_CANCELLED)
    assert desk.fill(desk.sell(alice, 10, 500, epoch=1), desk.buy(bob, 10, 500, epoch=1), 4).name == "Fill"


def test_an_order_of_a_future_epoch_waits(desk: Desk, alice: Trader, bob: Trader) -> None:
    assert_skips(desk, desk.sell(alice, 9, 50, epoch=1), desk.buy(bob, 9, 50), SkipReason.MAKER_CANCELLED)


def test_the_last_seq_is_never_alive(desk: Desk, alice: Trader, bob: Trader) -> None:
    assert_skips(desk, desk.sell(alice, 9, 50, seq=MAX_SEQ), desk.buy(bob, 9, 50), SkipReason.MAKER_CANCELLED)
    assert desk.fill(desk.sell(alice, 9, 50, seq=MAX_SEQ - 1), desk.buy(bob, 9, 50), 4).name == "Fill"


@pytest.mark.parametrize("late", [0, 1, 10**6])
def test_expired(desk: Desk, alice: Trader, bob: Trader, late: int) -> None:
    """An order is dead from its expiry second on."""
    short, long = NOW + 60, NOW + 10**7
    desk.set_time(short + late)
    ask, bid = desk.sell(alice, 10, 500, expiry=short), desk.buy(bob, 10, 500, expiry=long)
    assert_skips(desk, ask, bid, SkipReason.MAKER_EXPIRED)
    ask, bid = desk.sell(alice, 10, 500, expiry=long), desk.buy(bob, 10, 500, expiry=short)
    assert_skips(desk, ask, bid, SkipReason.TAKER_EXPIRED)


def test_alive_until_the_second_before_expiry(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.set_time(NOW + 59)
    expiry = NOW + 60
    assert desk.fill(desk.sell(alice, 9, 50, expiry=expiry), desk.buy(bob, 9, 50, expiry=expiry), 4).name == "Fill"


def test_the_first_reason_is_told(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Cancelled before expired before balance, and the maker before the taker."""
    desk.set_time(NOW + 60)
    ask, bid = desk.sell(alice, 10, 500, expiry=NOW + 60), desk.buy(bob, 10, 500, expiry=NOW + 60)
    assert_skips(desk, ask, bid, SkipReason.MAKER_EXPIRED)
    desk.kill_all(bob)
    assert_skips(desk, ask, bid, SkipReason.TAKER_CANCELLED)
    desk.kill_all(alice)
    assert_skips(desk, ask, bid, SkipReason.MAKER_CANCELLED)


def test_the_buyer_must_pay_price_and_fee_to_the_unit(desk: Desk, alice: Trader, bob: Trader) -> None:
    cost = 4 * 1_000 + 10
    desk.call(VAULT, "debit(address,uint256,uint256)", bob.address, CASH, 1_000_000 * USDC - cost + 1)
    ask, bid = desk.sell(alice, 10, 1_000), desk.buy(bob, 10, 1_000)
    assert_skips(desk, ask, bid, SkipReason.BUYER_BALANCE)
    assert_skips(desk, bid, desk.sell(alice, 10, 1_000), SkipReason.BUYER_BALANCE)
    for maker, taker in ((ask, bid), (bid, desk.sell(alice, 10, 1_000))):
        desk.fund(bob, CASH, cost - desk.balance(bob, CASH))
        assert desk.fill(maker, taker, 4).name == "Fill"
        assert desk.balance(bob, CASH) == 0


def test_the_seller_must_own_what_is_sold_to_the_unit(desk: Desk, alice: Trader, bob: Trader) -> None:
    amount = 4 * 10**14
    desk.call(VAULT, "debit(address,uint256,uint256)", alice.address, SBTC, 100 * 10**18 - amount + 1)
    ask, bid = desk.sell(alice, 10, 1_000), desk.buy(bob, 10, 1_000)
    assert_skips(desk, ask, bid, SkipReason.SELLER_BALANCE)
    assert_skips(desk, bid, ask, SkipReason.SELLER_BALANCE)
    for maker, taker in ((ask, bid), (bid, ask)):
        desk.fund(alice, SBTC, amount - desk.balance(alice, SBTC))
        assert desk.fill(maker, taker, 4).name == "Fill"
        assert desk.balance(alice, SBTC) == 0


def test_a_seller_without_cash_pays_the_fee_from_the_proceeds(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.call(VAULT, "debit(address,uint256,uint256)", alice.address, CASH, 1_000_000 * USDC)
    assert desk.fill(desk.sell(alice, 10, 1_000), desk.buy(bob, 10, 1_000), 4).name == "Fill"
    assert desk.balance(alice, CASH) == 4_000 - 10


def test_a_skipped_fill_does_not_stop_the_batch(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    ask, bid = desk.sell(alice, 10, 500), desk.buy(bob, 10, 500)
    desk.kill_all(bob)
    events = desk.fills((ask, desk.buy(carol, 10, 500), 4), (ask, bid, 4), (ask, desk.buy(carol, 9, 500, lane=1), 6))
    assert [event.name for event in events] == ["Fill", "FillSkipped", "Fill"]
    assert [fill_numbers(event).sequence for event in events] == [0, 1, 2]
    assert desk.lane(alice, 0) == (1, 10)
    assert desk.sequence(BTC) == 3


def test_later_fills_of_a_batch_spend_what_earlier_ones_brought(desk: Desk, alice: Trader, bob: Trader) -> None:
    poor = Trader.named("poor")
    desk.fund(poor, SBTC, 10 * 10**14)
    events = desk.fills(
        (desk.sell(poor, 10, 1_000), desk.buy(bob, 10, 1_000), 10),
        (desk.sell(alice, 9, 1_000), desk.buy(poor, 9, 1_000, lane=1), 9),
        (desk.sell(alice, 9, 1_000, lane=1), desk.buy(poor, 9, 1_000, lane=2), 9),
    )
    assert [event.name for event in events] == ["Fill", "Fill", "FillSkipped"]
    assert desk.balance(poor, CASH) == 10_000 - 25 - 9_000 - 23
    assert desk.balance(poor, SBTC) == 9 * 10**14


def test_core_voids_numbers_that_can_never_settle(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fill(desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 4)
    desk.set_status(BTC, MarketStatus.PAUSED)  # a paused market must not hold up the numbers
    before = state(desk, alice, bob)
    (event,) = desk.call(CORE, "voidSequence(bytes32,uint256)", market_hash(BTC), 3)
    assert event.name == "SequenceVoided"
    assert event.fields == {"market": market_hash(BTC), "firstSequence": 1, "count": 3}
    assert desk.sequence(BTC) == 4
    assert state(desk, alice, bob) == before
    desk.set_status(BTC, MarketStatus.ACTIVE)
    assert fill_numbers(desk.fill(desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 4)).sequence == 4
