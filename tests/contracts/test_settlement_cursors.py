"""The two cursors hold balances in memory. No order of entries may let one overwrite what the other wrote."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from cxdex.batch import Role, pack_market_entry, pack_order_entry
from cxdex.order import Side, SignedOrder
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    ETH,
    LISTINGS,
    NOW,
    SBTC,
    SETH,
    Desk,
    RevertedError,
    Trader,
    batch,
)
from tests.contracts.settlement_reference import Ledger

PEOPLE = ("alice", "bob", "carol")
Match = tuple[SignedOrder, SignedOrder, int]


def reference(desk: Desk) -> Ledger:
    """A ledger written a second time that starts where the desk stands."""
    ledger = Ledger(LISTINGS, now=NOW)
    for trader in map(Trader.named, PEOPLE):
        for asset in (CASH, SBTC, SETH):
            ledger.balances[trader.account, asset] = desk.balance(trader, asset)
    return ledger


def assert_equal(desk: Desk, ledger: Ledger) -> None:
    for trader in map(Trader.named, PEOPLE):
        for asset in (CASH, SBTC, SETH):
            assert desk.balance(trader, asset) == ledger.balances[trader.account, asset]
        for lane in range(12):
            assert desk.lane(trader, lane) == ledger.lanes[trader.account, lane]
    for symbol in LISTINGS:
        assert desk.fees(symbol) == ledger.fees[symbol]


def settle_both(desk: Desk, matches: list[Match]) -> None:
    ledger = reference(desk)
    fills = desk.numbered(matches)
    outcomes = ledger.settle(fills)
    events = desk.settle(fills)
    assert [event.name for event in events] == ["Fill" if o.skip is None else "FillSkipped" for o in outcomes]
    assert_equal(desk, ledger)


def test_alice_takes_bob_then_bob_takes_alice(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Each is first in one cursor and then in the other, in the very next entries."""
    settle_both(
        desk,
        [
            (desk.sell(bob, 10, 900), desk.buy(alice, 10, 900), 10),
            (desk.sell(alice, 6, 800, lane=1), desk.buy(bob, 6, 800, lane=1), 6),
            (desk.buy(bob, 4, 700, lane=2), desk.sell(alice, 4, 700, lane=2), 4),
            (desk.buy(alice, 4, 700, lane=3), desk.sell(bob, 4, 700, lane=3), 4),
        ],
    )


PAIRS = list(permutations(PEOPLE, 2))


@pytest.mark.parametrize("sides", [(Side.BUY, Side.SELL), (Side.SELL, Side.SELL)])
def test_every_interleaving_of_three_traders(desk: Desk, sides: tuple[Side, Side]) -> None:
    """Every sequence of three matches among three people, each being maker or taker each time."""
    checkpoint = desk.evm.snapshot()
    for sequence in product(PAIRS, repeat=3):
        matches: list[Match] = []
        for number, (maker_name, taker_name) in enumerate(sequence):
            side = sides[number % 2]
            lane = number + number // 2  # in the account word and outside it
            maker = desk.order(Trader.named(maker_name), side, 9, 400 + number, lane=lane)
            taker = desk.order(Trader.named(taker_name), side.opposite, 9, 400 + number, lane=lane)
            matches.append((maker, taker, 5 + number))
        settle_both(desk, matches)
        desk.evm.revert(checkpoint)
        checkpoint = desk.evm.snapshot()


def test_an_order_may_come_back_after_its_account_was_in_the_other_cursor(
    desk: Desk, alice: Trader, bob: Trader, carol: Trader
) -> None:
    ask = desk.sell(alice, 10, 500)
    settle_both(
        desk,
        [
            (ask, desk.buy(bob, 4, 500), 4),
            (desk.sell(carol, 4, 500), desk.buy(alice, 4, 500, lane=1), 4),
            (ask, desk.buy(bob, 4, 500, lane=1), 4),
            (desk.sell(bob, 4, 500, lane=2), desk.buy(alice, 4, 500, lane=2), 4),
            (ask, desk.buy(carol, 2, 500, lane=4), 2),
        ],
    )
    assert desk.lane(alice, 0) == (1, 10)


def test_an_account_replaces_itself_in_its_own_cursor(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Two orders of one account in a row, in one lane, in one lane word, and in two lane words."""
    settle_both(desk, [(desk.sell(alice, 4, 500, seq=s), desk.buy(bob, 4, 500, seq=s), 4) for s in (1, 2, 3)])
    lanes = (0, 1, 2, 3, 4, 7, 8)
    matches = [(desk.sell(alice, 4, 500, lane=n, seq=9), desk.buy(bob, 4, 500, lane=n, seq=9), 4) for n in lanes]
    ledger = reference(desk)
    for trader in (alice, bob):
        ledger.lanes[trader.account, 0] = desk.lane(trader, 0)
    ledger.fees[BTC], ledger.sequences[BTC] = desk.fees(BTC), desk.sequence(BTC)
    fills = desk.numbered(matches)
    ledger.settle(fills)
    desk.settle(fills)
    assert_equal(desk, ledger)


def test_an_account_trades_two_markets_in_one_batch(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Its cash is one number: what the first market moved must be there in the second, in either cursor."""
    settle_both(
        desk,
        [
            (desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 10),
            (desk.sell(bob, 10, 500, market=ETH, lane=1), desk.buy(alice, 10, 500, market=ETH, lane=1), 10),
            (desk.sell(alice, 10, 500, lane=2), desk.buy(bob, 10, 500, lane=2), 10),
            (desk.sell(alice, 10, 500, market=ETH, lane=3), desk.buy(bob, 10, 500, market=ETH, lane=3), 10),
        ],
    )


def test_an_emptied_cursor_is_not_used_again(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Bob's order enters the maker cursor while Bob is in the taker cursor: the taker cursor is empty now."""
    entries = (
        pack_market_entry(BTC, 0),
        pack_order_entry(desk.sell(alice, 10, 500), Role.MAKER, 0),
        pack_order_entry(desk.buy(bob, 10, 500), Role.TAKER, 4),
        pack_order_entry(desk.sell(bob, 10, 500, lane=1), Role.MAKER, 4),
    )
    with pytest.raises(RevertedError, match="S:CURSOR"):
        desk.settle_bytes(batch(*entries))
    assert len(desk.settle_bytes(batch(*entries[:3]))) == 1


def test_a_loaded_order_that_never_trades_writes_nothing_stale(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Alice rests in the maker cursor untraded, trades as taker, and the untraded copy must not come back."""
    entries = (
        pack_market_entry(BTC, 0),
        pack_order_entry(desk.sell(alice, 10, 500), Role.MAKER, 0),
        pack_order_entry(desk.buy(alice, 10, 500, lane=1), Role.TAKER, 0),
        pack_order_entry(desk.sell(bob, 10, 500), Role.MAKER, 10),
    )
    (event,) = desk.settle_bytes(batch(*entries))
    assert event.name == "Fill"
    assert desk.balance(alice, SBTC) == 100 * 10**18 + 10**15
    assert desk.lane(alice, 1) == (1, 10)
    assert desk.lane(alice, 0) == (0, 0)
