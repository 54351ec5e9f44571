"""Random days of an Oracle against a second one in Python, written from the page on prices, not from the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_world import ASSET, GOOD, GUARDIAN, HEARTBEAT, REVERTS, STALENESS, STRANGER, OracleWorld, code_of

from scripts.chain import Contract

TWO_PERCENT, FIFTH = Fraction(2, 100), Fraction(20, 100)
Told = list[tuple[int, int, int]]  # reporter, price, age


@dataclass
class Reference:
    """Everything in plain lists and fractions. A method that refuses returns the code, one that does not ""."""

    now: int
    newest: tuple[int, int] | None = None  # time, price
    doubted: bool = False
    frozen_until: int = 0
    frozen_at: int | None = None
    second: tuple[int, int] | None = None  # time, price
    history: list[tuple[int, int]] = field(default_factory=list)

    def submit(self, told: Told) -> str:
        if self.now < self.frozen_until:
            return "O:FROZEN"
        if len(told) < 2:
            return "O:QUORUM"
        if any(age > STALENESS for _, _, age in told):
            return "O:STALE"
        prices = sorted(price for _, price, _ in told)
        price = prices[len(prices) // 2]
        if len(prices) == 2 and not close(prices[0], prices[1], TWO_PERCENT):
            return "O:SPREAD"
        time = self.now - max(age for _, _, age in told)
        if self.newest and time <= self.newest[0]:
            return "O:ORDER"
        doubt = self._doubts(price)
        if not doubt and self.history and time <= self.history[-1][0]:
            return "O:ORDER"
        self.newest, self.doubted = (time, price), doubt
        if not doubt:
            self.history.append((time, price))
        return ""

    def _doubts(self, price: int) -> bool:
        living = self.living()
        if living:
            return not close(price, living[1], TWO_PERCENT)
        if not self.history or close(price, self.history[-1][1], FIFTH):
            return False
        confirmed = self.doubted and self.newest and close(price, self.newest[1], FIFTH)
        return not confirmed

    def living(self) -> tuple[int, int] | None:
        return self.second if self.second and self.now - self.second[0] <= HEARTBEAT else None

    def fresh(self) -> bool:
        return self.newest is not None and self.now - self.newest[0] <= STALENESS

    def poke(self) -> str:
        living = self.living()
        if self.now < self.frozen_until:
            return "O:FROZEN"
        if self.fresh():
            return "O:FRESH"
        if living is None:
            return "O:STALE"
        if self.history and living[0] <= self.history[-1][0]:
            return "O:ORDER"
        self.history.append(living)
        return ""

    def freeze(self, duration: int) -> str:
        if self.frozen_at is not None and self.now < self.frozen_at + 30 * 86_400:
            return "O:FREEZE"
        self.frozen_at, self.frozen_until = self.now, self.now + duration
        return ""

    def price(self) -> int | str:
        living = self.living()
        if self.now < self.frozen_until:
            return "O:FROZEN"
        if not self.fresh():
            return living[1] if living else "O:STALE"
        assert self.newest is not None
        if not close(self.newest[1], living[1], TWO_PERCENT) if living else self.doubted:
            return "O:DEVIATION"
        return self.newest[1]


def close(a: int, b: int, part: Fraction) -> bool:
    return Fraction(abs(a - b), min(a, b)) <= part


NEAR = st.sampled_from([100_000, 101_000, 102_000, 102_001, 104_040, 119_999, 120_001, 130_000, 60_000])
AGES = st.sampled_from([0, 0, 1, 5, 100, STALENESS, STALENESS + 1])
REPORTS = st.lists(st.tuples(NEAR, AGES), min_size=1, max_size=3).map(
    lambda told: [(n, price, age) for n, (price, age) in enumerate(told)]
)
AGREED = st.tuples(NEAR, st.integers(2, 3)).map(lambda one: [(n, one[0], 0) for n in range(one[1])])
ROUND = st.tuples(
    st.sampled_from([1, 20, 20, 20, STALENESS, STALENESS + 1, HEARTBEAT]), st.one_of(REPORTS, AGREED, AGREED)
)
OTHER = st.one_of(
    st.tuples(st.just("answer"), st.tuples(NEAR, st.sampled_from([0, 0, 30, HEARTBEAT]))),
    st.tuples(st.just("silence"), st.none()),
    st.tuples(st.just("poke"), st.sampled_from([0, STALENESS + 1])),
    st.tuples(st.just("freeze"), st.sampled_from([1, 20, 21])),
)
ACTIONS = st.lists(
    st.one_of(st.tuples(st.just("submit"), ROUND), st.tuples(st.just("submit"), ROUND), OTHER), min_size=8, max_size=25
)


def test_the_oracle_equals_the_reference() -> None:
    seen: set[tuple[str, str]] = set()

    @settings(derandomize=True, deadline=None, max_examples=150)
    @given(ACTIONS)
    def days(actions: list[tuple[str, Any]]) -> None:
        world = OracleWorld()
        world.evm.advance(100_000)
        aggregator = world.add_source(None, decimals=6)
        reference = Reference(world.evm.now)
        for name, what in actions:
            found, wanted = act(world, aggregator, reference, name, what)
            assert found == wanted
            seen.add((name, found))
            code = code_of(world.price)
            assert (code or world.price()) == reference.price()
            assert world.history() == reference.history
            seen.add(("price", code))

    days()
    # What the days above must have met, or they would say little.
    submitted = {"", "O:FROZEN", "O:QUORUM", "O:STALE", "O:SPREAD", "O:ORDER"}
    assert {code for name, code in seen if name == "submit"} == submitted
    assert {code for name, code in seen if name == "poke"} == {"", "O:FROZEN", "O:FRESH", "O:STALE", "O:ORDER"}
    assert {code for name, code in seen if name == "price"} == {"", "O:FROZEN", "O:STALE", "O:DEVIATION"}


def act(world: OracleWorld, aggregator: Contract, reference: Reference, name: str, what: Any) -> tuple[str, str]:
    """Does one thing to both; returns the code of each."""
    if name in ("submit", "poke"):
        pause, told = what if name == "submit" else (what, None)
        world.evm.advance(pause)
        reference.now = world.evm.now
        if name == "submit":
            return code_of(lambda: world.submit(world.reports(*told))), reference.submit(told)
        return code_of(lambda: world.oracle.send(STRANGER, "poke", ASSET)), reference.poke()
    if name == "freeze":
        return code_of(lambda: world.oracle.send(GUARDIAN, "freeze", ASSET, what)), reference.freeze(what)
    if name == "silence":
        aggregator.send(STRANGER, "behave", REVERTS, 0)
        reference.second = None
    else:
        price, age = what
        aggregator.send(STRANGER, "behave", GOOD, 0)
        world.answer(aggregator, price, age)
        reference.second = (world.evm.now - age, price)
    return "", ""
