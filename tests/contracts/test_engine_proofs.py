"""The engine's word that a condition is met, against the contract's: every proof is accepted, and none is missed.

The same prices go into the engine as chain facts and into the real Oracle as signed reports; now and then a reorg takes
the newest ones back from both.
"""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.condition import Condition, Trigger
from cxdex.facts import PriceUpdated
from cxdex.order import Side
from relayer.engine.events import OrderAccepted, OrderTriggered
from tests.contracts.settlement_desk import NOW, SBTC
from tests.contracts.test_triggers import TICK, TriggerDesk
from tests.relayer.engine.trading_desk import ALICE, Desk

INDEX = [trigger for trigger in Trigger if trigger.by_index]
START = NOW - 2_000
FAR_AWAY = 1_000  # ticks: no order meets another one


class Both:
    """`history`: (second, price, the Oracle before it) of what is in force. `chain_time`: the newest second."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.engine = Desk()
        self.engine.now_ms = START * 1_000
        self.chain = TriggerDesk()
        self.time = START
        self.history: list[tuple[int, int, tuple[int, int], object]] = []
        self.placed: dict[bytes, Condition] = {}
        self.triggered: dict[bytes, tuple[int, int]] = {}
        self.seen: Counter[str] = Counter()

    def price(self) -> None:
        self.time += self.draw.choice((1, 1, 2, 9))
        price = self.draw.randint(92, 108) * TICK + self.draw.choice((-1, 0, 0, 1))
        before = self.chain.evm.snapshot()
        self.chain.index.publish(SBTC, price, self.time)
        events = self.engine.fact(PriceUpdated(SBTC, price, self.time))
        self.history.append((self.time, price, (self.engine.block, 0), before))
        self.note(events)

    def reorg(self) -> None:
        """One to three prices are gone; the next ones come later than they did."""
        for _ in range(min(len(self.history), self.draw.randint(1, 3))):
            second, price, at, before = self.history.pop()
            self.engine.fact(PriceUpdated(SBTC, price, second), at=at, reverted=True)
            self.chain.evm.revert(before)

    def order(self) -> None:
        trigger = self.draw.choice(INDEX)
        ticks = self.draw.randint(1, 12) if trigger.trails else 100 + self.draw.randint(-9, 9)
        condition = Condition(trigger, ticks, self.time + self.draw.choice((0, 0, 1, 5)))
        more = {"condition": condition, "expiry": NOW + 10**6}
        digest, events = self.engine.send(self.engine.order(ALICE, Side.SELL, 1, FAR_AWAY, **more))
        assert any(isinstance(event, OrderAccepted) for event in events), events
        self.placed[digest] = condition
        self.note(events)

    def note(self, events: list[object]) -> None:
        for event in events:
            if isinstance(event, OrderTriggered):
                self.triggered[event.digest] = event.proof_first, event.proof_second

    def compare(self) -> None:
        """After a price: what is triggered is proven, and what still waits cannot be, also not with the new price."""
        seconds = [second for second, *_ in self.history]
        for digest, condition in self.placed.items():
            state = self.engine.engine.order_state(digest)
            assert state is not None
            if state.status == "PENDING":
                pairs = [(one, seconds[-1]) for one in seconds] if condition.trigger.trails else [(seconds[-1], 0)]
                assert not any(self.chain.code(condition, *pair) == "" for pair in pairs)
            else:
                assert self.chain.code(condition, *self.triggered[digest]) == ""
            self.seen[state.status] += 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_every_proof_of_the_engine_is_one_for_the_contract(seed: int) -> None:
    play(seed)


def test_both_are_asked_often_enough_to_say_something() -> None:
    seen = sum((play(seed) for seed in range(5)), Counter())
    assert min(seen["OPEN"], seen["PENDING"]) > 50


def play(seed: int) -> Counter[str]:
    """How often an order was found triggered, and how often waiting."""
    draw = random.Random(seed)
    both = Both(draw)
    both.price()
    for _ in range(24):
        match draw.choice(("price", "price", "order", "order", "reorg")):
            case "price":
                both.price()
                both.compare()
            case "order":
                both.order()
            case "reorg":
                both.reorg()
    both.price()
    both.compare()
    return both.seen
