"""Co-signed withdrawals beside fills on their way: whatever comes first on chain, the chain skips no fill for them."""

from __future__ import annotations

from collections import defaultdict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_desk import ALICE, ASSETS, BOB, BTC, CAROL, Desk, of_type

from cxdex.facts import Credited, FillSettled, FillSkipped, SettledTerms, WithdrawnInstantly
from cxdex.fees import fee_tier, fill_fee
from relayer.engine.commands import SetAsideWithdrawal
from relayer.engine.core import Engine
from relayer.engine.events import Traded, WithdrawalSetAside

WHO = (ALICE, BOB, CAROL)
CXPT = 1
LOT = 10**BTC.lot_exponent
USDC, LOTS = 20_000, 60


class Chain:
    """Settlement's arithmetic for one market. Withdrawals are paid the moment they are co-signed: the worst time."""

    def __init__(self) -> None:
        self.desk = Desk(usdc=USDC, base=LOTS * LOT)
        self.held: dict[tuple[bytes, int], int] = defaultdict(int)
        self.waiting: deque[Traded] = deque()
        for who in WHO:
            self.desk.fact(Credited(who, CXPT, 10**9))
            self.held[who, CXPT] = 10**9
            for asset in ASSETS:
                self.held[who, asset] = LOTS * LOT if asset else USDC

    def trade(self, seller: int, buyer: int, lots: int, price: int) -> None:
        if seller == buyer:
            return
        self.desk.sell(WHO[seller], lots, price)
        _, events = self.desk.buy(WHO[buyer], lots, price)
        self.waiting += of_type(events, Traded)
        for who in WHO:
            self.desk.cancel_all(who)

    def withdraw(self, who: int, asset: int, percent: int) -> None:
        """Of all there is: of what the engine says, at its word."""
        account, total = WHO[who], self.desk.engine.balances(WHO[who])[asset][0]
        amount = max(1, total * percent // 100)
        nonce = len(self.desk.commands)
        events = self.desk.apply(
            SetAsideWithdrawal(self.desk.now_ms, account, asset, amount, False, account, nonce, 10**12)
        )
        if of_type(events, WithdrawalSetAside):
            self.held[account, asset] -= amount
            assert self.held[account, asset] >= 0, "the Vault would revert"
            self.desk.fact(WithdrawnInstantly(account, asset, amount, nonce))

    def settle(self, count: int) -> None:
        for _ in range(min(count, len(self.waiting))):
            fill = self.waiting.popleft()
            notional = BTC.quote_per_lot_tick * fill.price * fill.quantity
            tiers = [fee_tier(self.held[who, CXPT]) for who in (fill.maker, fill.taker)]
            fees = [fill_fee(notional, bps, 50, tier) for bps, tier in zip((25, 25), tiers, strict=True)]
            fees_of = dict(zip((fill.maker, fill.taker), fees, strict=True))
            buyer, seller = (fill.taker, fill.maker) if fill.taker_is_buyer else (fill.maker, fill.taker)
            moves = {
                (buyer, 0): -notional - fees_of[buyer],
                (buyer, 2): fill.quantity * LOT,
                (seller, 0): notional - fees_of[seller],
                (seller, 2): -fill.quantity * LOT,
            }
            for place, amount in moves.items():
                self.held[place] += amount
                assert self.held[place] >= 0, "the chain would skip the fill"
            moved = (fill.taker_is_buyer, fill.price, fill.quantity, fees[0], fees[1])
            terms = SettledTerms(self.desk.word(fill.maker_digest), self.desk.word(fill.taker_digest), *moved)
            self.desk.fact(FillSettled(fill.market, fill.sequence, terms))


persons = st.integers(0, 2)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), persons, persons, st.integers(1, 60), st.integers(1, 400)),
        st.tuples(st.just("withdraw"), persons, st.sampled_from([0, 0, CXPT, 2]), st.integers(1, 100)),
        st.tuples(st.just("settle"), st.integers(1, 4)),
    ),
    max_size=40,
)


@given(actions)
@settings(max_examples=150, deadline=None)
def test_no_fill_is_skipped_for_a_withdrawal(steps: list[tuple]) -> None:
    chain = Chain()
    for name, *arguments in steps:
        getattr(chain, name)(*arguments)
        assert Engine.restore(chain.desk.engine.snapshot()).state_hash() == chain.desk.engine.state_hash()
    chain.settle(10**6)
    for who in WHO:
        for asset in (0, CXPT, 2):
            assert chain.desk.engine.balances(who)[asset] == (chain.held[who, asset], 0)
    for number, who in enumerate(WHO):
        for asset in (0, CXPT, 2):
            chain.withdraw(number, asset, 100)
            assert chain.held[who, asset] == 0, "nothing is held back for ever"


def test_a_restored_engine_holds_back_the_same() -> None:
    chain = Chain()
    chain.trade(0, 1, 10, 100)
    chain.desk.engine = Engine.restore(chain.desk.engine.snapshot())
    for asset in (0, 2):
        chain.withdraw(0, asset, 100)
        chain.withdraw(1, asset, 100)
    chain.settle(1)


@pytest.mark.parametrize(("reason", "left"), [(2, (0, 1_000)), (1, (1_000, 0)), (255, (0, 0))])
def test_a_fill_that_is_skipped_uses_up_the_day_of_whoever_let_it_be_skipped(
    reason: int, left: tuple[int, int]
) -> None:
    """Else a taker whose own fills never settle could stop a maker's day for nothing."""
    desk = Desk()
    desk.sell(ALICE, 10, 100)
    desk.buy(BOB, 10, 100)
    before = [desk.engine.volume_today(who, desk.now_ms) for who in (ALICE, BOB)]
    fact = FillSkipped(BTC.symbol, 0, reason)
    desk.fact(fact, at=(500, 0))
    assert tuple(desk.engine.volume_today(who, desk.now_ms) for who in (ALICE, BOB)) == left
    desk.fact(fact, at=(500, 0), reverted=True)
    assert [desk.engine.volume_today(who, desk.now_ms) for who in (ALICE, BOB)] == before
