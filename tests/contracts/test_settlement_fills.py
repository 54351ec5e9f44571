"""What a fill moves, to the unit, and what it says."""

from __future__ import annotations

import pytest

from cxdex.batch import MatchedFill, Role, pack_market_entry, pack_order_entry
from cxdex.eip712 import market_hash
from cxdex.market import MarketStatus
from cxdex.order import OrderType, SelfTrade, Side, TimeInForce
from tests.contracts.raw_entries import entry
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    ETH,
    LISTINGS,
    REGISTRY,
    SBTC,
    SETH,
    USDC,
    VAULT,
    Desk,
    Listing,
    RevertedError,
    Trader,
    batch,
    fill_numbers,
    order_word,
)
from tests.contracts.storage_slots import account_slot

RICH = 1_000_000 * USDC


def test_a_taker_buys_at_the_makers_price(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = desk.sell(alice, 10, 600_000, seq=7, lane=1)
    bid = desk.buy(bob, 8, 610_000, seq=3)
    event = desk.fill(ask, bid, 4)

    notional, fee = 4 * 600_000, 6_000  # 25 bps
    assert desk.balance(alice, CASH) == RICH + notional - fee
    assert desk.balance(bob, CASH) == RICH - notional - fee
    assert desk.balance(alice, SBTC) == 100 * 10**18 - 4 * 10**14
    assert desk.balance(bob, SBTC) == 100 * 10**18 + 4 * 10**14
    assert desk.fees(BTC) == 2 * fee
    assert desk.sequence(BTC) == 1
    assert desk.lane(alice, 1) == (7, 4)
    assert desk.lane(bob, 0) == (3, 4)

    assert event.name == "Fill"
    assert event.fields["maker"] == order_word(ask)
    assert event.fields["taker"] == order_word(bid)
    numbers = fill_numbers(event)
    assert (numbers.market_index, numbers.sequence, numbers.taker_is_buyer) == (1, 0, True)
    assert (numbers.price, numbers.quantity) == (600_000, 4)
    assert (numbers.maker_fee, numbers.taker_fee) == (fee, fee)


def test_a_taker_sells_at_the_makers_price(desk: Desk, alice: Trader, bob: Trader) -> None:
    event = desk.fill(desk.buy(alice, 10, 600_000), desk.sell(bob, 10, 1), 10)
    notional, fee = 6_000_000, 15_000
    assert desk.balance(alice, CASH) == RICH - notional - fee
    assert desk.balance(bob, CASH) == RICH + notional - fee
    assert desk.balance(alice, SBTC) == 100 * 10**18 + 10**15
    assert desk.balance(bob, SBTC) == 100 * 10**18 - 10**15
    assert not fill_numbers(event).taker_is_buyer


def test_fills_of_one_order_add_up_across_batches(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    ask = desk.sell(alice, 10, 500)
    desk.fill(ask, desk.buy(bob, 4, 500), 4)
    desk.fill(ask, desk.buy(carol, 4, 500), 4)
    desk.fill(ask, desk.buy(bob, 4, 500, seq=2), 2)
    assert desk.lane(alice, 0) == (1, 10)
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        desk.fill(ask, desk.buy(carol, 4, 500, seq=2), 2)


def test_a_newer_order_takes_its_lane_over(desk: Desk, alice: Trader, bob: Trader) -> None:
    for lane in (0, 1, 2, 3, 4, 2**23, 2**24 - 1):
        old, new = (desk.sell(alice, 10, 500, lane=lane, seq=seq) for seq in (4, 9))
        desk.fill(old, desk.buy(bob, 5, 500, lane=lane, seq=1), 5)
        desk.fill(new, desk.buy(bob, 3, 500, lane=lane, seq=2), 3)
        assert desk.lane(alice, lane) == (9, 3)
        event = desk.fill(old, desk.buy(bob, 3, 500, lane=lane, seq=3), 2)
        assert (event.name, event.fields["reason"]) == ("FillSkipped", 1)


def test_orders_that_share_a_nonce_share_one_quantity(desk: Desk, alice: Trader, bob: Trader) -> None:
    first = desk.sell(alice, 10, 500)
    amended = desk.sell(alice, 6, 490)
    desk.fill(first, desk.buy(bob, 10, 500), 5)
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        desk.fill(amended, desk.buy(bob, 10, 500, seq=2), 2)
    desk.fill(first, desk.buy(bob, 10, 500, seq=2), 3)
    with pytest.raises(RevertedError, match="S:OVERFILL"):  # filled 8 of the amended 6
        desk.fill(amended, desk.buy(bob, 10, 500, seq=3), 2)


def test_attack_56_markets_of_other_units_settle_by_their_own_terms(desk: Desk, alice: Trader, bob: Trader) -> None:
    events = desk.fills(
        (desk.sell(alice, 10, 1_000), desk.buy(bob, 10, 1_000), 10),
        (desk.sell(alice, 10, 8, market=ETH, lane=1), desk.buy(bob, 10, 8, market=ETH, lane=1), 10),
        (desk.sell(alice, 10, 1_000, lane=2), desk.buy(bob, 10, 1_000, lane=2), 10),
    )
    assert [event.name for event in events] == ["Fill"] * 3
    assert [fill_numbers(event).market_index for event in events] == [1, 2, 1]
    assert [fill_numbers(event).sequence for event in events] == [0, 0, 1]
    eth_taker_fee = 4  # 50 bps of 800; the maker pays nothing there
    assert desk.fees(ETH) == eth_taker_fee
    assert desk.fees(BTC) == 4 * 25
    assert desk.balance(alice, CASH) == RICH + 2 * (10_000 - 25) + 800
    assert desk.balance(bob, CASH) == RICH - 2 * (10_000 + 25) - 800 - eth_taker_fee
    assert desk.balance(alice, SBTC) == 100 * 10**18 - 20 * 10**14
    assert desk.balance(alice, SETH) == 1_000 * 10**18 - 10 * 10**15


@pytest.mark.parametrize(
    ("price", "max_fee_bps", "fee"),
    [
        (50, 25, 0),  # notional 100: the rate rounds 0.25 up to 1, the cap rounds it down to 0, and the cap wins
        (50, 100, 1),
        (50, 0, 0),
        (200, 25, 1),  # notional 400: exactly 1
        (201, 25, 1),  # notional 402: 1.005 rounds up to 2, the cap is 1
        (201, 50, 2),
        (100_000, 10, 200),  # the signed cap is below the market's rate
        (100_000, 24, 480),
        (50_000_000, 10, 100_000),
        (100_000, 10_000, 500),  # a cap above the rate changes nothing
    ],
)
def test_fee_rounds_up_but_never_above_the_signed_cap(
    desk: Desk, alice: Trader, bob: Trader, price: int, max_fee_bps: int, fee: int
) -> None:
    ask = desk.sell(alice, 2, price, max_fee_bps=max_fee_bps)
    numbers = fill_numbers(desk.fill(ask, desk.buy(bob, 2, price, max_fee_bps=0), 2))
    assert (numbers.maker_fee, numbers.taker_fee) == (fee, 0)
    assert desk.fees(BTC) == fee
    assert desk.balance(alice, CASH) == RICH + 2 * price - fee
    assert desk.balance(bob, CASH) == RICH - 2 * price


def test_the_vault_takes_fees_once(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fill(desk.sell(alice, 10, 4_000), desk.buy(bob, 10, 4_000), 10)
    desk.fill(desk.sell(alice, 10, 8, market=ETH, lane=1), desk.buy(bob, 10, 8, market=ETH, lane=1), 10)
    assert desk.read_as(VAULT, "takeFees(bytes32)", market_hash(BTC)) == 200
    assert desk.events() == []  # the Vault's event is the only one
    assert (desk.fees(BTC), desk.fees(ETH)) == (0, 4)
    assert (desk.sequence(BTC), desk.sequence(ETH)) == (1, 1)
    assert desk.read_as(VAULT, "takeFees(bytes32)", market_hash(BTC)) == 0


def test_the_largest_order_that_signs_settles_exactly(desk: Desk, alice: Trader, bob: Trader) -> None:
    lots, price = 2**39 - 1, 2**64 - 1
    desk.fund(alice, SBTC, lots * LISTINGS[BTC].lot)
    desk.fund(bob, CASH, 2**104 - 1 - RICH)
    notional = lots * price
    event = desk.fill(desk.sell(alice, lots, price, max_fee_bps=0), desk.buy(bob, lots, price, max_fee_bps=0), lots)
    assert event.name == "Fill"
    assert desk.balance(alice, CASH) == RICH + notional
    assert desk.balance(bob, CASH) == 2**104 - 1 - notional
    assert desk.lane(alice, 0) == (1, lots)


def test_the_event_holds_fees_of_48_bits(desk: Desk, alice: Trader, bob: Trader) -> None:
    """25 bps of 400 times the price is the price."""
    lots, most = 400, 2**48 - 1
    desk.fund(bob, CASH, 2**104 - 1 - RICH)
    numbers = fill_numbers(desk.fill(desk.sell(alice, lots, most), desk.buy(bob, lots, most), lots))
    assert (numbers.maker_fee, numbers.taker_fee) == (most, most)
    assert (numbers.price, numbers.quantity, numbers.sequence, numbers.market_index) == (most, lots, 0, 1)


@pytest.mark.parametrize("free", ["maker", "taker"])
def test_a_fee_that_the_event_cannot_hold_reverts(desk: Desk, alice: Trader, bob: Trader, free: str) -> None:
    lots, price = 400, 2**48
    desk.fund(bob, CASH, 2**104 - 1 - RICH)
    ask = desk.sell(alice, lots, price, max_fee_bps=0 if free == "maker" else 50)
    bid = desk.buy(bob, lots, price, max_fee_bps=0 if free == "taker" else 50)
    with pytest.raises(RevertedError, match="S:PACK"):
        desk.fill(ask, bid, lots)


def test_an_order_word_tells_orders_of_one_nonce_apart(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Two legs of a pair share account and nonce, and with them the fill count; their digests end differently."""
    first, second, bid = desk.sell(alice, 10, 500), desk.sell(alice, 10, 501), desk.buy(bob, 10, 501)
    events = desk.fills((first, bid, 4), (second, bid, 6))
    words = [event.fields["maker"] for event in events]
    assert words == [order_word(first), order_word(second)]
    assert words[0] >> 32 == words[1] >> 32 == int.from_bytes(alice.account, "big") << 64 | first.order.nonce
    assert words[0] != words[1]


@pytest.mark.parametrize("side", Side)
def test_an_order_word_is_account_nonce_and_digest_to_the_bit(
    desk: Desk, alice: Trader, bob: Trader, side: Side
) -> None:
    """The neighbours of the nonce in the entry, a free bit and the side, are no part of it."""
    slot = account_slot(desk, alice)
    desk.evm.insert_account_storage(desk.address, slot, desk.evm.storage(desk.address, slot) | 1 << 127)
    order = desk.order(alice, side, 10, 500, epoch=2**15, lane=2**23, seq=2**23)
    other = desk.order(bob, side.opposite, 10, 500, lane=1, seq=2**24 - 2)
    maker, taker = entry(order, Role.MAKER, terms_bits=1 << 119), entry(other, Role.TAKER, 4)
    (event,) = desk.settle_bytes(batch(pack_market_entry(BTC, 0), maker, taker))
    assert alice.account[-1] % 2 == 0
    assert (event.name, event.fields["maker"], event.fields["taker"]) == ("Fill", order_word(order), order_word(other))
    assert (desk.lane(alice, 2**23), desk.lane(bob, 1)) == ((2**23, 4), (2**24 - 2, 4))


def test_a_market_at_every_bound_settles(desk: Desk, alice: Trader, bob: Trader) -> None:
    symbol, top, lots, quote = "sXAU-USDC", 2**16 - 1, 2**24 - 1, 2**32 - 1
    listing = Listing(symbol, top, top, 18, quote, lots, 0, 50)
    desk.call(REGISTRY, "openMarket(bytes32,uint256)", market_hash(symbol), listing.word())
    desk.set_status(symbol, MarketStatus.ACTIVE)
    desk.fund(alice, top, lots * 10**18)
    desk.fund(bob, CASH, 10**18)
    key = Trader.named("session key")
    desk.set_session(alice, key, notional=2**96 - 1, market=symbol)
    ask = desk.sell(alice, lots, 3, market=symbol, session=key)
    bid = desk.buy(bob, lots, 3, market=symbol, max_fee_bps=1)
    numbers = fill_numbers(desk.fill(ask, bid, lots))
    notional = lots * 3 * quote
    fee = notional // 10_000
    assert (numbers.market_index, numbers.quantity, numbers.maker_fee, numbers.taker_fee) == (top, lots, 0, fee)
    assert desk.balance(alice, CASH) == RICH + notional
    assert desk.balance(bob, CASH) == RICH + 10**18 - notional - fee
    assert (desk.balance(alice, top), desk.balance(bob, top)) == (0, lots * 10**18)
    with pytest.raises(RevertedError, match="S:LOTS"):
        desk.fill(ask, bid, lots - 1)


def test_cash_that_the_account_word_cannot_hold_reverts(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fund(alice, CASH, 2**104 - 1 - RICH - 999)
    sells, buys = desk.sell(alice, 10, 100, max_fee_bps=0), desk.buy(bob, 10, 100, max_fee_bps=0)
    with pytest.raises(RevertedError, match="S:PACK"):
        desk.fill(sells, buys, 10)
    desk.fill(sells, buys, 9)
    assert desk.balance(alice, CASH) == 2**104 - 1 - 99
    assert desk.lane(alice, 0) == (1, 9)
    assert desk.epoch(alice) == 0


@pytest.mark.parametrize("lane", [0, 2])
def test_the_account_word_is_full_with_the_last_unit(desk: Desk, alice: Trader, bob: Trader, lane: int) -> None:
    desk.fund(alice, CASH, 2**104 - 1 - RICH - 1_000)
    bid = desk.buy(bob, 10, 100, max_fee_bps=0)
    desk.fill(desk.sell(alice, 10, 100, lane=lane, max_fee_bps=0), bid, 10)
    assert desk.balance(alice, CASH) == 2**104 - 1
    assert (desk.lane(alice, lane), desk.epoch(alice), desk.tier(alice)) == ((1, 10), 0, 0)


def test_every_word_that_a_wallet_shows_is_hashed_as_signed(desk: Desk, alice: Trader, bob: Trader) -> None:
    seq = 1
    takers = [
        (OrderType.LIMIT, TimeInForce.GTC),
        (OrderType.LIMIT, TimeInForce.GTD),
        (OrderType.LIMIT, TimeInForce.IOC),
        (OrderType.LIMIT, TimeInForce.FOK),
        (OrderType.MARKET, TimeInForce.IOC),
        (OrderType.MARKET, TimeInForce.FOK),
    ]
    for maker_tif in (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.POST_ONLY):
        for kind, tif in takers:
            for self_trade in SelfTrade:
                for side in Side:
                    maker = desk.order(alice, side, 2, 50, seq=seq, tif=maker_tif, self_trade=self_trade)
                    taker = desk.order(bob, side.opposite, 2, 50, seq=seq, kind=kind, tif=tif, self_trade=self_trade)
                    assert desk.fill(maker, taker, 2).name == "Fill"
                    seq += 1


def test_a_batch_without_entries_changes_nothing(desk: Desk) -> None:
    assert desk.settle([]) == []


def test_an_order_without_a_fill_changes_nothing(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = pack_order_entry(desk.sell(alice, 10, 500), Role.MAKER, 0)
    bid = pack_order_entry(desk.buy(bob, 10, 500), Role.TAKER, 0)
    assert desk.settle_bytes(batch(pack_market_entry(BTC, 0), ask, bid)) == []
    assert desk.lane(alice, 0) == (0, 0)
    assert desk.sequence(BTC) == 0


def test_five_hundred_fills_fit_one_batch(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = desk.sell(alice, 1_000, 50)
    fills = [MatchedFill(BTC, i, ask, desk.buy(bob, 2, 50, seq=i + 1), 2) for i in range(500)]
    assert len(desk.settle(fills)) == 500
    assert desk.lane(alice, 0) == (1, 1_000)
    assert desk.lane(bob, 0) == (500, 2)
