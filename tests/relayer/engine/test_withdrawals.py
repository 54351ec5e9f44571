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


@pytest.mark.parametrize(("asset", "waits"), [(0, True), (1, True), (2, True), (3, False)])
def test_attack_74_what_a_matched_fill_may_need_waits_until_it_has_settled(asset: int, waits: bool) -> None:
    desk = Desk()
    desk.fact(Credited(ALICE, 1, 10**9))
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    events = ask(desk, 5, asset=asset)
    assert (refused(events) == "WITHDRAWAL_UNSETTLED") if waits else granted(events)
    desk.fact(FillSettled(BTC.symbol, 0))
    assert granted(ask(desk, 5, asset=asset))


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
