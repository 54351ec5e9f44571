"""The fold, as pure functions: against a naive model, forwards and back again."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex import facts
from cxdex.batch import SkipReason
from cxdex.eip712 import market_hash
from indexer import events
from indexer.events import Event, Position
from indexer.halt import Halt, MissingLogs
from indexer.projections.fold import BlockRows, Fold
from indexer.state import State
from indexer.undo import decode_images, encode_images
from tests.indexer.event_logs import listing
from tests.indexer.exchange_model import ACCOUNTS, ASSET, SYMBOL, ExchangeModel

ALICE, BOB = ACCOUNTS[:2]


def fold_block(fold: Fold, number: int, content: Iterable[Event]) -> BlockRows:
    return fold.block(
        (Position(number, index, 1_800_000_000 + 7 * number, bytes(32)), event) for index, event in enumerate(content)
    )


def rows_of(state: State) -> list[dict[object, object]]:
    return [{key: row for key, row in table.rows.items() if row is not None} for table in state.tables]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_the_fold_agrees_with_the_model(seed: int, sizes: list[int]) -> None:
    model, state = ExchangeModel(seed), State()
    fold = Fold(state)
    fold_block(fold, 0, model.opening())
    for number, size in enumerate(sizes, 1):
        fold_block(fold, number, model.operations(size))

    found = {key: row.amount for key, row in state.balances.rows.items() if row is not None and row.amount}
    assert found == {key: amount for key, amount in model.balances.items() if amount}
    market = state.markets.get((SYMBOL,))
    assert (market.next_sequence, market.accrued_fees) == (model.sequence, model.fees)
    assert {key[0]: row.filled for key, row in state.order_fills.rows.items()} == model.order_totals
    assert {key: tuple(row) for key, row in state.lanes.rows.items() if row} == model.lanes
    waiting = {
        key[0]: (row.account, row.amount) for key, row in state.withdrawals.rows.items() if row.status == "REQUESTED"
    }
    assert waiting == model.pending
    candles = [row for row in state.candles.rows.values() if row is not None]
    assert sum(row.trades for row in candles) == len(model.trades)
    assert sum(row.volume_quote for row in candles) == sum(price * quantity * 10 for price, quantity in model.trades)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_undo_images_are_the_exact_inverse(seed: int, sizes: list[int]) -> None:
    model, state = ExchangeModel(seed), State()
    fold = Fold(state)
    contents = [model.opening(), *(model.operations(size) for size in sizes)]
    before, undo = [], []
    for number, content in enumerate(contents):
        before.append(copy.deepcopy(rows_of(state)))
        undo.append(encode_images(fold_block(fold, number, content).images))

    for rows, images in zip(reversed(before), reversed(undo), strict=True):
        state.restore(decode_images(images))
        assert rows_of(state) == rows


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_statement_leads_to_the_balance(seed: int) -> None:
    model, state = ExchangeModel(seed), State()
    fold = Fold(state)
    entries = fold_block(fold, 0, model.opening()).entries
    entries += fold_block(fold, 1, model.operations(40)).entries
    running: dict[tuple[bytes, int], int] = {}
    for account, _, _, asset, _, is_credit, amount, balance, _, _ in entries:
        running[account, asset] = running.get((account, asset), 0) + (amount if is_credit else -amount)
        assert running[account, asset] == balance
    assert running == {key: row.amount for key, row in state.balances.rows.items()}


def opened() -> Fold:
    fold = Fold(State())
    opening = [
        *listing(SYMBOL),
        events.Deposited(ALICE, 0, 10**12, 10**12),
        events.Deposited(BOB, ASSET, 10**20, 10**20),
    ]
    fold_block(fold, 0, opening)
    return fold


def fill(sequence: int = 0, quantity: int = 5) -> events.Fill:
    """Alice buys from Bob's resting order: 5 lots at 60,000 ticks are 3 USDC."""
    return events.Fill(b"m" * 32, b"t" * 32, BOB, ALICE, 1, sequence, True, 60_000, quantity, 7_500, 7_501, 1, 1)


def test_a_fill_moves_notional_and_fees_as_the_contract_does() -> None:
    fold = opened()
    rows = fold_block(fold, 1, [fill()])
    balances = fold.state.balances
    assert balances.get((ALICE, 0)).amount == 10**12 - 3_000_000 - 7_501
    assert balances.get((BOB, 0)).amount == 3_000_000 - 7_500
    assert balances.get((ALICE, ASSET)).amount == 5 * 10**14
    assert balances.get((BOB, ASSET)).amount == 10**20 - 5 * 10**14
    assert fold.state.markets.get((SYMBOL,)).accrued_fees == 15_001
    terms = facts.SettledTerms(b"m" * 32, b"t" * 32, BOB, ALICE, True, 60_000, 5, 7_500, 7_501, 1, 1)
    assert rows.facts == [(1, 0, facts.FillSettled(SYMBOL, 0, terms))]


def test_a_skip_uses_the_number_and_moves_nothing() -> None:
    fold = opened()
    before = dict(fold.state.balances.rows)
    rows = fold_block(
        fold, 1, [events.FillSkipped(b"m" * 32, b"t" * 32, BOB, ALICE, 1, 0, True, 60_000, 5, 3), fill(1)]
    )
    assert fold.state.markets.get((SYMBOL,)).next_sequence == 2
    assert rows.facts[0] == (1, 0, facts.FillSkipped(SYMBOL, 0, 3))
    assert fold.state.balances.rows != before  # the second one moved


def test_voiding_says_one_fact_an_event() -> None:
    fold = opened()
    rows = fold_block(fold, 1, [events.SequenceVoided(market_hash(SYMBOL), 0, 3), fill(3)])
    assert rows.facts[0] == (1, 0, facts.FillSkipped(SYMBOL, 0, SkipReason.VOIDED, 3))
    assert [(block, position) for block, position, _ in rows.facts] == [(1, 0), (1, 1)]
    assert fold.state.markets.get((SYMBOL,)).next_sequence == 4


def test_a_sequence_gap_means_missing_logs() -> None:
    with pytest.raises(MissingLogs, match="sequence 2, but 1 is next"):
        fold_block(opened(), 1, [fill(0), fill(2)])


def test_a_balance_that_does_not_add_up_is_named() -> None:
    with pytest.raises(Halt) as halted:
        fold_block(opened(), 1, [events.Deposited(ALICE, 0, 5, 10**12 + 6)])
    assert halted.value.code == "BALANCE_MISMATCH"
    for word in ("DEPOSIT", ALICE.hex(), str(10**12 + 6), str(10**12 + 5)):
        assert word in halted.value.detail


def test_a_balance_never_goes_below_zero() -> None:
    with pytest.raises(Halt, match="BALANCE_NEGATIVE"):
        fold_block(opened(), 1, [fill(0, quantity=2_000_000)])


def test_a_newer_order_takes_its_lane_over_and_starts_at_zero() -> None:
    fold = opened()
    first, second = fill(0), fill(1)
    newer = events.Fill(b"n" * 32, b"t" * 32, BOB, ALICE, 1, 2, True, 60_000, 4, 0, 0, 2, 1)
    fold_block(fold, 1, [first, second, newer])
    assert tuple(fold.state.lanes.get((BOB, 0))) == (2, 4)
    assert tuple(fold.state.lanes.get((ALICE, 0))) == (1, 14)
    fold_block(fold, 2, [events.NonceRaised(ALICE, 0, 2)])
    assert tuple(fold.state.lanes.get((ALICE, 0))) == (2, 0)
