"""Selling what one does not have: the SynthEngine mints the shortage inside the fill, or the fill is skipped.

Here the engine is the mock of contracts/mocks, which mints at a fixed price and can misbehave; the custody tests
have the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi import decode

from cxdex.batch import MatchedFill, SkipReason, encode_settle_batch
from cxdex.order import SignedOrder
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    CORE,
    ENGINE,
    ETH,
    SBTC,
    SETH,
    STRANGER,
    USDC,
    Desk,
    RevertedError,
    Trader,
    calldata,
)
from tests.contracts.settlement_events import Event

HONEST, REFUSES, BURNS, SILENT, GREEDY = range(5)
LOT = 10**14
PRICE = 500  # ticks; one lot is 500 units of USDC, so that a whole synth is 5,000,000
WHOLE = PRICE * 10**18 // LOT
RICH = 1_000_000 * USDC
Bytecode = Callable[[str], bytes]


@pytest.fixture(scope="module")
def minting_desk(settlement_bytecode: bytes, bytecode_of: Bytecode) -> Desk:
    return Desk(settlement_bytecode, vault_code=bytecode_of("MintVault"), engine_code=bytecode_of("MintEngine"))


@pytest.fixture
def desk(minting_desk: Desk, alice: Trader, bob: Trader) -> Any:
    """Alice has cash and no synths, Bob has cash; a synth costs what the orders trade at."""
    checkpoint = minting_desk.evm.snapshot()
    engine(minting_desk, "setPrice(uint256)", WHOLE)
    for trader in (alice, bob):
        minting_desk.fund(trader, CASH, RICH)
    yield minting_desk
    minting_desk.evm.revert(checkpoint)


def engine(desk: Desk, signature: str, *values: Any) -> None:
    desk.send(STRANGER, calldata(signature, *values), to=desk.engine)


def book(desk: Desk, trader: Trader, asset: int = SBTC) -> tuple[int, int]:
    """(debt, collateral)"""
    words = [
        desk.send(STRANGER, calldata(f"{name}(address,uint256)", trader.address, asset), to=desk.engine)
        for name in ("debt", "collateral")
    ]
    debt, collateral = (int(decode(["uint256"], word)[0]) for word in words)
    return debt, collateral


def reason_of(event: Event) -> SkipReason | None:
    return None if event.name == "Fill" else SkipReason(event.fields["reason"])


def short(desk: Desk, trader: Trader, lots: int, bound: int, **more: Any) -> Any:
    return desk.sell(trader, lots, PRICE, max_collateral=bound, **{"max_fee_bps": 0, **more})


def bid(desk: Desk, trader: Trader, lots: int, **more: Any) -> Any:
    return desk.buy(trader, lots, PRICE, **{"max_fee_bps": 0, **more})


# ---------------------------------------------------------------- what is minted, and what it locks


@pytest.mark.parametrize("as_taker", [False, True])
def test_a_short_sale_mints_and_locks_its_proceeds(desk: Desk, alice: Trader, bob: Trader, as_taker: bool) -> None:
    """10 lots for 5,000: 7,500 of collateral, of which 2,500 are the seller's own."""
    ask, buy = short(desk, alice, 10, 2_500), bid(desk, bob, 10)
    event = desk.fill(buy, ask, 10) if as_taker else desk.fill(ask, buy, 10)
    assert event.name == "Fill"
    assert [e.name for e in desk.events()] == ["Fill", "ProceedsLocked"]
    told = desk.events()[1].fields
    assert told == {"account": alice.address, "amount": 7_500, "balance": RICH - 2_500, "total": 7_500}
    assert book(desk, alice) == (10 * LOT, 7_500)
    assert (desk.balance(alice, CASH), desk.balance(alice, SBTC)) == (RICH - 2_500, 0)
    assert (desk.balance(bob, CASH), desk.balance(bob, SBTC)) == (RICH - 5_000, 10 * LOT)


def test_what_the_seller_owns_is_sold_first(desk: Desk, alice: Trader, bob: Trader) -> None:
    """8 lots owned and 2 minted: a fifth of the proceeds becomes collateral, the rest is cash."""
    desk.fund(alice, SBTC, 8 * LOT)
    assert desk.fill(short(desk, alice, 10, 500), bid(desk, bob, 10), 10).name == "Fill"
    assert book(desk, alice) == (2 * LOT, 1_500)
    assert (desk.balance(alice, CASH), desk.balance(alice, SBTC)) == (RICH + 5_000 - 1_500, 0)


def test_a_seller_with_enough_mints_nothing(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fund(alice, SBTC, 10 * LOT)
    assert desk.fill(short(desk, alice, 10, 10**9), bid(desk, bob, 10), 10).name == "Fill"
    assert [e.name for e in desk.events()] == ["Fill"]
    assert book(desk, alice) == (0, 0)


def test_fees_come_out_of_the_proceeds_first(desk: Desk, alice: Trader, bob: Trader) -> None:
    """25 bps of 5,000 are 13 rounded up, capped at 12: 4,988 arrive, so that the seller adds 2,512."""
    ask = short(desk, alice, 10, 2_512, max_fee_bps=25)
    assert reason_of(desk.fill(short(desk, alice, 10, 2_511, max_fee_bps=25), bid(desk, bob, 10), 10)) is (
        SkipReason.MINT_REFUSED
    )
    assert desk.fill(ask, bid(desk, bob, 10), 10).name == "Fill"
    assert (book(desk, alice), desk.balance(alice, CASH)) == ((10 * LOT, 7_500), RICH - 2_512)
    assert desk.fees(BTC) == 12


def test_two_fills_of_one_batch_mint_twice(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask, other = short(desk, alice, 10, 2_500), bid(desk, bob, 10, lane=1)
    events = desk.fills((ask, bid(desk, bob, 10), 4), (ask, other, 2), (other, short(desk, alice, 4, 1_000, lane=1), 4))
    assert [event.name for event in events] == ["Fill"] * 3
    assert book(desk, alice) == (10 * LOT, 7_500)
    assert (desk.balance(alice, CASH), desk.balance(bob, SBTC)) == (RICH - 2_500, 10 * LOT)


def test_a_batch_that_reverts_has_minted_nothing(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = short(desk, alice, 10, 10**6)
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        desk.fills((ask, bid(desk, bob, 10), 4), (ask, bid(desk, bob, 10, lane=1), 7))
    assert (book(desk, alice), desk.balance(alice, CASH), desk.balance(bob, SBTC)) == ((0, 0), RICH, 0)


def test_a_market_mints_its_own_asset(desk: Desk, alice: Trader, bob: Trader) -> None:
    engine(desk, "setPrice(uint256)", 1)
    ask = desk.sell(alice, 10, 500, market=ETH, max_collateral=10**6)
    assert desk.fill(ask, desk.buy(bob, 10, 500, market=ETH), 10).name == "Fill"
    assert book(desk, alice, SETH)[0] == 10**16 == desk.balance(bob, SETH)
    assert book(desk, alice) == (0, 0)


def test_a_wallet_that_is_a_contract_may_sell_short(
    desk: Desk, alice: Trader, bob: Trader, bytecode_of: Bytecode
) -> None:
    address = desk.deploy(bytecode_of("SignerWallet"), "address", alice.address)
    desk.fund(address, CASH, RICH)
    ask = short(desk, alice, 10, 2_500, wallet=bytes.fromhex(address[2:]))
    assert desk.fill(ask, bid(desk, bob, 10), 10).name == "Fill"
    assert desk.balance(address, CASH) == RICH - 2_500


# ---------------------------------------------------------------- the signed bound


def test_the_bound_is_met_to_the_unit(desk: Desk, alice: Trader, bob: Trader) -> None:
    refused = desk.fill(short(desk, alice, 10, 2_499), bid(desk, bob, 10), 10)
    assert reason_of(refused) is SkipReason.MINT_REFUSED
    assert (book(desk, alice), desk.balance(alice, CASH), desk.balance(bob, CASH)) == ((0, 0), RICH, RICH)
    assert desk.fill(short(desk, alice, 10, 2_500), bid(desk, bob, 10), 10).name == "Fill"


def test_every_fill_has_its_share_of_the_bound(desk: Desk, alice: Trader, bob: Trader) -> None:
    """However an order is filled, its own cash behind it never passes what it signed."""
    ask = short(desk, alice, 10, 2_500)
    for seq, lots in enumerate((3, 2, 5), 1):
        assert desk.fill(ask, bid(desk, bob, 10, seq=seq), lots).name == "Fill"
        assert RICH - desk.balance(alice, CASH) == 250 * desk.lane(alice, 0)[1]
    assert desk.balance(alice, CASH) == RICH - 2_500


def test_a_price_that_rose_is_refused_not_charged(desk: Desk, alice: Trader, bob: Trader) -> None:
    """The order signed for a price; if the oracle has left it, the seller pays no more, and the fill is skipped."""
    engine(desk, "setPrice(uint256)", 2 * WHOLE)
    assert reason_of(desk.fill(short(desk, alice, 10, 2_500), bid(desk, bob, 10), 10)) is SkipReason.MINT_REFUSED
    assert desk.fill(short(desk, alice, 10, 10_000), bid(desk, bob, 10), 10).name == "Fill"
    assert desk.balance(alice, CASH) == RICH - 10_000


def test_cash_that_is_not_there_is_not_locked(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.tell_vault("debit(address,uint256,uint256)", alice.address, CASH, RICH - 2_499)
    ask = short(desk, alice, 10, 10**6)
    assert reason_of(desk.fill(ask, bid(desk, bob, 10), 10)) is SkipReason.MINT_REFUSED
    desk.fund(alice, CASH, 1)
    assert desk.fill(ask, bid(desk, bob, 10), 10).name == "Fill"
    assert desk.balance(alice, CASH) == 0


# ---------------------------------------------------------------- who may not


def test_without_a_bound_an_order_sells_only_what_there_is(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fund(alice, SBTC, 10 * LOT - 1)
    assert reason_of(desk.fill(short(desk, alice, 10, 0), bid(desk, bob, 10), 10)) is SkipReason.SELLER_BALANCE
    assert book(desk, alice) == (0, 0)


def test_an_order_that_reduces_never_mints(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fund(alice, SBTC, 4 * LOT)
    ask = short(desk, alice, 10, 10**6, reduce_only=True)
    assert reason_of(desk.fill(ask, bid(desk, bob, 10), 5)) is SkipReason.SELLER_BALANCE
    assert desk.fill(ask, bid(desk, bob, 10), 4).name == "Fill"
    assert (book(desk, alice), desk.balance(alice, SBTC)) == ((0, 0), 0)


def test_attack_17_a_session_key_takes_on_no_debt(desk: Desk, alice: Trader, bob: Trader) -> None:
    key = Trader.named("session key")
    desk.set_session(alice, key)
    ask = short(desk, alice, 10, 10**6, session=key)
    assert reason_of(desk.fill(ask, bid(desk, bob, 10), 10)) is SkipReason.SELLER_BALANCE
    desk.fund(alice, SBTC, 10 * LOT)
    assert desk.fill(ask, bid(desk, bob, 10), 10).name == "Fill"
    assert book(desk, alice) == (0, 0)


def test_a_buyer_without_cash_comes_before_a_mint(desk: Desk, alice: Trader) -> None:
    poor = Trader.named("poor")
    assert reason_of(desk.fill(short(desk, alice, 10, 10**6), bid(desk, poor, 10), 10)) is SkipReason.BUYER_BALANCE
    assert book(desk, alice) == (0, 0)


# ---------------------------------------------------------------- an engine that misbehaves


def assert_does_not_fill(desk: Desk, ask: SignedOrder, buy: SignedOrder) -> None:
    """It has minted by then, so that the batch reverts."""
    with pytest.raises(RevertedError, match="S:ENGINE"):
        desk.fill(ask, buy, 10)


def test_an_engine_that_refuses_skips_that_fill_alone(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    engine(desk, "setMode(uint256)", REFUSES)
    desk.fund(carol, SBTC, 100 * LOT)
    buy = bid(desk, bob, 30)
    events = desk.fills(
        (desk.sell(carol, 10, PRICE), buy, 10),
        (short(desk, alice, 10, 10**6), buy, 10),
        (desk.sell(carol, 10, PRICE, lane=1), buy, 10),
    )
    assert [reason_of(event) for event in events] == [None, SkipReason.MINT_REFUSED, None]
    assert (desk.balance(alice, CASH), desk.balance(bob, SBTC)) == (RICH, 20 * LOT)


def test_an_engine_that_takes_more_than_was_signed(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Whatever it answers, the seller's cash pays at most what the order allows."""
    engine(desk, "setMode(uint256)", GREEDY)
    assert_does_not_fill(desk, short(desk, alice, 10, 2_500), bid(desk, bob, 10))
    assert RICH - desk.balance(alice, CASH) <= 2_500
    assert desk.balance(bob, SBTC) == 0


def test_an_engine_that_says_nothing_has_minted_nothing(desk: Desk, alice: Trader, bob: Trader) -> None:
    engine(desk, "setMode(uint256)", SILENT)
    assert_does_not_fill(desk, short(desk, alice, 10, 2_500), bid(desk, bob, 10))
    assert (book(desk, alice), desk.balance(bob, SBTC)) == ((0, 0), 0)


def test_an_address_without_code_mints_nothing(settlement_bytecode: bytes, alice: Trader, bob: Trader) -> None:
    """Before the engine is deployed, and if it were ever gone."""
    desk = Desk(settlement_bytecode)
    assert desk.engine == ENGINE
    desk.fund(alice, CASH, RICH)
    desk.fund(bob, CASH, RICH)
    assert_does_not_fill(desk, short(desk, alice, 10, 10**6), bid(desk, bob, 10))
    assert desk.balance(bob, SBTC) == 0


def test_attack_45_core_starves_the_engine_of_gas(desk: Desk, alice: Trader, bob: Trader) -> None:
    """With too little gas the batch reverts; no amount of gas turns a good mint into a refused one."""
    data = encode_settle_batch([MatchedFill(BTC, 0, short(desk, alice, 10, 2_500), bid(desk, bob, 10), 10)])
    found: dict[str, int] = {}
    for gas in [*range(60_000, 1_000_000, 20_000), *range(1_000_000, 1_200_000, 1_000)]:
        checkpoint = desk.evm.snapshot()
        try:
            desk.send(CORE, data, gas=gas)
        except RevertedError as reverted:
            outcome = f"reverted {reverted.code}"
        else:
            outcome = desk.events()[0].name
        desk.evm.revert(checkpoint)
        found[outcome] = gas
    assert found.keys() <= {"reverted ", "reverted S:GAS", "Fill"}
    assert {"reverted S:GAS", "Fill"} <= found.keys()
