"""Random flows through the engine, against a naive exchange: the naive matcher with balances kept beside it.

After every command: the same trades, books and balances; reserved equals what the open orders need; nobody spends
what they do not have; the book is not crossed. At the end: a replay and a restored snapshot agree to the hash.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from model_flow import Flow
from naive_exchange import ACCOUNTS
from random_actions import flows, random_flow

from relayer.engine.core import Engine
from relayer.engine.events import OrderProven, OrderRearmed


@settings(max_examples=300, deadline=None, derandomize=True)
@given(flows, st.integers(0, 80))
def test_every_flow_agrees_with_the_naive_exchange(flow: list[tuple], cut: int) -> None:
    both = Flow()
    for action in flow:
        both.step(action)
    both.check_history()

    replayed, resumed = Engine(), Engine()
    for number, (command, events) in enumerate(zip(both.desk.commands, both.desk.events, strict=True)):
        assert replayed.apply(command) == events
        if number == cut:
            resumed = Engine.restore(resumed.snapshot())
        assert resumed.apply(command) == events
    hashes = {engine.state_hash() for engine in (both.desk.engine, replayed, resumed)}
    assert len(hashes) == 1
    assert Engine.restore(replayed.snapshot()).state_hash() in hashes


NOISE = {"limit", "rate", "guard", "countdown", "disconnect", "cancel all", "cancel named", "leave", "pay", "tier"}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_triggers_and_pairs_agree_with_the_naive_exchange(seed: int) -> None:
    """With less that gets in the way: longer cascades, pairs that fill in parts, prices that are taken back."""
    both = Flow()
    for action in random_flow(seed, 120, without=NOISE):
        both.step(action)
    both.check_history()
    restored = Engine.restore(both.desk.engine.snapshot())
    assert restored.state_hash() == both.desk.engine.state_hash()


def flow_of_prices(seed: int) -> Flow:
    both = Flow()
    for action in random_flow(seed, 120, NOISE | {"skip", "credit", "debit", "charge"}, {"index", "reorg"}):
        both.step(action)
    both.check_history()
    return both


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_prices_that_come_and_go_agree_with_the_naive_exchange(seed: int) -> None:
    both = flow_of_prices(seed)
    assert Engine.restore(both.desk.engine.snapshot()).state_hash() == both.desk.engine.state_hash()


def test_these_flows_take_proofs_away_and_find_new_ones() -> None:
    told = [type(event) for seed in range(12) for events in flow_of_prices(seed).desk.events for event in events]
    assert told.count(OrderRearmed) > 5
    assert told.count(OrderProven) > 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_trading_alone_never_overdraws_anyone(seed: int) -> None:
    both = Flow()
    for action in random_flow(seed, 60, without={"credit", "debit", "skip", "charge"}):
        both.step(action)
        for who in ACCOUNTS:
            assert all(0 <= reserved <= total for total, reserved in both.desk.engine.balances(who).values())
