"""Instant withdrawals in the engine: what may be set aside, and that it leaves or comes back exactly once."""

from __future__ import annotations

import pytest
from trading_desk import ALICE, BOB, BTC, ETH, START_MS, Desk, of_type

from cxdex.facts import Credited, Debited, FillSettled, WithdrawnInstantly
from relayer.engine.commands import SeeBlock, SetAsideWithdrawal
from relayer.engine.core import Engine
from relayer.engine.events import OrderClosed, WithdrawalRefused, WithdrawalReturned, WithdrawalSetAside
from relayer.engine.withdrawals import MOST_A_ACCOUNT, REORG_SECONDS

DEADLINE = START_MS // 1000 + 120
CASH = 10**15


def ask(desk: Desk, amount: int, nonce: int = 7, account: bytes = ALICE, asset: int = 0, **changes) -> list:
    fields = {"as_cxpt": False, "recipient": account, "deadline": DEADLINE, **changes}
    return desk.apply(
        SetAsideWithdrawal(
            desk.now_ms,
            account,
            asset,
            amount,
            fields["as_cxpt"],
            fields["recipient"],
            nonce,
            fields["deadline"],
        )
    )


def granted(events: list) -> WithdrawalSetAside:
    (event,) = of_type(events, WithdrawalSetAside)
    return event


def refused(events: list) -> str:
    (event,) = events
    assert isinstance(event, WithdrawalRefused)
    return event.code


def cash(desk: Desk, account: bytes = ALICE) -> int:
    return desk.engine.balances(account)[0][0]


def see(desk: Desk, timestamp: int) -> list:
    return desk.apply(SeeBlock(desk.now_ms, desk.block, timestamp))


def test_what_is_set_aside_is_out_of_reach_of_every_order() -> None:
    desk = Desk(usdc=1_000)
    event = granted(ask(desk, 600))
    assert (event.account, event.asset, event.amount, event.nonce, event.deadline) == (ALICE, 0, 600, 7, DEADLINE)
    assert cash(desk) == 400
    _, (rejected,) = desk.buy(ALICE, 10, 41, max_fee_bps=25)
    assert rejected.code == "BALANCE_INSUFFICIENT"
    desk.fact(WithdrawnInstantly(ALICE, 0, 600, 7))
    assert (cash(desk), desk.engine.set_asides(ALICE)) == (400, [])


def test_only_what_no_order_holds_can_leave() -> None:
    desk = Desk(usdc=1_000)
    desk.buy(ALICE, 1, 500)  # holds 502: the price, and half a percent of fee at most
    (event,) = ask(desk, 499)
    assert (event.code, event.allowed) == ("BALANCE_INSUFFICIENT", "at most 0.000498")
    assert granted(ask(desk, 498))


LOTS = 10 * 10**14  # what ALICE buys below, 1e-18 synth


@pytest.mark.parametrize(
    ("account", "asset", "stays"),
    [
        (ALICE, 0, 5),  # of what she paid 1,000 for, the most that the fee can be
        (ALICE, 1, 10**9),  # her fee tier
        (ALICE, 2, LOTS),  # what she bought is not there yet
        (ALICE, 3, 0),
        (BOB, 0, 1_000),  # what he was paid is not there yet
        (BOB, 2, 0),
    ],
)
def test_attack_74_what_a_matched_fill_may_need_waits_until_it_has_settled(
    account: bytes, asset: int, stays: int
) -> None:
    desk = Desk()
    desk.fact(Credited(ALICE, 1, 10**9 + 500))
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    total = desk.engine.balances(account)[asset][0]
    if stays:
        event = ask(desk, total - stays + 1, account=account, asset=asset)[0]
        assert event.code == "WITHDRAWAL_UNSETTLED"
        assert refused(ask(desk, total, account=account, asset=asset)) == "WITHDRAWAL_UNSETTLED"
    assert granted(ask(desk, total - stays, account=account, asset=asset))
    desk.fact(FillSettled(BTC.symbol, 0))
    if stays:
        assert granted(ask(desk, stays, nonce=8, account=account, asset=asset))


def test_an_account_that_always_trades_can_always_withdraw_the_rest() -> None:
    desk = Desk(usdc=1_000_000)
    for number in range(20):
        desk.buy(ALICE, 10, 100)
        desk.sell(BOB, 10, 100)
        assert granted(ask(desk, 1_000, nonce=number))
        desk.fact(WithdrawnInstantly(ALICE, 0, 1_000, number))
        if number:
            desk.fact(FillSettled(BTC.symbol, number - 1))


@pytest.mark.parametrize("amount", [0, -1, -(10**20)])
def test_nobody_withdraws_nothing_or_less(amount: int) -> None:
    desk = Desk()
    before = desk.engine.balances(ALICE)
    assert refused(ask(desk, amount)) == "FIELD_INVALID"
    assert (desk.engine.balances(ALICE), desk.engine.knows(b"stranger" + bytes(12))) == (before, False)


def test_somebody_elses_fills_do_not_matter() -> None:
    desk = Desk()
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    assert granted(ask(desk, 5, account=b"carol" + bytes(15)))


def test_asking_twice_is_asking_once() -> None:
    desk = Desk(usdc=1_000)
    first = granted(ask(desk, 600))
    desk.now_ms += 5_000
    again = granted(ask(desk, 600, deadline=DEADLINE + 5))
    assert (again.deadline, cash(desk)) == (first.deadline, 400)
    assert refused(ask(desk, 601)) == "WITHDRAWAL_NONCE_USED"
    assert refused(ask(desk, 600, recipient=BOB)) == "WITHDRAWAL_NONCE_USED"
    desk.fact(WithdrawnInstantly(ALICE, 0, 600, 7))
    assert refused(ask(desk, 100)) == "WITHDRAWAL_NONCE_USED"
    assert granted(ask(desk, 100, nonce=8))


def test_what_nobody_sent_comes_back_after_the_deadline_and_not_before() -> None:
    desk = Desk(usdc=1_000)
    ask(desk, 600)
    assert see(desk, DEADLINE + REORG_SECONDS) == []
    (returned, _) = see(desk, DEADLINE + REORG_SECONDS + 1)
    assert returned == WithdrawalReturned(desk.now_ms, ALICE, 7, 0, 600)
    assert (cash(desk), see(desk, DEADLINE + 10**6)) == (1_000, [])


def test_attack_91_a_payment_after_the_return_is_taken_from_the_balance() -> None:
    """A reorg deeper than the margin: the chain's word counts, and orders that it uncovers close."""
    desk = Desk(usdc=1_000)
    ask(desk, 600)
    see(desk, DEADLINE + REORG_SECONDS + 1)
    order, _ = desk.buy(ALICE, 10, 90)
    events = desk.fact(WithdrawnInstantly(ALICE, 0, 600, 7))
    assert [(event.digest, event.reason) for event in of_type(events, OrderClosed)] == [(order, "BALANCE_WITHDRAWN")]
    assert cash(desk) == 400


def test_attack_60_a_reorg_of_the_payment_sets_it_aside_again() -> None:
    desk = Desk(usdc=1_000)
    ask(desk, 600)
    paid = WithdrawnInstantly(ALICE, 0, 600, 7)
    before = desk.engine.set_asides(ALICE)
    desk.fact(paid, at=(50, 0))
    desk.fact(paid, at=(50, 0), reverted=True)
    assert (cash(desk), desk.engine.set_asides(ALICE)) == (400, before)
    desk.fact(paid, at=(51, 0))
    assert (cash(desk), desk.engine.set_asides(ALICE)) == (400, [])
    desk.fact(paid, at=(51, 0), reverted=True)
    see(desk, DEADLINE + REORG_SECONDS + 1)
    assert cash(desk) == 1_000


def test_an_engine_that_lost_its_journal_follows_the_chain() -> None:
    desk = Desk(usdc=1_000)
    paid = WithdrawnInstantly(ALICE, 0, 600, 7)
    desk.fact(paid, at=(50, 0))
    assert cash(desk) == 400
    desk.fact(paid, at=(50, 0), reverted=True)
    assert (cash(desk), desk.engine.set_asides(ALICE)) == (1_000, [])


def test_one_account_cannot_fill_the_memory() -> None:
    desk = Desk()
    for nonce in range(MOST_A_ACCOUNT):
        granted(ask(desk, 1, nonce=nonce))
    assert refused(ask(desk, 1, nonce=99)) == "WITHDRAWAL_TOO_MANY"
    assert granted(ask(desk, 1, nonce=99, account=BOB))


def test_attack_92_leaving_twice_leaves_a_debt_that_no_order_can_use() -> None:
    """The same money is co-signed and announced in the queue: the chain pays it once, the engine counts it twice."""
    desk = Desk(usdc=1_000)
    order, _ = desk.buy(ALICE, 1, 300)
    ask(desk, 600)
    events = desk.fact(Debited(ALICE, 0, 1_000))
    assert [event.digest for event in of_type(events, OrderClosed)] == [order]
    assert cash(desk) == -600
    desk.fact(WithdrawnInstantly(ALICE, 0, 600, 7))
    desk.fact(Credited(ALICE, 0, 600))  # the claim paid what was left: 400 of 1,000
    assert cash(desk) == 0


def test_what_is_set_aside_survives_a_restart() -> None:
    desk = Desk()
    ask(desk, 600)
    ask(desk, 700, nonce=8, asset=ETH.base_asset, as_cxpt=False)
    desk.fact(WithdrawnInstantly(ALICE, 0, 600, 7), at=(50, 0))
    restored = Engine.restore(desk.engine.snapshot())
    assert restored.set_asides(ALICE) == desk.engine.set_asides(ALICE)
    assert (restored.has_set_asides, restored.state_hash()) == (True, desk.engine.state_hash())
    again = SetAsideWithdrawal(desk.now_ms, ALICE, 0, 1, False, ALICE, 7, DEADLINE)
    assert [event.code for event in restored.apply(again)] == ["WITHDRAWAL_NONCE_USED"]
