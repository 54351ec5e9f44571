"""Cancels by name and side, countdowns, lost connections, and orders that come too late or after their cancel."""

from __future__ import annotations

from trading_desk import ALICE, BOB, ETH, Desk, of_type

from cxdex.order import Side
from relayer.engine.cancelling import EARLY_CANCEL_MS, MOST_EARLY_CANCELS, MOST_WATCHED_CONNECTIONS
from relayer.engine.commands import EndWatch, Expire, WatchConnection
from relayer.engine.core import Engine
from relayer.engine.events import ConnectionWatched, CountdownSet, OrderClosed, OrderRejected, Traded

STRANGER = b"stranger" + bytes(12)


def closed(events) -> list[tuple[bytes, str]]:
    return [(event.digest, event.reason) for event in of_type(events, OrderClosed)]


def refused(events) -> list[str]:
    return [event.code for event in of_type(events, OrderRejected)]


def test_a_cancel_by_name_takes_every_open_order_of_that_name_and_account() -> None:
    desk = Desk()
    first, second = (desk.buy(ALICE, 10, price, name="quote")[0] for price in (90, 91))
    desk.buy(ALICE, 10, 92, name="other")
    desk.buy(BOB, 10, 93, name="quote")
    assert closed(desk.cancel(ALICE, names=["quote", "nothing"])) == [(first, "USER"), (second, "USER")]
    assert closed(desk.cancel(ALICE, names=["quote"])) == []


def test_a_cancel_by_side_leaves_the_other_side_and_the_other_market() -> None:
    desk = Desk()
    bid, ask = desk.buy(ALICE, 10, 90)[0], desk.sell(ALICE, 10, 110)[0]
    far = desk.sell(ALICE, 10, 110, market=ETH.symbol)[0]
    assert closed(desk.cancel_all(ALICE, None, Side.BUY)) == [(bid, "USER")]
    assert closed(desk.cancel_all(ALICE, ETH.symbol, Side.SELL)) == [(far, "USER")]
    assert desk.view(ask).status == "OPEN"


def test_a_countdown_that_is_not_renewed_cancels_before_the_order_that_would_have_traded() -> None:
    desk = Desk()
    quote, other = desk.sell(ALICE, 10, 100)[0], desk.sell(BOB, 10, 101)[0]
    desk.countdown(ALICE, 10)
    desk.now_ms += 9_999
    desk.countdown(ALICE, 10)
    desk.now_ms += 9_999
    assert desk.view(quote).status == "OPEN"
    desk.now_ms += 1
    _, events = desk.buy(BOB, 10, 100)
    assert closed(events) == [(quote, "DEADMAN")]
    assert of_type(events, Traded) == []
    assert [event.until_ms for event in of_type(events, CountdownSet)] == [0]
    assert desk.view(other).status == "OPEN"
    assert desk.engine.next_countdown() is None


def test_a_countdown_outlives_a_restart_and_fires_in_the_first_command_after_it() -> None:
    desk = Desk()
    quote, _ = desk.sell(ALICE, 10, 100)
    desk.countdown(ALICE, 10)
    desk.countdown(BOB, 20)
    desk.countdown(BOB, 0)
    engine = Engine.restore(desk.engine.snapshot())
    assert engine.next_countdown() == desk.now_ms + 10_000
    assert (engine.countdown(ALICE), engine.countdown(BOB)) == (desk.now_ms + 10_000, 0)
    desk.now_ms += 3_600_000
    desk.engine = engine
    _, events = desk.buy(BOB, 10, 100)
    assert closed(events) == [(quote, "DEADMAN")]
    assert of_type(events, Traded) == []


def test_after_many_renewals_the_last_one_counts() -> None:
    desk = Desk()
    quote, _ = desk.sell(ALICE, 10, 100)
    desk.countdown(BOB, 3)
    for _ in range(2_500):
        desk.now_ms += 1
        desk.countdown(ALICE, 10)
    assert desk.engine.next_countdown() == desk.now_ms + 500
    desk.now_ms += 9_999
    desk.expire()
    assert desk.engine.next_countdown() == desk.now_ms + 1
    desk.now_ms += 1
    assert closed(desk.expire()) == [(quote, "DEADMAN")]


def test_strangers_leave_nothing_behind() -> None:
    desk = Desk()
    before = desk.engine.state_hash()
    desk.countdown(STRANGER, 10)
    desk.cancel(STRANGER, b"d" * 32, names=["x"])
    assert desk.apply(WatchConnection(desk.now_ms, STRANGER, b"c")) == []
    assert desk.engine.state_hash() == before


def test_a_lost_connection_cancels_and_an_ended_watch_does_not() -> None:
    desk = Desk()
    quote, _ = desk.sell(ALICE, 10, 100)
    desk.apply(WatchConnection(desk.now_ms, ALICE, b"one"))
    desk.apply(WatchConnection(desk.now_ms, ALICE, b"two"))
    assert desk.apply(EndWatch(desk.now_ms, ALICE, b"one", False)) == []
    desk.engine = Engine.restore(desk.engine.snapshot())
    assert desk.engine.watched_connections() == [(ALICE, b"two")]
    assert closed(desk.apply(EndWatch(desk.now_ms, ALICE, b"two", True))) == [(quote, "DISCONNECTED")]
    assert desk.engine.watched_connections() == []


def test_watched_connections_of_an_account_are_bounded() -> None:
    desk = Desk()
    said = [
        of_type(desk.apply(WatchConnection(desk.now_ms, ALICE, bytes([number]))), ConnectionWatched)
        for number in range(MOST_WATCHED_CONNECTIONS + 1)
    ]
    assert [len(events) for events in said] == [1] * MOST_WATCHED_CONNECTIONS + [0]


def test_an_order_that_comes_after_its_time_limit_is_refused_and_changes_nothing() -> None:
    desk = Desk()
    before = desk.engine.state_hash()
    assert refused(desk.buy(ALICE, 10, 90, reject_after_ms=desk.now_ms - 1)[1]) == ["ORDER_TOO_LATE"]
    assert desk.engine.state_hash() == before
    assert refused(desk.buy(ALICE, 10, 90, reject_after_ms=desk.now_ms)[1]) == []


def test_a_cancel_that_overtakes_its_order_blocks_it_for_a_while_also_after_a_restart() -> None:
    desk = Desk()
    desk.cancel(ALICE, desk.next_digest)
    desk.engine = Engine.restore(desk.engine.snapshot())
    desk.now_ms += EARLY_CANCEL_MS - 1
    order = desk.order(ALICE, Side.BUY, 10, 90)
    digest, events = desk.send(order)
    assert refused(events) == ["ORDER_CANCELLED_BEFORE"]
    desk.now_ms += 1
    del desk.orders[digest]
    assert refused(desk.send(order)[1]) == []


def test_nobody_blocks_the_order_of_another_account() -> None:
    desk = Desk()
    desk.cancel(BOB, desk.next_digest)
    assert refused(desk.buy(ALICE, 10, 90)[1]) == []


def test_early_cancels_are_bounded_and_the_oldest_makes_room() -> None:
    desk = Desk()
    first = desk.next_digest
    desk.cancel(ALICE, first, *(b"x" + number.to_bytes(31, "big") for number in range(MOST_EARLY_CANCELS)))
    assert refused(desk.buy(ALICE, 10, 90)[1]) == []


def test_early_cancels_end_by_themselves_also_of_accounts_that_never_come_back() -> None:
    desk = Desk()
    nothing = desk.engine.snapshot()
    desk.cancel(ALICE, *(bytes([number]) * 32 for number in range(1, 100)))
    desk.now_ms += EARLY_CANCEL_MS // 2
    desk.cancel(BOB, b"x" * 32)
    both = desk.engine.snapshot()
    for half in (1, 2):
        desk.now_ms += EARLY_CANCEL_MS // 2
        restored = Engine.restore(both)
        restored.apply(Expire(desk.now_ms))
        desk.expire()
        assert restored.snapshot() == desk.engine.snapshot()
        assert (desk.engine.snapshot() == nothing) == (half == 2), "the second account's lasts half a time longer"
    assert len(both) > len(nothing) + 99 * 32
