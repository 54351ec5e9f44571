"""The numbered attacks of the protocol that concern fills between spot orders, one test each.

Those on withdrawals, tokens, synths and the oracle are told where those contracts are tested.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from pyrevm import AccountInfo

from cxdex.batch import MatchedFill, SkipReason, encode_settle_batch
from cxdex.eip712 import (
    ORDER_TYPE,
    Domain,
    cancel_orders_digest,
    login_digest,
    market_hash,
    order_typed_data,
)
from cxdex.market import MarketStatus
from cxdex.nonce import CANCEL_DELAY_SECONDS
from cxdex.order import SignedOrder
from cxdex.signature import CURVE_ORDER, sign_digest
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL,
    CANCEL_ALL,
    CASH,
    CORE,
    ENGINE,
    HOUR,
    LISTINGS,
    NOW,
    REGISTRY,
    SBTC,
    STRANGER,
    USDC,
    VAULT,
    Desk,
    RevertedError,
    Trader,
    fill_numbers,
)

RICH = 1_000_000 * USDC


def assert_refused(code: str, desk: Desk, maker: SignedOrder, taker: SignedOrder, lots: int = 4) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.fill(maker, taker, lots)
    assert reverted.value.code == code


def skip_reason(desk: Desk, maker: SignedOrder, taker: SignedOrder, lots: int = 4) -> SkipReason:
    return SkipReason(desk.fill(maker, taker, lots).fields["reason"])


def test_attack_01_replay_on_another_chain(desk: Desk, alice: Trader, bob: Trader) -> None:
    elsewhere = desk.sell(alice, 10, 500, domain=Domain(1, desk.domain.verifying_contract))
    assert_refused("S:SIG", desk, elsewhere, desk.buy(bob, 10, 500))


def test_attack_02_replay_on_another_deployment(desk: Desk, settlement_bytecode: bytes) -> None:
    """The same bytecode at another address: an order signed for the one is worth nothing at the other."""
    alice, bob = Trader.named("alice"), Trader.named("bob")
    other = Desk(settlement_bytecode, deployer=STRANGER)
    assert other.address != desk.address
    ask, bid = desk.sell(alice, 10, 500), desk.buy(bob, 10, 500)
    assert_refused("S:SIG", other, ask, bid)
    assert_refused("S:SIG", other, other.sell(alice, 10, 500), bid)
    assert desk.fill(ask, bid, 4).name == "Fill"


def test_attack_03_a_signature_for_something_else(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = desk.sell(alice, 10, 500)
    for digest in (
        cancel_orders_digest(desk.domain, alice.account, [ask.order.nonce], NOW),
        login_digest(desk.domain, alice.account, NOW),
    ):
        assert digest != ask.digest
        assert_refused("S:SIG", desk, replace(ask, signature=sign_digest(alice.key, digest)), desk.buy(bob, 10, 500))


def test_attack_05_typehash_mismatch(desk: Desk, alice: Trader, bob: Trader) -> None:
    """An order signed by an independent implementation from the typed data that a wallet is given."""
    ask = desk.sell(alice, 10, 500, lane=5, seq=8, max_fee_bps=33)
    document = order_typed_data(desk.domain, ask.order)
    assert ORDER_TYPE.startswith(document["primaryType"])
    signed = Account.sign_message(encode_typed_data(full_message=document), alice.key)
    assert desk.fill(replace(ask, signature=bytes(signed.signature)), desk.buy(bob, 10, 500), 4).name == "Fill"


def test_attack_06_22_a_fee_above_the_signed_cap(desk: Desk, alice: Trader, bob: Trader) -> None:
    """The market charges 25 bps; an order that signed 10 pays 10, whoever listed the market at what rate."""
    event = desk.fill(desk.sell(alice, 10, 40_000, max_fee_bps=10), desk.buy(bob, 10, 40_000, max_fee_bps=0), 10)
    numbers = fill_numbers(event)
    assert (numbers.maker_fee, numbers.taker_fee) == (400, 0)


def test_attack_07_malleable_signatures(desk: Desk, alice: Trader, bob: Trader) -> None:
    """The high-s twin is refused, and a fill is remembered by order, so that an encoding buys nothing."""
    ask = desk.sell(alice, 10, 500)
    s, v = int.from_bytes(ask.signature[32:64], "big"), ask.signature[64]
    twin = ask.signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    assert_refused("S:SIG", desk, replace(ask, signature=twin), desk.buy(bob, 10, 500))


def test_attack_08_the_zero_signer(desk: Desk, alice: Trader, bob: Trader) -> None:
    for signature in (bytes(64) + b"\x1b", b"\xff" * 32 + bytes(31) + b"\x01\x1b"):
        assert_refused("S:SIG", desk, replace(desk.sell(alice, 10, 500), signature=signature), desk.buy(bob, 10, 500))


def test_attack_09_a_key_that_signs_for_anothers_account(desk: Desk, alice: Trader, bob: Trader) -> None:
    thief = Trader.named("thief")
    assert_refused("S:SIG", desk, desk.sell(thief, 10, 500, account=alice.account), desk.buy(bob, 10, 500))


def test_attack_12_an_account_with_delegated_code(settlement_bytecode: bytes, bob: Trader) -> None:
    """EIP-7702: a key that delegated to code still trades by its signature."""
    desk, delegated = Desk(settlement_bytecode), Trader.named("delegated")
    desk.evm.insert_account_info(delegated.address, AccountInfo(nonce=1, code=bytes.fromhex("ef0100" + "42" * 20)))
    desk.fund(delegated, SBTC, 10**18)
    desk.fund(bob, CASH, 10**9)
    assert desk.fill(desk.sell(delegated, 10, 500), desk.buy(bob, 10, 500), 4).name == "Fill"


def test_attack_14_cancel_then_fill_and_fill_then_cancel(desk: Desk, alice: Trader, bob: Trader) -> None:
    """A fill that was matched settles although its trader cancels before it is on chain: no free option. After the
    delay the cancel counts, and it takes back nothing that was filled."""
    ask, bid = desk.sell(alice, 10, 500), desk.buy(bob, 10, 500)
    desk.fill(ask, bid, 4)
    desk.cancel(alice, ask.order.nonce)
    desk.call(bob.address, CANCEL_ALL)
    assert desk.fill(ask, bid, 4).name == "Fill"
    desk.wait(CANCEL_DELAY_SECONDS)
    assert desk.balance(alice, SBTC) == 100 * 10**18 - 8 * 10**14
    assert skip_reason(desk, ask, bid, 2) is SkipReason.MAKER_CANCELLED
    assert skip_reason(desk, desk.sell(alice, 10, 500, seq=2), bid, 2) is SkipReason.TAKER_CANCELLED
    assert desk.balance(alice, SBTC) == 100 * 10**18 - 8 * 10**14


def test_attack_15_a_stranger_cancels(desk: Desk, alice: Trader, bob: Trader) -> None:
    """A cancel concerns the caller's own lanes; there is no door to anybody else's."""
    ask = desk.sell(alice, 10, 500)
    for caller in (STRANGER, CORE, ENGINE, VAULT, REGISTRY):
        desk.call(caller, CANCEL, [ask.order.nonce])
        desk.call(caller, CANCEL_ALL)
    desk.wait(CANCEL_DELAY_SECONDS)
    assert desk.fill(ask, desk.buy(bob, 10, 500), 4).name == "Fill"


def test_attack_16_nothing_revives_a_cancelled_order(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = desk.sell(alice, 10, 500, seq=9)
    desk.kill(alice, ask.order.nonce)
    desk.cancel(alice, ask.order.nonce - 5)
    desk.cancel(alice, ask.order.nonce + 3)
    assert skip_reason(desk, ask, desk.buy(bob, 10, 500)) is SkipReason.MAKER_CANCELLED
    newer = desk.sell(alice, 10, 500, seq=10)
    assert desk.fill(newer, desk.buy(bob, 10, 500), 4).name == "Fill"
    assert skip_reason(desk, ask, desk.buy(bob, 10, 500)) is SkipReason.MAKER_CANCELLED


@pytest.mark.parametrize("lane", [0, 1, 2, 7])
def test_attack_18_same_order_twice_in_batch(desk: Desk, alice: Trader, bob: Trader, carol: Trader, lane: int) -> None:
    """However often an order is sent again within a batch, its fills add up."""
    ask, other = desk.sell(alice, 10, 500, lane=lane), desk.sell(carol, 20, 500)
    bid = desk.buy(bob, 40, 500, lane=lane)
    in_between = [(ask, bid, 4), (other, bid, 4), (ask, bid, 4), (other, bid, 4)]
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        desk.fills(*in_between, (ask, bid, 3))
    assert desk.lane(alice, lane) == (0, 0)
    desk.fills(*in_between, (ask, bid, 2))
    assert desk.lane(alice, lane) == (1, 10)
    assert desk.lane(bob, lane) == (1, 18)


def test_attack_18_same_order_as_taker_then_as_maker(desk: Desk, alice: Trader, bob: Trader) -> None:
    """An order that is a taker first and a maker later in the batch is still one quantity."""
    carol = Trader.named("carol")
    order = desk.buy(bob, 10, 500)
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        desk.fills((desk.sell(alice, 10, 500), order, 6), (order, desk.sell(carol, 10, 500), 5))
    desk.fills((desk.sell(alice, 10, 500), order, 6), (order, desk.sell(carol, 10, 500), 4))
    assert desk.lane(bob, 0) == (1, 10)


def test_attack_19_overfill_by_one(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask, bid = desk.sell(alice, 10, 500), desk.buy(bob, 99, 500)
    assert_refused("S:OVERFILL", desk, ask, bid, 11)
    assert_refused("S:OVERFILL", desk, ask, bid, 2**40 - 1)
    assert_refused("S:OVERFILL", desk, desk.sell(alice, 99, 500), desk.buy(bob, 10, 500), 11)


def test_attack_20_self_fill_and_wash_trading(desk: Desk, alice: Trader, bob: Trader) -> None:
    assert_refused("S:OVERFILL", desk, desk.sell(alice, 10, 500), desk.buy(alice, 10, 500, lane=1))
    assert_refused("S:SIDE", desk, desk.buy(alice, 10, 500), desk.sell(alice, 10, 500, lane=1))
    held = [desk.balance(alice, asset) + desk.balance(bob, asset) for asset in (CASH, SBTC)]
    desk.fills(
        (desk.sell(alice, 10, 5_000), desk.buy(bob, 10, 5_000), 10),
        (desk.buy(alice, 10, 5_000, lane=1), desk.sell(bob, 10, 5_000, lane=1), 10),
    )
    after = [desk.balance(alice, asset) + desk.balance(bob, asset) for asset in (CASH, SBTC)]
    assert after == [held[0] - 4 * 125, held[1]]
    assert desk.fees(BTC) == 4 * 125


def test_attack_21_23_splitting_into_dust(desk: Desk, alice: Trader, bob: Trader) -> None:
    """A hundred tiny fills: the notional stays exact and no side ever pays above its cap."""
    ask, bid = desk.sell(alice, 200, 333, max_fee_bps=25), desk.buy(bob, 200, 333, max_fee_bps=25)
    other = desk.buy(bob, 200, 333, lane=1)
    events = desk.fills(*((ask, (bid, other)[i % 2], 2) for i in range(100)))
    notional, cap = 200 * 333, 200 * 333 * 25 // 10_000
    maker_fees = sum(fill_numbers(event).maker_fee for event in events)
    taker_fees = sum(fill_numbers(event).taker_fee for event in events)
    assert maker_fees <= cap
    assert desk.balance(alice, CASH) == RICH + notional - maker_fees
    assert desk.balance(bob, CASH) == RICH - notional - taker_fees
    assert desk.fees(BTC) == maker_fees + taker_fees


def test_attack_44_three_bad_fills_among_five(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    gone = desk.buy(carol, 10, 500)
    poor = Trader.named("poor")
    late = desk.buy(bob, 10, 500, lane=3, expiry=NOW)
    desk.kill_all(carol)
    ask = desk.sell(alice, 50, 500)
    events = desk.fills(
        (ask, desk.buy(bob, 10, 500), 4),
        (ask, gone, 4),
        (ask, desk.buy(poor, 10, 500), 4),
        (ask, late, 4),
        (ask, desk.buy(bob, 10, 500, lane=1), 4),
    )
    assert [event.fields.get("reason") for event in events] == [
        None,
        SkipReason.TAKER_CANCELLED,
        SkipReason.BUYER_BALANCE,
        SkipReason.TAKER_EXPIRED,
        None,
    ]
    assert desk.lane(alice, 0) == (1, 8)


def test_attack_45_core_starves_gas(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Too little gas reverts everything; it never turns a good fill into a skipped one."""
    data = encode_settle_batch([MatchedFill(BTC, 0, desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 4)])
    for gas in range(30_000, 140_000, 1_500):
        checkpoint = desk.evm.snapshot()
        try:
            desk.evm.message_call(CORE, desk.address, calldata=data, gas=gas)
        except RuntimeError:
            assert desk.sequence(BTC) == 0
        else:
            assert [event.name for event in desk.events()] == ["Fill"]
        desk.evm.revert(checkpoint)


def test_attack_46_a_batch_from_anyone_else(desk: Desk, alice: Trader, bob: Trader) -> None:
    fill = MatchedFill(BTC, 0, desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 4)
    for caller in (STRANGER, ENGINE, VAULT, REGISTRY, alice.address):
        with pytest.raises(RevertedError, match="S:CORE"):
            desk.settle([fill], caller)
    desk.call(CORE, "beat()")
    desk.wait(6 * HOUR)
    with pytest.raises(RevertedError, match="S:CORE"):  # six hours are not over
        desk.settle([fill], STRANGER)
    with pytest.raises(RevertedError):  # there is no other door: no default function, no settleOne
        desk.call(CORE, "settleOne(uint256)", 1)


def test_attack_47_core_submits_worse_expired_or_too_much(desk: Desk, alice: Trader, bob: Trader) -> None:
    bid = desk.buy(bob, 10, 500)
    assert_refused("S:PRICE", desk, desk.sell(alice, 10, 501), bid)
    assert skip_reason(desk, desk.sell(alice, 10, 500, expiry=NOW), bid) is SkipReason.MAKER_EXPIRED
    assert_refused("S:OVERFILL", desk, desk.sell(alice, 99, 500), bid, 11)
    assert desk.balance(bob, CASH) == RICH
    cheap = desk.fill(desk.sell(alice, 10, 1), bid, 10)  # the maker's price, not the taker's limit
    assert fill_numbers(cheap).price == 1
    assert desk.balance(bob, CASH) == RICH - 10


def test_attack_57_extremes_of_every_number(desk: Desk, alice: Trader, bob: Trader) -> None:
    lots, price = 2**39 - 1, 2**64 - 1
    far = 2**40 - 1
    ask = desk.sell(alice, lots, price, lane=2**24 - 1, seq=2**24 - 2, max_fee_bps=10_000, expiry=far)
    bid = desk.buy(bob, lots, price, lane=2**24 - 1, seq=2**24 - 2, max_fee_bps=10_000, expiry=far)
    assert skip_reason(desk, ask, bid, lots) is SkipReason.BUYER_BALANCE
    assert_refused("S:PRICE", desk, desk.sell(alice, 2, price), desk.buy(bob, 2, 1), 2)


@pytest.mark.parametrize(("offset", "alive"), [(-1, True), (0, False), (1, False)])
def test_attack_58_the_expiry_boundary(desk: Desk, alice: Trader, bob: Trader, offset: int, alive: bool) -> None:
    desk.set_time(NOW + 100 + offset)
    event = desk.fill(desk.sell(alice, 9, 50, expiry=NOW + 100), desk.buy(bob, 9, 50, expiry=NOW + 100), 4)
    assert (event.name == "Fill") == alive


def test_attack_60_a_batch_again_after_a_reorg(desk: Desk, alice: Trader, bob: Trader) -> None:
    """On the branch that kept it the repetition reverts; on the one that lost it the batch settles once."""
    data = encode_settle_batch([MatchedFill(BTC, 0, desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 4)])
    checkpoint = desk.evm.snapshot()
    desk.settle_bytes(data)
    with pytest.raises(RevertedError, match="S:SEQ"):
        desk.settle_bytes(data)
    desk.evm.revert(checkpoint)
    assert [event.name for event in desk.settle_bytes(data)] == ["Fill"]
    with pytest.raises(RevertedError, match="S:SEQ"):
        desk.settle_bytes(data)


def test_attack_73_a_symbol_listed_again_with_other_terms(desk: Desk) -> None:
    other = replace(LISTINGS[BTC], quote_per_lot_tick=1_000).word()
    with pytest.raises(RevertedError, match="S:OPEN"):
        desk.call(REGISTRY, "openMarket(bytes32,uint256)", market_hash(BTC), other)
    desk.set_status(BTC, MarketStatus.DELISTED)
    with pytest.raises(RevertedError, match="S:OPEN"):
        desk.call(REGISTRY, "openMarket(bytes32,uint256)", market_hash(BTC), other)
