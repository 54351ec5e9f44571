"""The Vault's and the registry's doors, the roles, the tiers, and the bounds of every packed field."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.eip712 import Domain, market_hash
from cxdex.fees import fee_tier
from cxdex.market import MarketStatus
from cxdex.nonce import MAX_LANE, MAX_SEQ, pack_nonce
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL_ALL,
    CASH,
    CHAIN_ID,
    CORE,
    CREDIT,
    CXPT,
    DEPLOYER,
    ENGINE,
    LISTINGS,
    NOW,
    REGISTRY,
    SBTC,
    STRANGER,
    TRIGGERS,
    VAULT,
    Desk,
    Listing,
    RevertedError,
    Trader,
    fill_numbers,
)
from tests.contracts.storage_slots import market_slot

DEBIT = "debit(address,uint256,uint256)"
OPEN, STATUS = "openMarket(bytes32,uint256)", "setMarketStatus(bytes32,uint256)"
MAX_CASH = 2**104 - 1
ROLES = [CORE, VAULT, REGISTRY, ENGINE, TRIGGERS]


def assert_reverts(code: str, desk: Desk, caller: str, signature: str, *values: Any) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.call(caller, signature, *values)
    assert reverted.value.code == code


# ---------------------------------------------------------------- constructor


def deploy(desk: Desk, bytecode: bytes, *roles: str, controls: str = "") -> str:
    """The last of the roles is that of Triggers."""
    given = [*roles[:4], controls or desk.controls, *roles[4:]]
    try:
        return str(desk.evm.deploy(DEPLOYER, bytecode + encode(["address"] * 6, given)))
    except RuntimeError as error:
        return str(error)


def test_the_roles_are_public(desk: Desk) -> None:
    names = ("CORE", "VAULT", "REGISTRY", "SYNTH_ENGINE", "CONTROLS", "TRIGGERS")
    parts = [desk.controls, desk.index.triggers]
    assert [desk.read(f"{name}()", returns="address") for name in names] == [*ROLES[:4], *parts]
    assert desk.read("DOMAIN_SEPARATOR()", returns="bytes32") == desk.domain.separator


@pytest.mark.parametrize("place", range(5))
def test_no_role_is_the_zero_address(desk: Desk, settlement_bytecode: bytes, place: int) -> None:
    roles = list(ROLES)
    roles[place] = "0x" + "00" * 20
    assert b"S:ZERO".hex() in deploy(desk, settlement_bytecode, *roles)


@pytest.mark.parametrize("pair", itertools.combinations(range(5), 2))
def test_roles_that_must_differ_do(desk: Desk, settlement_bytecode: bytes, pair: tuple[int, int]) -> None:
    roles = list(ROLES)
    roles[pair[1]] = roles[pair[0]]
    assert b"S:ROLES".hex() in deploy(desk, settlement_bytecode, *roles)


@pytest.mark.parametrize("place", range(5))
def test_no_role_is_the_contract_itself(desk: Desk, settlement_bytecode: bytes, place: int) -> None:
    """Its address is known beforehand: the roles are named by addresses that are predicted."""
    checkpoint = desk.evm.snapshot()
    roles = list(ROLES)
    roles[place] = deploy(desk, settlement_bytecode, *ROLES)
    desk.evm.revert(checkpoint)
    assert b"S:ROLES".hex() in deploy(desk, settlement_bytecode, *roles)


def test_the_controls_are_there_before_it(desk: Desk, settlement_bytecode: bytes) -> None:
    """A delegated call to no code succeeds: a cancel would seem to have worked."""
    assert b"S:CODE".hex() in deploy(desk, settlement_bytecode, *ROLES, controls=STRANGER)


# ---------------------------------------------------------------- credit and debit


@pytest.mark.parametrize("asset", [0, 1, 2, 65_535])
def test_credit_and_debit_return_the_balance(bare_desk: Desk, alice: Trader, asset: int) -> None:
    desk = bare_desk
    assert desk.read_as(VAULT, CREDIT, alice.address, asset, 70) == 70
    assert desk.read_as(VAULT, CREDIT, alice.address, asset, 30) == 100
    assert desk.read_as(VAULT, DEBIT, alice.address, asset, 99) == 1
    assert desk.balance(alice, asset) == 1
    assert_reverts("S:FUNDS", desk, VAULT, DEBIT, alice.address, asset, 2)
    assert desk.read_as(VAULT, DEBIT, alice.address, asset, 1) == 0
    assert desk.events() == []  # the Vault's event is the only one


@pytest.mark.parametrize("caller", [STRANGER, CORE, ENGINE, REGISTRY])
def test_only_the_vault_credits_and_debits(desk: Desk, alice: Trader, caller: str) -> None:
    assert_reverts("S:VAULT", desk, caller, CREDIT, alice.address, CASH, 1)
    assert_reverts("S:VAULT", desk, caller, DEBIT, alice.address, CASH, 1)


def test_cash_is_bounded_and_leaves_its_neighbours_alone(bare_desk: Desk, alice: Trader, bob: Trader) -> None:
    desk = bare_desk
    desk.call(alice.address, CANCEL_ALL)
    desk.kill(alice, pack_nonce(1, 0, 5), pack_nonce(1, 1, MAX_SEQ))
    desk.fund(alice, CXPT, 10**12)
    desk.fund(alice, CASH, MAX_CASH)
    for amount in (1, MAX_CASH, 2**104, 2**256 - 1):
        assert_reverts("S:PACK", desk, VAULT, CREDIT, alice.address, CASH, amount)
    assert_reverts("S:FUNDS", desk, VAULT, DEBIT, alice.address, CASH, 2**104)
    assert (desk.balance(alice, CASH), desk.epoch(alice), desk.tier(alice)) == (MAX_CASH, 1, 4)
    assert (desk.lane(alice, 0), desk.lane(alice, 1)) == ((6, 0), (MAX_SEQ, 0))
    desk.call(VAULT, DEBIT, alice.address, CASH, MAX_CASH)
    assert (desk.epoch(alice), desk.tier(alice)) == (1, 4)
    assert (desk.lane(alice, 0), desk.lane(alice, 1)) == ((6, 0), (MAX_SEQ, 0))


def test_an_asset_number_cannot_name_another_slot(desk: Desk, alice: Trader) -> None:
    for asset in (2**16, 2**96, 2**96 + SBTC, 2**256 - 1):
        assert_reverts("S:ASSET", desk, VAULT, CREDIT, alice.address, asset, 1)
        assert_reverts("S:ASSET", desk, VAULT, DEBIT, alice.address, asset, 1)
        assert_reverts("S:ASSET", desk, STRANGER, "balanceOf(address,uint256)", alice.address, asset)


def test_a_lane_number_cannot_name_another_slot(desk: Desk, alice: Trader) -> None:
    for lane in (MAX_LANE + 1, 2**98 + 2, 2**256 - 1):
        assert_reverts("S:LANE", desk, STRANGER, "laneOf(address,uint256)", alice.address, lane)


def test_an_asset_that_would_overflow_reverts(bare_desk: Desk, alice: Trader) -> None:
    bare_desk.fund(alice, SBTC, 2**256 - 1)
    with pytest.raises(RevertedError):
        bare_desk.fund(alice, SBTC, 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_packed_neighbours_never_touch(opened_desk: Desk, data: st.DataObject) -> None:
    """Cash, tier, epoch and every lane are independent numbers, whatever is written in whatever order."""
    checkpoint = opened_desk.evm.snapshot()
    opened_desk.set_time(NOW)
    try:
        change_neighbours(opened_desk, Trader.named("dora"), data)
    finally:
        opened_desk.evm.revert(checkpoint)


def change_neighbours(desk: Desk, trader: Trader, data: st.DataObject) -> None:
    cash, cxpt, epoch, seqs = 0, 0, 0, dict.fromkeys((0, 1, 2, 3, 4, 5, 6, 7, MAX_LANE), 0)
    for _ in range(data.draw(st.integers(1, 8))):
        match data.draw(st.sampled_from(("credit", "debit", "tier", "epoch", "lane"))):
            case "credit":
                amount = data.draw(st.integers(0, MAX_CASH - cash))
                desk.fund(trader, CASH, amount)
                cash += amount
            case "debit":
                amount = data.draw(st.integers(0, cash))
                desk.call(VAULT, DEBIT, trader.address, CASH, amount)
                cash -= amount
            case "tier":
                amount = data.draw(st.sampled_from((1, 10**9 - 1, 10**9, 9 * 10**10, 10**12)))
                desk.fund(trader, CXPT, amount)
                cxpt += amount
            case "epoch":
                desk.kill_all(trader)
                epoch += 1
            case _:
                lane, seq = data.draw(st.sampled_from(list(seqs))), data.draw(st.integers(0, MAX_SEQ))
                desk.kill(trader, pack_nonce(epoch, lane, seq))
                seqs[lane] = max(seqs[lane], min(seq + 1, MAX_SEQ))
        assert (desk.balance(trader, CASH), desk.epoch(trader)) == (cash, epoch)
        assert (desk.balance(trader, CXPT), desk.tier(trader)) == (cxpt, fee_tier(cxpt))
        assert {lane: desk.lane(trader, lane) for lane in seqs} == {lane: (seq, 0) for lane, seq in seqs.items()}


# ---------------------------------------------------------------- tiers


@pytest.mark.parametrize("tier", [1, 2, 3, 4])
def test_a_tier_follows_the_cxpt_at_every_credit_and_debit(bare_desk: Desk, alice: Trader, tier: int) -> None:
    desk, step = bare_desk, 10 ** (8 + tier)
    desk.fund(alice, CXPT, step - 1)
    assert desk.tier(alice) == tier - 1
    desk.fund(alice, CXPT, 1)
    assert desk.tier(alice) == tier == fee_tier(step)
    desk.call(VAULT, DEBIT, alice.address, CXPT, 1)
    assert desk.tier(alice) == tier - 1
    desk.call(VAULT, DEBIT, alice.address, CXPT, step - 1)
    assert desk.tier(alice) == 0


def test_only_cxpt_makes_a_tier(bare_desk: Desk, alice: Trader, bob: Trader) -> None:
    for asset in (CASH, SBTC, 65_535):
        bare_desk.fund(alice, asset, 10**24)
    bare_desk.fund(bob, CXPT, 10**12)
    assert (bare_desk.tier(alice), bare_desk.tier(bob)) == (0, 4)


@pytest.mark.parametrize(
    ("cxpt", "fee"), [(0, 2_500), (10**9, 2_250), (10**10, 2_000), (10**11, 1_750), (10**12, 1_500)]
)
def test_each_tier_takes_a_tenth_off_the_fee(desk: Desk, alice: Trader, bob: Trader, cxpt: int, fee: int) -> None:
    """Of the account that holds the CXPT, as maker and as taker; the other one pays the whole fee."""
    desk.fund(alice, CXPT, cxpt)
    made = fill_numbers(desk.fill(desk.sell(alice, 10, 100_000), desk.buy(bob, 10, 100_000), 10))
    taken = fill_numbers(desk.fill(desk.sell(bob, 10, 100_000, seq=2), desk.buy(alice, 10, 100_000, seq=2), 10))
    assert (made.maker_fee, made.taker_fee) == (fee, 2_500)
    assert (taken.maker_fee, taken.taker_fee) == (2_500, fee)
    assert desk.fees(BTC) == 2 * (fee + 2_500)


def test_a_discount_never_lifts_the_signed_cap(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fund(alice, CXPT, 10**9)
    numbers = fill_numbers(desk.fill(desk.sell(alice, 10, 100_000, max_fee_bps=10), desk.buy(bob, 10, 100_000), 10))
    assert numbers.maker_fee == 1_000  # the cap; the discounted rate would be 2,250


def test_a_tier_of_a_batch_is_the_one_before_it(desk: Desk, alice: Trader, bob: Trader) -> None:
    """CXPT is no market's base, so that no fill can change a tier in the middle of a batch."""
    word = replace(LISTINGS[BTC], symbol="CXPT-USDC", index=3, base_asset=CXPT).word()
    assert_reverts("S:TERMS", desk, REGISTRY, OPEN, market_hash("CXPT-USDC"), word)


# ---------------------------------------------------------------- markets


def test_only_the_registry_opens_markets_and_sets_their_status(desk: Desk) -> None:
    for caller in (STRANGER, ENGINE, CORE, VAULT):
        assert_reverts(
            "S:REGISTRY", desk, caller, OPEN, market_hash("sXAU-USDC"), replace(LISTINGS[BTC], index=3).word()
        )
        assert_reverts("S:REGISTRY", desk, caller, STATUS, market_hash(BTC), 1)


def test_a_symbol_is_listed_once(desk: Desk) -> None:
    assert_reverts("S:OPEN", desk, REGISTRY, OPEN, market_hash(BTC), LISTINGS[BTC].word())
    assert_reverts("S:OPEN", desk, REGISTRY, OPEN, bytes(32), LISTINGS[BTC].word())


GOOD = Listing("sXAU-USDC", 3, 4)


@pytest.mark.parametrize(
    "word",
    [
        replace(GOOD, status=MarketStatus.ACTIVE).word(),
        replace(GOOD, status=MarketStatus.UNLISTED).word(),
        replace(GOOD, quote_per_lot_tick=0).word(),
        replace(GOOD, min_lots=0).word(),
        replace(GOOD, min_lots=0, lot_exponent=15).word(),
        replace(GOOD, lot_exponent=19).word(),
        replace(GOOD, lot_exponent=128).word(),
        replace(GOOD, base_asset=1).word(),
        replace(GOOD, index=0).word(),
        replace(GOOD, maker_fee_bps=26).word(),
        replace(GOOD, maker_fee_bps=2**15).word(),
        replace(GOOD, taker_fee_bps=2**15).word(),
        replace(GOOD, maker_fee_bps=2**16 - 1, taker_fee_bps=2**16 - 1).word(),
        GOOD.word() | 1,
        GOOD.word() | 1 << 80,
    ],
)
def test_a_market_word_that_breaks_a_bound_is_refused(desk: Desk, word: int) -> None:
    assert_reverts("S:TERMS", desk, REGISTRY, OPEN, market_hash(GOOD.symbol), word)


def test_a_market_at_every_bound_opens(desk: Desk) -> None:
    extreme = Listing("sXAU-USDC", 2**16 - 1, 2**16 - 1, 18, 2**32 - 1, 2**24 - 1, 0, 50)
    desk.call(REGISTRY, OPEN, market_hash(extreme.symbol), extreme.word())
    assert desk.read("marketWord(bytes32)", market_hash(extreme.symbol)) == extreme.word()


def test_every_field_of_a_market_word_is_read_to_its_highest_bit(desk: Desk) -> None:
    highest = Listing("sXAU-USDC", 2**15, 2**15, 16, 2**31, 2**23, 0, 50)
    desk.call(REGISTRY, OPEN, market_hash(highest.symbol), highest.word())
    desk.set_status(highest.symbol, MarketStatus.SETTLED)
    settled = replace(highest, status=MarketStatus.SETTLED)
    assert desk.read("marketWord(bytes32)", market_hash(highest.symbol)) == settled.word()


def test_a_market_leaves_its_last_states_never(desk: Desk) -> None:
    market = market_hash(BTC)
    before = desk.read("marketWord(bytes32)", market) & 2**248 - 1
    for status in (MarketStatus.PAUSED, MarketStatus.ACTIVE, MarketStatus.DELISTED):
        desk.set_status(BTC, status)
        assert desk.read("marketWord(bytes32)", market) == before | status << 248
    for status in range(1, 5):
        assert_reverts("S:STATUS", desk, REGISTRY, STATUS, market, status)


def test_a_status_is_one_of_the_known_ones(desk: Desk) -> None:
    for status in (0, 5, 256, 2**256 - 1):
        assert_reverts("S:STATUS", desk, REGISTRY, STATUS, market_hash(BTC), status)
    assert_reverts("S:MARKET", desk, REGISTRY, STATUS, market_hash("sXAU-USDC"), 2)


def test_only_the_vault_takes_fees(desk: Desk) -> None:
    for caller in (STRANGER, CORE, ENGINE, REGISTRY):
        assert_reverts("S:VAULT", desk, caller, "takeFees(bytes32)", market_hash(BTC))
    assert_reverts("S:MARKET", desk, VAULT, "takeFees(bytes32)", market_hash("sXAU-USDC"))


def test_the_sequence_is_bounded_and_leaves_the_terms_alone(desk: Desk, alice: Trader, bob: Trader) -> None:
    market = market_hash(BTC)
    word = desk.read("marketWord(bytes32)", market)
    terms = word >> 120
    desk.evm.insert_account_storage(desk.address, market_slot(desk, BTC), word | (2**40 - 2) << 80)
    ask, bid = desk.sell(alice, 10, 4_000), desk.buy(bob, 10, 4_000)
    assert fill_numbers(desk.fill(ask, bid, 2)).sequence == 2**40 - 2
    assert desk.read("marketWord(bytes32)", market) >> 120 == terms
    with pytest.raises(RevertedError, match="S:PACK"):
        desk.fill(ask, bid, 2)
    assert_reverts("S:PACK", desk, CORE, "voidSequence(bytes32,uint256)", market, 1)


def test_the_fees_are_bounded_and_leave_the_terms_alone(desk: Desk, alice: Trader, bob: Trader) -> None:
    market, most = market_hash(BTC), 2**80 - 1
    word = desk.read("marketWord(bytes32)", market)
    desk.evm.insert_account_storage(desk.address, market_slot(desk, BTC), word | most - 40)
    ask, bid = desk.sell(alice, 10, 4_000), desk.buy(bob, 10, 4_000)
    desk.fill(ask, bid, 2)
    assert (desk.fees(BTC), desk.sequence(BTC)) == (most, 1)
    with pytest.raises(RevertedError, match="S:PACK"):
        desk.fill(ask, bid, 2)
    desk.set_status(BTC, MarketStatus.PAUSED)
    paused = replace(LISTINGS[BTC], status=MarketStatus.PAUSED).word()
    assert desk.read("marketWord(bytes32)", market) == paused | 1 << 80 | most
    assert desk.read_as(VAULT, "takeFees(bytes32)", market) == most
    assert desk.read("marketWord(bytes32)", market) == paused | 1 << 80


# ---------------------------------------------------------------- domain


def test_the_domain_follows_the_chain_it_runs_on(settlement_bytecode: bytes) -> None:
    desk = Desk(settlement_bytecode, chain_id=10)
    separator = desk.read("DOMAIN_SEPARATOR()", returns="bytes32")
    here = desk.domain.verifying_contract
    assert separator == Domain(10, here).separator != Domain(CHAIN_ID, here).separator
