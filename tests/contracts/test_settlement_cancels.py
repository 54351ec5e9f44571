"""Cancels on chain: by a transaction or by a signature, counting after the delay, never taken back."""

from __future__ import annotations

from typing import Any

import pytest

from cxdex.eip712 import (
    Domain,
    cancel_all_digest,
    cancel_all_typed_data,
    cancel_orders_digest,
    cancel_orders_typed_data,
    login_digest,
)
from cxdex.nonce import CANCEL_DELAY_SECONDS, MAX_SEQ, pack_nonce
from cxdex.signature import CURVE_ORDER, sign_digest, to_compact
from tests.contracts.settlement_desk import (
    CANCEL,
    CANCEL_ALL,
    CASH,
    CHAIN_ID,
    CORE,
    CXPT,
    NOW,
    STRANGER,
    Desk,
    RevertedError,
    Trader,
)
from tests.contracts.settlement_events import Event
from tests.contracts.storage_slots import account_slot

DELAY = CANCEL_DELAY_SECONDS
BY_SIGNATURE = "cancelOrdersBySignature(address,uint64[],uint256,uint256,uint256)"
ALL_BY_SIGNATURE = "cancelAllBySignature(address,uint256,uint256,uint256,uint256)"


def assert_reverts(code: str, desk: Desk, caller: str, signature: str, *values: Any) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.call(caller, signature, *values)
    assert reverted.value.code == code


def cancel(desk: Desk, trader: Trader, *nonces: int) -> list[Any]:
    return [event.fields for event in desk.cancel(trader, *nonces)]


def cancel_of(desk: Desk, trader: Trader, lane: int) -> tuple[int, int]:
    seq, effective_at = desk.read("cancelOf(address,uint256)", trader.address, lane, returns="uint256,uint256")
    return seq, effective_at


def epoch_effective_at(desk: Desk, trader: Trader) -> int:
    at: int = desk.read("epochEffectiveAt(address)", trader.address)
    return at


def outcome(event: Event) -> int:
    """Why a fill was skipped; 0 when it settled."""
    return 0 if event.name == "Fill" else int(event.fields["reason"])


# ---------------------------------------------------------------- the delay


@pytest.mark.parametrize("lane", [0, 1, 2, 7, 2**24 - 1])
@pytest.mark.parametrize(("waited", "reason"), [(0, 0), (DELAY - 1, 0), (DELAY, 1), (DELAY + 1, 1)])
def test_a_cancel_counts_after_the_delay_to_the_second(
    desk: Desk, alice: Trader, bob: Trader, lane: int, waited: int, reason: int
) -> None:
    ask = desk.sell(alice, 10, 500, lane=lane, seq=4)
    desk.cancel(alice, ask.order.nonce)
    desk.wait(waited)
    assert outcome(desk.fill(ask, desk.buy(bob, 10, 500), 4)) == reason
    assert desk.lane(alice, lane) == ((5, 0) if reason else (4, 4))


@pytest.mark.parametrize(("waited", "reason"), [(0, 0), (DELAY - 1, 0), (DELAY, 2), (DELAY + 1, 2)])
def test_an_epoch_counts_after_the_delay_to_the_second(
    desk: Desk, alice: Trader, bob: Trader, waited: int, reason: int
) -> None:
    bid = desk.buy(bob, 10, 500)
    desk.call(bob.address, CANCEL_ALL)
    desk.wait(waited)
    assert outcome(desk.fill(desk.sell(alice, 10, 500), bid, 4)) == reason


def test_orders_of_the_new_epoch_are_good_at_once(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.call(alice.address, CANCEL_ALL)
    assert outcome(desk.fill(desk.sell(alice, 10, 500, epoch=1, seq=2), desk.buy(bob, 10, 500), 4)) == 0
    assert outcome(desk.fill(desk.sell(alice, 10, 500, epoch=0, lane=1), desk.buy(bob, 10, 500, seq=2), 4)) == 0
    assert outcome(desk.fill(desk.sell(alice, 10, 500, epoch=2, lane=2), desk.buy(bob, 10, 500, seq=3), 4)) == 1


def test_only_the_epoch_before_has_the_delay(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.kill_all(alice)
    desk.call(alice.address, CANCEL_ALL)
    reasons = [
        outcome(desk.fill(desk.sell(alice, 10, 500, epoch=epoch, lane=epoch), desk.buy(bob, 10, 500, lane=epoch), 4))
        for epoch in (0, 1, 2, 3)
    ]
    assert reasons == [1, 0, 0, 1]


def test_a_newer_order_of_a_dying_lane_lives(desk: Desk, alice: Trader, bob: Trader) -> None:
    """The cancel names seq 4. An order with seq 5 takes the lane over, before and after the cancel counts."""
    for lane in (0, 3):
        old, new = (desk.sell(alice, 10, 500, lane=lane, seq=seq) for seq in (4, 5))
        desk.cancel(alice, old.order.nonce)
        assert outcome(desk.fill(new, desk.buy(bob, 10, 500, lane=lane), 4)) == 0
        assert outcome(desk.fill(old, desk.buy(bob, 10, 500, lane=lane, seq=2), 4)) == 1
        desk.wait(DELAY)
        assert outcome(desk.fill(new, desk.buy(bob, 10, 500, lane=lane, seq=3), 4)) == 0
        assert desk.lane(alice, lane) == (5, 8)


@pytest.mark.parametrize(("lane", "neighbour"), [(0, 1), (1, 0), (2, 3), (3, 2)])
def test_a_lane_taken_over_leaves_its_word_alone(
    desk: Desk, alice: Trader, bob: Trader, lane: int, neighbour: int
) -> None:
    desk.fund(alice, CXPT, 10**12)
    desk.kill_all(alice)
    desk.fill(desk.sell(alice, 10, 500, epoch=1, lane=neighbour), desk.buy(bob, 10, 500), 3)
    desk.cancel(alice, pack_nonce(1, lane, 4))
    ask = desk.sell(alice, 10, 500, epoch=1, lane=lane, seq=5)
    assert outcome(desk.fill(ask, desk.buy(bob, 10, 500, seq=2), 4)) == 0
    assert (desk.tier(alice), desk.epoch(alice)) == (4, 1)
    assert (desk.lane(alice, lane), desk.lane(alice, neighbour)) == ((5, 4), (1, 3))


def test_fills_of_a_dying_order_still_add_up(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = desk.sell(alice, 10, 500, seq=4)
    desk.fill(ask, desk.buy(bob, 4, 500), 4)
    desk.cancel(alice, ask.order.nonce)
    desk.fill(ask, desk.buy(bob, 4, 500, seq=2), 4)
    with pytest.raises(RevertedError, match="S:OVERFILL"):
        desk.fill(ask, desk.buy(bob, 4, 500, seq=3), 3)
    assert desk.lane(alice, 0) == (4, 8)
    desk.wait(DELAY)
    assert desk.lane(alice, 0) == (5, 0)


# ---------------------------------------------------------------- nothing comes back


def test_a_second_cancel_never_revives_what_the_first_killed(desk: Desk, alice: Trader, bob: Trader) -> None:
    for lane in (0, 6):
        first, second = (desk.sell(alice, 10, 500, lane=lane, seq=seq) for seq in (4, 7))
        desk.fill(first, desk.buy(bob, 10, 500, lane=lane, seq=0), 2)
        desk.kill(alice, first.order.nonce)
        desk.cancel(alice, second.order.nonce)
        assert desk.lane(alice, lane) == (5, 0)
        reasons = [
            outcome(desk.fill(order, desk.buy(bob, 10, 500, lane=lane, seq=seq), 2))
            for seq, order in enumerate((first, second), 1)
        ]
        assert reasons == [1, 0]
        desk.wait(DELAY)
        assert outcome(desk.fill(second, desk.buy(bob, 10, 500, lane=lane, seq=9), 2)) == 1
        assert desk.lane(alice, lane) == (8, 0)


def test_a_second_cancel_of_a_waiting_lane_starts_its_delay_anew(desk: Desk, alice: Trader) -> None:
    """One announcement a lane: the later one takes the earlier one's place, and its orders die with it."""
    desk.cancel(alice, pack_nonce(0, 0, 4))
    desk.wait(100)
    desk.cancel(alice, pack_nonce(0, 0, 6))
    assert cancel_of(desk, alice, 0) == (6, NOW + 100 + DELAY)
    desk.wait(DELAY - 1)
    assert desk.lane(alice, 0) == (0, 0)
    desk.wait(1)
    assert desk.lane(alice, 0) == (7, 0)


def test_cancelling_again_or_older_changes_nothing(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fill(desk.sell(alice, 10, 500, seq=3), desk.buy(bob, 10, 500), 4)
    assert cancel(desk, alice, pack_nonce(0, 0, 2)) == []
    assert len(cancel(desk, alice, pack_nonce(0, 0, 3))) == 1
    desk.wait(100)
    assert cancel(desk, alice, pack_nonce(0, 0, 3), pack_nonce(0, 0, 2)) == []
    assert cancel_of(desk, alice, 0) == (3, NOW + DELAY)
    assert desk.lane(alice, 0) == (3, 4)
    desk.wait(DELAY)
    assert cancel(desk, alice, pack_nonce(0, 0, 3)) == []
    assert desk.lane(alice, 0) == (4, 0)


def test_cancelling_everything_twice_within_the_delay_waits(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Otherwise the second one would kill the first epoch's orders at once."""
    desk.call(alice.address, CANCEL_ALL)
    assert_reverts("S:WAIT", desk, alice.address, CANCEL_ALL)
    desk.wait(DELAY - 1)
    assert_reverts("S:WAIT", desk, alice.address, CANCEL_ALL)
    assert outcome(desk.fill(desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 4)) == 0
    desk.wait(1)
    desk.call(alice.address, CANCEL_ALL)
    assert (desk.epoch(alice), epoch_effective_at(desk, alice)) == (2, NOW + 2 * DELAY)


# ---------------------------------------------------------------- what is said and counted


def test_cancelling_raises_the_floor_of_each_lane(desk: Desk, alice: Trader) -> None:
    events = cancel(desk, alice, pack_nonce(0, 0, 4), pack_nonce(0, 6, 0), pack_nonce(0, 0, 2), pack_nonce(0, 0, 5))
    assert events == [
        {"account": alice.address, "lane": lane, "seq": seq, "effectiveAt": NOW + DELAY}
        for lane, seq in ((0, 5), (6, 1), (0, 6))
    ]
    assert [cancel_of(desk, alice, lane) for lane in (0, 6, 1)] == [(5, NOW + DELAY), (0, NOW + DELAY), (0, 0)]
    desk.wait(DELAY)
    assert (desk.lane(alice, 0), desk.lane(alice, 6), desk.lane(alice, 1)) == ((6, 0), (1, 0), (0, 0))


def test_a_dead_orders_fills_are_forgotten(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.fill(desk.sell(alice, 10, 500, seq=3), desk.buy(bob, 10, 500), 4)
    desk.kill(alice, pack_nonce(0, 0, 3))
    assert desk.lane(alice, 0) == (4, 0)
    assert outcome(desk.fill(desk.sell(alice, 10, 500, seq=4), desk.buy(bob, 10, 500, seq=2), 10)) == 0


def test_a_nonce_of_a_past_epoch_cancels_nothing_newer(desk: Desk, alice: Trader, bob: Trader) -> None:
    desk.kill_all(alice)
    desk.call(alice.address, CANCEL_ALL)
    assert cancel(desk, alice, pack_nonce(0, 0, 9), pack_nonce(1, 0, 9), pack_nonce(1, 2**24 - 1, 9)) == []
    desk.wait(DELAY)
    assert outcome(desk.fill(desk.sell(alice, 10, 500, epoch=2, seq=2), desk.buy(bob, 10, 500), 4)) == 0


def test_an_order_of_a_future_epoch_can_be_cancelled_before_it(desk: Desk, alice: Trader, bob: Trader) -> None:
    order = desk.sell(alice, 10, 500, epoch=1, seq=2)
    desk.cancel(alice, order.order.nonce)
    desk.kill_all(alice)
    assert outcome(desk.fill(order, desk.buy(bob, 10, 500), 4)) == 1


def test_cancel_all_names_the_new_epoch(desk: Desk, alice: Trader) -> None:
    for epoch in (1, 2):
        (event,) = desk.call(alice.address, CANCEL_ALL)
        assert event.name == "EpochRaised"
        assert event.fields == {"account": alice.address, "epoch": epoch, "effectiveAt": desk.now + DELAY}
        assert epoch_effective_at(desk, alice) == desk.now + DELAY
        desk.wait(DELAY)


def test_an_account_runs_out_of_epochs_but_not_of_cancels(settlement_bytecode: bytes, alice: Trader) -> None:
    desk = Desk(settlement_bytecode)
    desk.fund(alice, CASH, 1)
    slot = account_slot(desk, alice)
    word = desk.evm.storage(desk.address, slot)
    desk.evm.insert_account_storage(desk.address, slot, word | (2**16 - 2) << 112)
    desk.kill_all(alice)  # into the last epoch there is
    assert desk.epoch(alice) == 2**16 - 1
    assert_reverts("S:EPOCH", desk, alice.address, CANCEL_ALL)
    assert len(cancel(desk, alice, pack_nonce(2**16 - 1, 0, 3))) == 1


def test_the_last_seq_can_be_cancelled(desk: Desk, alice: Trader) -> None:
    (event,) = cancel(desk, alice, pack_nonce(0, 0, MAX_SEQ))
    assert event["seq"] == MAX_SEQ
    desk.wait(DELAY)
    assert desk.lane(alice, 0) == (MAX_SEQ, 0)


def test_one_to_sixty_four_cancels_in_a_call(desk: Desk, alice: Trader) -> None:
    assert len(cancel(desk, alice, *(pack_nonce(0, lane, 1) for lane in range(64)))) == 64
    assert_reverts("", desk, alice.address, CANCEL, [0] * 65)
    assert_reverts("S:COUNT", desk, alice.address, CANCEL, [])


# ---------------------------------------------------------------- by signature


def signed_cancel(
    desk: Desk, trader: Trader, nonces: list[int], deadline: int, domain: Domain | None = None, key: bytes = b""
) -> list[Any]:
    digest = cancel_orders_digest(domain or desk.domain, trader.account, nonces, deadline)
    return [trader.address, nonces, deadline, *to_compact(sign_digest(key or trader.key, digest))]


def signed_cancel_all(
    desk: Desk, trader: Trader, epoch: int, deadline: int, domain: Domain | None = None, key: bytes = b""
) -> list[Any]:
    digest = cancel_all_digest(domain or desk.domain, trader.account, epoch, deadline)
    return [trader.address, epoch, deadline, *to_compact(sign_digest(key or trader.key, digest))]


@pytest.mark.parametrize("count", [1, 2, 64])
def test_anyone_may_bring_a_signed_cancel(desk: Desk, alice: Trader, bob: Trader, count: int) -> None:
    asks = [desk.sell(alice, 10, 500, lane=lane, seq=lane + 1) for lane in range(count)]
    events = desk.call(STRANGER, BY_SIGNATURE, *signed_cancel(desk, alice, [a.order.nonce for a in asks], NOW))
    assert [(e.name, e.fields["account"], e.fields["effectiveAt"]) for e in events] == [
        ("NonceRaised", alice.address, NOW + DELAY)
    ] * count
    desk.wait(DELAY)
    assert outcome(desk.fill(asks[-1], desk.buy(bob, 10, 500), 4)) == 1


def test_anyone_may_bring_a_signed_cancel_of_everything(desk: Desk, alice: Trader, bob: Trader) -> None:
    ask = desk.sell(alice, 10, 500)
    (event,) = desk.call(STRANGER, ALL_BY_SIGNATURE, *signed_cancel_all(desk, alice, 0, NOW))
    assert event.fields == {"account": alice.address, "epoch": 1, "effectiveAt": NOW + DELAY}
    desk.wait(DELAY)
    assert outcome(desk.fill(ask, desk.buy(bob, 10, 500), 4)) == 1


def test_a_cancel_that_a_wallet_signs_from_typed_data_counts(desk: Desk, alice: Trader) -> None:
    from eth_account import Account

    nonces = [pack_nonce(0, 0, 3), pack_nonce(0, 5, 9)]
    shown = cancel_orders_typed_data(desk.domain, alice.account, nonces, NOW)
    signed = Account.sign_typed_data(alice.key, full_message=shown)
    assert len(desk.call(STRANGER, BY_SIGNATURE, alice.address, nonces, NOW, *to_compact(bytes(signed.signature)))) == 2
    shown = cancel_all_typed_data(desk.domain, alice.account, 0, NOW)
    signed = Account.sign_typed_data(alice.key, full_message=shown)
    desk.call(STRANGER, ALL_BY_SIGNATURE, alice.address, 0, NOW, *to_compact(bytes(signed.signature)))
    assert desk.epoch(alice) == 1


def test_a_signed_cancel_has_a_deadline(desk: Desk, alice: Trader) -> None:
    one, everything = signed_cancel(desk, alice, [1], NOW + 5), signed_cancel_all(desk, alice, 0, NOW + 5)
    desk.wait(6)
    assert_reverts("S:DEADLINE", desk, STRANGER, BY_SIGNATURE, *one)
    assert_reverts("S:DEADLINE", desk, STRANGER, ALL_BY_SIGNATURE, *everything)
    desk.set_time(NOW + 5)
    assert len(desk.call(STRANGER, BY_SIGNATURE, *one)) == 1
    assert len(desk.call(STRANGER, ALL_BY_SIGNATURE, *everything)) == 1


def test_attack_16_a_cancel_by_signature_replayed(desk: Desk, alice: Trader, bob: Trader) -> None:
    """Before its deadline a second time: one of orders is a no-op, one of everything reverts. Neither reaches what
    was signed after it."""
    one = signed_cancel(desk, alice, [pack_nonce(0, 0, 4)], NOW + 10_000)
    everything = signed_cancel_all(desk, alice, 0, NOW + 10_000)
    desk.call(STRANGER, BY_SIGNATURE, *one)
    desk.wait(100)
    assert desk.call(STRANGER, BY_SIGNATURE, *one) == []
    assert cancel_of(desk, alice, 0) == (4, NOW + DELAY)  # the replay does not buy the order more time
    desk.wait(DELAY)
    newer = desk.sell(alice, 10, 500, seq=5, expiry=NOW + 10_000)
    assert desk.call(STRANGER, BY_SIGNATURE, *one) == []
    assert outcome(desk.fill(newer, desk.buy(bob, 10, 500, expiry=NOW + 10_000), 4)) == 0
    desk.call(STRANGER, ALL_BY_SIGNATURE, *everything)
    desk.wait(DELAY)
    assert_reverts("S:EPOCH", desk, STRANGER, ALL_BY_SIGNATURE, *everything)
    again = desk.sell(alice, 10, 500, epoch=1, seq=6, expiry=NOW + 10_000)
    assert desk.call(STRANGER, BY_SIGNATURE, *one) == []
    assert outcome(desk.fill(again, desk.buy(bob, 10, 500, seq=2, expiry=NOW + 10_000), 4)) == 0


def test_attack_15_a_stranger_signs_a_cancel(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> None:
    """Another key, another chain, another contract, another message, a changed word, a session key, a malleable or
    unrecoverable signature: nothing of it cancels."""
    desk.set_session(alice, carol)
    good = signed_cancel(desk, alice, [7], NOW)
    r, vs = good[-2:]
    high_s = CURVE_ORDER - (vs & 2**255 - 1)
    foreign = Domain(CHAIN_ID, bytes(19) + b"\1")
    login = to_compact(sign_digest(alice.key, login_digest(desk.domain, alice.account, NOW)))
    forged = [
        signed_cancel(desk, alice, [7], NOW, key=bob.key),
        signed_cancel(desk, alice, [7], NOW, key=carol.key),
        signed_cancel(desk, alice, [7], NOW, domain=Domain(1, desk.domain.verifying_contract)),
        signed_cancel(desk, alice, [7], NOW, domain=foreign),
        [alice.address, [7], NOW, *login],
        [alice.address, [8], NOW, r, vs],
        [alice.address, [7, 7], NOW, r, vs],
        [alice.address, [7], NOW + 1, r, vs],
        [bob.address, [7], NOW, r, vs],
        [alice.address, [7], NOW, r, high_s | (vs >> 255 ^ 1) << 255],
        [alice.address, [7], NOW, 0, 0],
        ["0x" + "00" * 20, [7], NOW, 0, 0],
    ]
    for caller in (STRANGER, CORE):
        for values in forged:
            assert_reverts("S:SIG", desk, caller, BY_SIGNATURE, *values)
    all_forged = [
        signed_cancel_all(desk, alice, 0, NOW, key=bob.key),
        signed_cancel_all(desk, alice, 0, NOW, key=carol.key),
        signed_cancel_all(desk, alice, 0, NOW, domain=foreign),
        [bob.address, *signed_cancel_all(desk, alice, 0, NOW)[1:]],
        [alice.address, 0, NOW, r, vs],
    ]
    for values in all_forged:
        assert_reverts("S:SIG", desk, STRANGER, ALL_BY_SIGNATURE, *values)
    assert len(desk.call(STRANGER, BY_SIGNATURE, *good)) == 1


def test_a_signed_cancel_of_everything_names_the_present_epoch(desk: Desk, alice: Trader) -> None:
    assert_reverts("S:EPOCH", desk, STRANGER, ALL_BY_SIGNATURE, *signed_cancel_all(desk, alice, 1, NOW))
    desk.call(alice.address, CANCEL_ALL)
    assert_reverts("S:WAIT", desk, STRANGER, ALL_BY_SIGNATURE, *signed_cancel_all(desk, alice, 1, NOW))
    assert_reverts("S:EPOCH", desk, STRANGER, ALL_BY_SIGNATURE, *signed_cancel_all(desk, alice, 0, NOW))


def test_a_signed_cancel_of_nothing_is_refused(desk: Desk, alice: Trader) -> None:
    assert_reverts("S:COUNT", desk, STRANGER, BY_SIGNATURE, *signed_cancel(desk, alice, [], NOW))
