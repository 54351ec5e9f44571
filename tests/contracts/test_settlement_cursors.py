"""Entries in any order, as a faulty or hostile relayer could send them: cursors never lose or double a balance.

The other tests send what `encode_settle_batch` makes. Here the entries are raw: orders put into a cursor and
replaced unused, sent twice, sent as maker and then as taker, two orders of one account in one lane slot, markets
chosen again in the middle, orders ahead of the first market. The reference has no cursors' balances, only who is in
them.
"""

from __future__ import annotations

import copy
import random

import pytest

from cxdex import eip712
from cxdex.batch import MatchedFill, Role, pack_market_entry, pack_order_entry
from cxdex.order import Side, SignedOrder, TimeInForce
from tests.contracts.settlement_desk import (
    BTC,
    CASH,
    CORE,
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
from tests.contracts.settlement_reference import Ledger, RefusedError

ASSETS = (CASH, SBTC, SETH)
LANES = (0, 1, 3, 4, 5, 7, 8)  # two of the account word, places of two slots, one place in both
TRADERS = [Trader.named(name) for name in ("ann", "ben", "cat")]


def orders_of(desk: Desk, draw: random.Random) -> list[SignedOrder]:
    """Buys at 100 and sells at 99 or 100, so that every pair of sides crosses."""
    return [
        desk.order(
            trader,
            side,
            draw.randint(5, 40),
            100 if side is Side.BUY else draw.randint(99, 100),
            market=market,
            lane=draw.choice(LANES),
            seq=draw.randint(0, 2),
            tif=draw.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.POST_ONLY)),
        )
        for trader in TRADERS
        for side in Side
        for market in (BTC, ETH)
        for _ in range(2)
    ]


def marketless_orders(desk: Desk, draw: random.Random, monkeypatch: pytest.MonkeyPatch) -> list[SignedOrder]:
    """Orders for the market whose hash is zero: no wallet shows it, but a key can sign the digest."""
    with monkeypatch.context() as patched:
        patched.setattr(eip712, "market_hash", lambda _: bytes(32))
        return [
            desk.order(trader, side, draw.randint(5, 40), 100, lane=draw.choice(LANES), seq=draw.randint(0, 2))
            for trader in TRADERS
            for side in Side
        ]


class Walk:
    """The rules of entries over the reference ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.market = ledger, ""
        self.maker: SignedOrder | None = None
        self.taker: SignedOrder | None = None
        self.entries: list[bytes] = []
        self.code = ""

    def begin(self, marketless: SignedOrder, role: Role) -> None:
        """Ahead of any market: nothing of it is left when one comes."""
        self.entries.append(pack_order_entry(marketless, role, 0))

    def choose(self, market: str) -> None:
        self.entries.append(pack_market_entry(market, self.ledger.sequences[market]))
        self.market, self.maker, self.taker = market, None, None

    def put(self, order: SignedOrder, role: Role, lots: int) -> None:
        self.entries.append(pack_order_entry(order, role, lots))
        account = order.order.account
        if role is Role.MAKER:
            self.taker = None if self.taker and self.taker.order.account == account else self.taker
            self.maker = order
        else:
            self.maker = None if self.maker and self.maker.order.account == account else self.maker
            self.taker = order
            if order.order.time_in_force is TimeInForce.POST_ONLY:
                raise RefusedError("S:TAKER")
        if lots:
            if not (self.maker and self.taker):
                raise RefusedError(self.ledger.alone(order, lots))
            sequence = self.ledger.sequences[self.market]
            self.ledger.settle([MatchedFill(self.market, sequence, self.maker, self.taker, lots)])


def random_walk(ledger: Ledger, orders: list[SignedOrder], marketless: list[SignedOrder], draw: random.Random) -> Walk:
    walk = Walk(ledger)
    for _ in range(draw.choice((0, 0, 1, 2))):
        walk.begin(draw.choice(marketless), draw.choice((Role.MAKER, Role.TAKER)))
    walk.choose(draw.choice((BTC, ETH)))
    for _ in range(draw.randint(1, 14)):
        if draw.random() < 0.1:
            walk.choose(draw.choice((BTC, ETH)))
        choices = [one for one in orders if one.order.market == walk.market]
        # mostly what can trade with the other cursor, so that batches get far
        role = draw.choice((Role.MAKER, Role.TAKER))
        other = walk.taker if role is Role.MAKER else walk.maker
        if other and draw.random() < 0.9:
            choices = [
                one
                for one in choices
                if one.order.side is not other.order.side and one.order.account != other.order.account
            ]
        lots = draw.choice((0, 2, 3, 5)) if draw.random() < (0.97 if other else 0.1) else 0
        try:
            walk.put(draw.choice(choices), role, lots)
        except RefusedError as refused:
            walk.code = refused.code
            break
    return walk


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_entries_equals_the_reference(bare_desk: Desk, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, draw = bare_desk, random.Random(seed)
    ledger = Ledger(LISTINGS, now=NOW)
    for trader in TRADERS:
        for asset, amount in ((CASH, 60_000), (SBTC, 10**16), (SETH, 10**17)):
            desk.fund(trader, asset, amount)
            ledger.balances[trader.account, asset] += amount
    total = {asset: sum(ledger.balances[t.account, asset] for t in TRADERS) for asset in ASSETS}
    orders, marketless = orders_of(desk, draw), marketless_orders(desk, draw, monkeypatch)
    applied = 0
    for _ in range(40):
        trial = copy.deepcopy(ledger)
        walk = random_walk(trial, orders, marketless, draw)
        if walk.code:
            with pytest.raises(RevertedError) as caught:
                desk.settle_bytes(batch(*walk.entries), CORE)
            assert caught.value.code == walk.code
        else:
            applied += 1
            desk.settle_bytes(batch(*walk.entries), CORE)
            ledger = trial
        assert_equal(desk, ledger)
        for asset in ASSETS:
            held = sum(desk.balance(trader, asset) for trader in TRADERS)
            fees = sum(desk.fees(market) for market in LISTINGS) if asset == CASH else 0
            assert held + fees == total[asset]
    assert applied > 5  # the walks are not all nonsense


def assert_equal(desk: Desk, ledger: Ledger) -> None:
    for trader in TRADERS:
        for asset in ASSETS:
            assert desk.balance(trader, asset) == ledger.balances[trader.account, asset]
        for lane in LANES:
            assert desk.lane(trader, lane) == ledger.lanes[trader.account, lane]
    for market in LISTINGS:
        assert (desk.fees(market), desk.sequence(market)) == (ledger.fees[market], ledger.sequences[market])
