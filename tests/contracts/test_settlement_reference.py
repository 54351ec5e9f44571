"""Random batches by random traders, against a ledger written a second time: equal to the unit, always."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cxdex.batch import MatchedFill, SkipReason
from cxdex.order import Order, OrderType, SelfTrade, Side, SignedOrder, TimeInForce
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL_ALL,
    CASH,
    ETH,
    LISTINGS,
    NOW,
    SBTC,
    SETH,
    USDC,
    Desk,
    RevertedError,
    Trader,
    fill_numbers,
)
from tests.contracts.settlement_reference import Ledger, Outcome, RefusedError

TRADERS = [Trader.named(name) for name in ("ann", "ben", "cat", "dan")]
ASSETS = (CASH, SBTC, SETH)
LANES = (0, 1, 2, 5, 6)
EVENT_NAME = {True: "Fill", False: "FillSkipped"}

orders = st.fixed_dictionaries(
    {
        "trader": st.sampled_from(TRADERS),
        "side": st.sampled_from(Side),
        "quantity": st.integers(2, 60),
        "price": st.integers(95, 105),
        "market": st.sampled_from((BTC, ETH)),
        "epoch": st.sampled_from((0, 0, 0, 1)),
        "lane": st.sampled_from(LANES),
        "seq": st.integers(0, 3),
        "max_fee_bps": st.sampled_from((0, 10, 25, 50, 10_000)),
        "expiry": st.sampled_from((NOW + 50, NOW + 10**6)),
        "self_trade": st.sampled_from(SelfTrade),
        "words": st.sampled_from(
            (
                (OrderType.LIMIT, TimeInForce.GTC),
                (OrderType.LIMIT, TimeInForce.GTC),
                (OrderType.LIMIT, TimeInForce.POST_ONLY),
                (OrderType.LIMIT, TimeInForce.IOC),
                (OrderType.MARKET, TimeInForce.FOK),
            )
        ),
    }
)


class RandomTrading(RuleBasedStateMachine):
    """Actions are what CORE, the Vault and traders can do; the rule of each is to do as the reference does."""

    desk: Desk

    @initialize()
    def start(self) -> None:
        self.checkpoint = self.desk.evm.snapshot()
        self.ledger = Ledger(LISTINGS, now=NOW)
        self.desk.set_time(NOW)
        self.placed: list[SignedOrder] = []
        self.funded = dict.fromkeys(ASSETS, 0)
        for trader in TRADERS:
            self.deposit(trader, CASH, 20_000)
            self.deposit(trader, SBTC, 10**16)
            self.deposit(trader, SETH, 10**17)

    def teardown(self) -> None:
        if hasattr(self, "checkpoint"):
            self.desk.evm.revert(self.checkpoint)

    @rule(trader=st.sampled_from(TRADERS), asset=st.sampled_from(ASSETS), amount=st.integers(0, 10 * USDC))
    def deposit(self, trader: Trader, asset: int, amount: int) -> None:
        self.desk.fund(trader, asset, amount)
        self.ledger.balances[trader.account, asset] += amount
        self.funded[asset] += amount

    @rule(news=st.lists(orders, min_size=1, max_size=6))
    def sign(self, news: list[dict[str, Any]]) -> None:
        for new in news:
            terms = dict(new)
            kind, tif = terms.pop("words")
            self.placed.append(self.desk.order(**terms, kind=kind, tif=tif))

    @rule(data=st.data(), count=st.integers(1, 10))
    def settle(self, data: st.DataObject, count: int) -> None:
        """Mostly what an honest relayer would send; the reference says when the batch must revert."""
        batch: list[MatchedFill] = []
        planned = dict(self.ledger.sequences)
        for _ in range(count):
            pairs = [(m, t) for m in self.placed for t in self.placed if plausible(m.order, t.order)]
            if not pairs:
                return
            maker, taker = data.draw(st.sampled_from(pairs))
            if batch and batch[-1].maker is maker and batch[-1].taker is taker:
                continue
            market = maker.order.market
            sequence = planned.get(market, 0)
            planned[market] = sequence + 1
            batch.append(MatchedFill(market, sequence, maker, taker, data.draw(st.integers(2, 25))))
        self.compare(batch)

    def compare(self, batch: list[MatchedFill]) -> None:
        code, expected = self.prediction(batch)
        if code:
            with pytest.raises(RevertedError) as reverted:
                self.desk.settle(batch)
            assert reverted.value.code == code
            return
        events = self.desk.settle(batch)
        assert len(events) == len(batch)
        for fill, outcome, event in zip(batch, expected, events, strict=True):
            assert_event(fill, outcome, event)

    def prediction(self, batch: list[MatchedFill]) -> tuple[str, list[Outcome]]:
        try:
            return "", self.ledger.settle(batch)
        except RefusedError as refused:
            return refused.code, []

    @rule(trader=st.sampled_from(TRADERS), lane=st.sampled_from(LANES), seq=st.integers(0, 2), epoch=st.integers(0, 1))
    def cancel(self, trader: Trader, lane: int, seq: int, epoch: int) -> None:
        nonce = epoch << 48 | lane << 24 | seq
        self.desk.cancel(trader, nonce)
        self.ledger.cancel(trader.account, [nonce])

    @rule(trader=st.sampled_from(TRADERS))
    def cancel_all(self, trader: Trader) -> None:
        try:
            self.ledger.cancel_all(trader.account)
        except RefusedError as refused:
            with pytest.raises(RevertedError, match=refused.code):
                self.desk.call(trader.address, CANCEL_ALL)
        else:
            self.desk.call(trader.address, CANCEL_ALL)

    @rule()
    def a_minute_passes(self) -> None:
        self.ledger.now += 60
        self.desk.set_time(self.ledger.now)

    @invariant()
    def is_the_reference_to_the_unit(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for trader in TRADERS:
            for asset in ASSETS:
                assert self.desk.balance(trader, asset) == self.ledger.balances[trader.account, asset]
            for lane in LANES:
                assert self.desk.lane(trader, lane) == self.ledger.lane(trader.account, lane)
        for market in LISTINGS:
            assert self.desk.fees(market) == self.ledger.fees[market]
            assert self.desk.sequence(market) == self.ledger.sequences[market]

    @invariant()
    def nothing_appears_or_vanishes(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for asset in ASSETS:
            held = sum(self.desk.balance(trader, asset) for trader in TRADERS)
            fees = sum(self.desk.fees(market) for market in LISTINGS) if asset == CASH else 0
            assert held + fees == self.funded[asset]


def plausible(maker: Order, taker: Order) -> bool:
    """What a matching engine could pair, give or take a rule that the contract has to catch."""
    return (
        maker.market == taker.market
        and maker.account != taker.account
        and maker.side is not taker.side
        and maker.may_rest
        and taker.time_in_force is not TimeInForce.POST_ONLY
    )


def assert_event(fill: MatchedFill, outcome: Outcome, event: Any) -> None:
    assert event.name == EVENT_NAME[outcome.skip is None]
    assert (event.fields["makerOrder"], event.fields["takerOrder"]) == (fill.maker.digest, fill.taker.digest)
    numbers = fill_numbers(event)
    assert numbers.market_index == LISTINGS[fill.market].index
    assert numbers.sequence == fill.sequence
    assert numbers.quantity == fill.quantity
    assert numbers.price == fill.maker.order.limit_price
    assert numbers.taker_is_buyer == (fill.taker.order.side is Side.BUY)
    if outcome.skip is None:
        assert (numbers.maker_fee, numbers.taker_fee) == (outcome.maker_fee, outcome.taker_fee)
        assert (numbers.maker_nonce, numbers.taker_nonce) == (fill.maker.order.nonce, fill.taker.order.nonce)
    else:
        assert SkipReason(event.fields["reason"]) is outcome.skip


def test_random_trading_equals_the_reference(settlement_bytecode: bytes) -> None:
    machine = type("Trading", (RandomTrading,), {"desk": Desk(settlement_bytecode)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
