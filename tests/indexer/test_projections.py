"""The fold, as pure functions: against a naive model, forwards and back again."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex import facts
from cxdex.batch import SkipReason
from cxdex.eip712 import market_hash
from cxdex.order_word import order_word
from indexer import events
from indexer.events import Event, Position
from indexer.halt import Halt, MissingLogs
from indexer.projections.fold import BlockRows, Fold
from indexer.projections.orders import effective_lane
from indexer.rows import HISTORY_SPECS, LEDGER_ENTRY
from indexer.state import State, StateTable
from indexer.undo import decode_images, encode_images
from tests.indexer.event_logs import listing
from tests.indexer.exchange_model import ACCOUNTS, ASSET, LOT, QUOTE, SYMBOL, ExchangeModel

ENTRIES = HISTORY_SPECS.index(LEDGER_ENTRY)
ALICE, BOB = ACCOUNTS[:2]
ALICES, BOBS = order_word(ALICE, 1, b"tail"), order_word(BOB, 1, b"made")  # orders


def fold_block(fold: Fold, number: int, content: Iterable[Event]) -> BlockRows:
    return fold.block(
        (Position(number, index, 1_800_000_000 + 7 * number, bytes(32)), event) for index, event in enumerate(content)
    )


def amounts(table: StateTable) -> dict[object, int]:
    return {key: row.amount for key, row in table.rows.items() if row is not None and row.amount}


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

    assert amounts(state.balances) == {key: amount for key, amount in model.balances.items() if amount}
    assert amounts(state.announced) == {key: amount for key, amount in model.announced.items() if amount}
    market = state.markets.get((SYMBOL,))
    assert (market.next_sequence, market.accrued_fees) == (model.sequence, model.fees)
    assert {key[0]: row.filled for key, row in state.order_fills.rows.items()} == model.order_totals
    assert {key: tuple(row)[:2] for key, row in state.lanes.rows.items() if row} == model.lanes
    announced = {key for key, row in state.lanes.rows.items() if row is not None and row.is_cancel_announced}
    assert {key: tuple(state.lane_cancels.get(key)) for key in announced} == model.cancels
    assert {key[0]: row.epoch for key, row in state.epochs.rows.items() if row} == {
        a: e for a, e in model.epochs.items() if e
    }
    sessions = {key: (row.notional_left, row.is_revoked) for key, row in state.sessions.rows.items() if row}
    assert sessions == model.sessions
    waiting = {
        key[0]: (row.account, row.asset, row.amount, row.as_cxpt)
        for key, row in state.withdrawals.rows.items()
        if row.status == "REQUESTED"
    }
    assert waiting == model.waiting
    candles = [row for row in state.candles.rows.values() if row is not None]
    assert sum(row.trades for row in candles) == len(model.trades)
    assert sum(row.volume_quote for row in candles) == sum(price * quantity * 10 for price, quantity in model.trades)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_debt_pockets_and_operations_agree_with_the_model(seed: int, sizes: list[int]) -> None:
    model, state = ExchangeModel(seed), State()
    fold = Fold(state)
    history = [list(table) for table in fold_block(fold, 0, model.opening()).history]
    for number, size in enumerate(sizes, 1):
        for whole, part in zip(history, fold_block(fold, number, model.operations(size)).history, strict=True):
            whole += part

    values = {name: row.value for (name,), row in state.values.rows.items() if row and row.value}
    expected = {"FEE_POCKET": model.pocket, "COLLATERAL": model.collateral, "CXPT_RESERVE": model.reserve}
    assert values == {name: value for name, value in {**expected, "LAST_BEAT": model.beat}.items() if value}
    synth = state.synths.get((ASSET,))
    assert (synth.supply, synth.escrow) == (model.supply, model.escrow)
    assert {key[0]: tuple(row) for key, row in state.debts.rows.items() if row} == model.debts
    redemptions = {key[0]: (row.account, row.remaining, row.status) for key, row in state.redemptions.rows.items()}
    assert redemptions == model.redemptions
    assert {key[0]: row.status for key, row in state.operations.rows.items() if row} == model.operations_seen
    by_table = dict(zip([spec.name for spec in HISTORY_SPECS], history, strict=True))
    assert [(row[3], row[4]) for row in by_table["price_update"]] == model.prices
    if model.prices:
        newest = state.prices.get((ASSET,))
        assert (newest.price, newest.publish_time, newest.updates) == (*model.prices[-1], len(model.prices))
    assert len(by_table["liquidation"]) == model.liquidations
    assert len(by_table["timelock_call"]) == len(model.operations_seen)
    assert by_table["fee_movement"] == [] or by_table["fee_movement"][-1][6] == model.pocket


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_the_facts_add_up_to_what_the_relayer_may_use(seed: int, size: int) -> None:
    """Balance less what is announced to leave: that is what a reader of the facts alone arrives at."""
    model = ExchangeModel(seed)
    fold = Fold(State())
    told = fold_block(fold, 0, model.opening()).facts + fold_block(fold, 1, model.operations(size)).facts
    usable: dict[tuple[bytes, int], int] = defaultdict(int)
    for _, _, fact in told:
        for account, asset, change in moves(fact):
            usable[account, asset] += change
    expected = {
        key: amount - model.announced[key] for key, amount in model.balances.items() if amount != model.announced[key]
    }
    assert {key: amount for key, amount in usable.items() if amount} == expected


def moves(fact: facts.AnyFact) -> Iterable[tuple[bytes, int, int]]:
    """(account, asset, change) of what may be used."""
    match fact:
        case facts.Credited(account, asset, amount):
            yield account, asset, amount
        case facts.Debited(account, asset, amount) | facts.WithdrawnInstantly(account, asset, amount):
            yield account, asset, -amount
        case facts.FillSettled(_, _, terms) if terms is not None:
            maker, taker = terms.maker_order[:20], terms.taker_order[:20]
            buyer, seller, buyer_fee, seller_fee = (
                (taker, maker, terms.taker_fee, terms.maker_fee)
                if terms.taker_is_buyer
                else (maker, taker, terms.maker_fee, terms.taker_fee)
            )
            notional = terms.quantity * terms.price * QUOTE
            yield buyer, 0, -notional - buyer_fee
            yield seller, 0, notional - seller_fee
            yield buyer, ASSET, terms.quantity * LOT
            yield seller, ASSET, -terms.quantity * LOT


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


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_each_single_event_can_be_taken_back(seed: int) -> None:
    model, state = ExchangeModel(seed), State()
    fold = Fold(state)
    fold_block(fold, 0, model.opening())
    for number, event in enumerate(model.operations(40), 1):
        before = rows_of(state)  # rows are immutable
        images = decode_images(encode_images(fold_block(fold, number, [event]).images))
        after = rows_of(state)
        state.restore(images)
        assert rows_of(state) == before, event
        for image in images:  # and on again
            key = image.key
            state.tables[image.table].rows[key] = after[image.table].get(key)
        assert rows_of(state) == after


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_statement_leads_to_the_balance(seed: int) -> None:
    model, state = ExchangeModel(seed), State()
    fold = Fold(state)
    entries = fold_block(fold, 0, model.opening()).history[ENTRIES]
    entries += fold_block(fold, 1, model.operations(40)).history[ENTRIES]
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
    return events.Fill(BOBS, ALICES, 1, sequence, True, 60_000, quantity, 7_500, 7_501)


def test_a_fill_moves_notional_and_fees_as_the_contract_does() -> None:
    fold = opened()
    rows = fold_block(fold, 1, [fill()])
    balances = fold.state.balances
    assert balances.get((ALICE, 0)).amount == 10**12 - 3_000_000 - 7_501
    assert balances.get((BOB, 0)).amount == 3_000_000 - 7_500
    assert balances.get((ALICE, ASSET)).amount == 5 * 10**14
    assert balances.get((BOB, ASSET)).amount == 10**20 - 5 * 10**14
    assert fold.state.markets.get((SYMBOL,)).accrued_fees == 15_001
    assert tuple(fold.state.candles.get((SYMBOL, 1_800_000_000))) == (60_000, 60_000, 60_000, 60_000, 5, 3_000_000, 1)
    terms = facts.SettledTerms(BOBS, ALICES, True, 60_000, 5, 7_500, 7_501)
    assert rows.facts == [(1, 0, facts.FillSettled(SYMBOL, 0, terms))]


def test_a_skip_uses_the_number_and_moves_nothing() -> None:
    fold = opened()
    before = dict(fold.state.balances.rows)
    rows = fold_block(fold, 1, [events.FillSkipped(BOBS, ALICES, 1, 0, True, 60_000, 5, 3), fill(1)])
    assert fold.state.markets.get((SYMBOL,)).next_sequence == 2
    assert rows.facts[0] == (1, 0, facts.FillSkipped(SYMBOL, 0, 3, 1, BOBS, ALICES))
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
    newer = events.Fill(order_word(BOB, 2, b"next"), ALICES, 1, 2, True, 60_000, 4, 0, 0)
    fold_block(fold, 1, [first, second, newer])
    assert tuple(fold.state.lanes.get((BOB, 0))) == (2, 4, False)
    assert tuple(fold.state.lanes.get((ALICE, 0))) == (1, 14, False)


def test_a_cancelled_lane_keeps_its_fills_until_the_cancel_counts() -> None:
    fold = opened()
    fold_block(fold, 1, [fill(0), events.NonceRaised(ALICE, 0, 2, 1_800_000_300)])
    lane, cancel = fold.state.lanes.get((ALICE, 0)), fold.state.lane_cancels.get((ALICE, 0))
    assert (tuple(lane), tuple(cancel)) == ((1, 5, True), (2, 1_800_000_300))
    assert effective_lane(lane, cancel, 1_800_000_299) == (1, 5)
    assert effective_lane(lane, cancel, 1_800_000_300) == (2, 0)
    fold_block(fold, 2, [fill(1)])  # matched before the cancel
    assert tuple(fold.state.lanes.get((ALICE, 0))) == (1, 10, True)
    newer = events.Fill(BOBS, order_word(ALICE, 2, b"next"), 1, 2, True, 60_000, 4, 0, 0)
    fold_block(fold, 3, [newer])  # the cancel does not mean it
    assert tuple(fold.state.lanes.get((ALICE, 0))) == (2, 4, False)
    assert effective_lane(fold.state.lanes.get((ALICE, 0)), cancel, 2**40) == (2, 4)


def test_a_second_cancel_does_not_give_the_first_more_time() -> None:
    fold = opened()
    times = (1_800_000_000, 2**39)  # the first counts by the second's block
    fold_block(fold, 1, [fill(0), events.NonceRaised(ALICE, 0, 2, times[0])])
    fold_block(fold, 2, [events.NonceRaised(ALICE, 0, 9, times[1])])
    assert tuple(fold.state.lanes.get((ALICE, 0))) == (2, 0, True)
    assert tuple(fold.state.lane_cancels.get((ALICE, 0))) == (9, times[1])


def test_a_claim_for_less_gives_the_rest_back_to_the_relayer() -> None:
    fold = opened()
    told = fold_block(fold, 1, [events.WithdrawRequested(1, ALICE, 0, 10**12, False, 7)]).facts
    assert told == [(1, 0, facts.Debited(ALICE, 0, 10**12))]
    assert fold.state.balances.get((ALICE, 0)).amount == 10**12
    assert fold.state.announced.get((ALICE, 0)).amount == 10**12
    left = 10**12 - 3_007_501
    claimed = events.WithdrawClaimed(1, ALICE, 0, 10**12, left, False, ALICE, 0)
    told = fold_block(fold, 2, [fill(0), claimed]).facts
    assert told[1] == (2, 1, facts.Credited(ALICE, 0, 3_007_501))
    assert fold.state.balances.get((ALICE, 0)).amount == 0
    assert fold.state.announced.get((ALICE, 0)).amount == 0


def test_a_whole_claim_and_a_cancel_tell_what_the_relayer_needs() -> None:
    fold = opened()
    fold_block(fold, 1, [events.WithdrawRequested(n, ALICE, 0, 100, False, 7) for n in (1, 2)])
    claimed = events.WithdrawClaimed(1, ALICE, 0, 100, 100, False, ALICE, 10**12 - 100)
    assert fold_block(fold, 2, [claimed]).facts == []  # it has been told of the announcement
    assert fold_block(fold, 3, [events.WithdrawCancelled(2, ALICE, 0, 100)]).facts == [
        (3, 0, facts.Credited(ALICE, 0, 100))
    ]
    gone = events.Withdrawn(ALICE, 0, 7, False, BOB, 77, 10**12 - 107)
    assert fold_block(fold, 4, [gone]).facts == [(4, 0, facts.WithdrawnInstantly(ALICE, 0, 7, 77))]


def test_a_withdrawal_pays_whom_it_was_redirected_to() -> None:
    fold = opened()
    fold_block(
        fold,
        1,
        [events.WithdrawRequested(1, ALICE, 0, 100, True, 7), events.WithdrawRedirected(1, ALICE, BOB, 1_800_009_000)],
    )
    row = fold.state.withdrawals.get((1,))
    assert (row.recipient, row.redirects, row.claimable_at, row.requested_at) == (BOB, 1, 1_800_009_000, 1_800_000_007)
    with pytest.raises(Halt, match="WITHDRAWAL_STATE"):
        fold_block(fold, 2, [events.WithdrawClaimed(1, ALICE, 0, 100, 100, True, ALICE, 10**12 - 100)])


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (events.WithdrawCancelled(9, ALICE, 0, 1), "WITHDRAWAL_STATE"),
        (events.SessionUsed(ALICE, BOB, 1), "SESSION_UNKNOWN"),
        (events.RedemptionCancelled(1, ALICE, ASSET, 1), "REDEMPTION_STATE"),
        (events.OperationExecuted(bytes(32)), "OPERATION_STATE"),
        (events.FeesCollected(market_hash(SYMBOL), 5, 5), "FEES_MISMATCH"),
        (events.FeesWithdrawn(ALICE, 5, 5), "BALANCE_NEGATIVE"),
        (events.CollateralLocked(ALICE, 5, 6), "BALANCE_MISMATCH"),
        (events.SynthMinted(ALICE, 7, 5, 5, 5), "SYNTH_UNKNOWN"),
        (events.SynthBurned(ALICE, ASSET, 5, 5), "BALANCE_MISMATCH"),
        (events.SynthMinted(ALICE, ASSET, 5, 5, 6), "BALANCE_MISMATCH"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else value,
)
def test_what_cannot_follow_stops_the_indexer(event: Event, code: str) -> None:
    with pytest.raises(Halt) as halted:
        fold_block(opened(), 1, [event])
    assert halted.value.code == code


def test_prices_only_go_forward_in_time() -> None:
    fold = opened()
    told = fold_block(fold, 1, [events.PriceUpdated(ASSET, 5, 100, 0)]).facts
    assert told == [(1, 0, facts.PriceUpdated(ASSET, 5, 100))]
    with pytest.raises(Halt, match="PRICE_ORDER"):
        fold_block(fold, 2, [events.PriceUpdated(ASSET, 6, 100, 0)])


def test_an_upgrade_shows_in_the_proxy_and_in_the_notices() -> None:
    fold = opened()
    changed = [
        events.Notice("Vault", "AdminChanged", (("previousAdmin", bytes(20)), ("newAdmin", ALICE))),
        events.Notice("Vault", "Upgraded", (("implementation", BOB),)),
    ]
    rows = fold_block(fold, 1, changed)
    assert tuple(fold.state.proxies.get(("Vault",))) == (BOB, ALICE, 1)
    notices = dict(zip([spec.name for spec in HISTORY_SPECS], rows.history, strict=True))["operator_notice"]
    assert [row[2:5] for row in notices] == [
        ("Vault", "AdminChanged", f'{{"previousAdmin": "0x{bytes(20).hex()}", "newAdmin": "0x{ALICE.hex()}"}}'),
        ("Vault", "Upgraded", f'{{"implementation": "0x{BOB.hex()}"}}'),
    ]


def test_a_session_is_set_used_and_revoked() -> None:
    fold = opened()
    told = fold_block(
        fold,
        1,
        [
            events.SessionSet(ALICE, BOB, market_hash(SYMBOL), 100, 2**39),
            events.SessionUsed(ALICE, BOB, 60),
            events.SessionSet(ALICE, ACCOUNTS[2], bytes(32), 5, 2**39),
            events.SessionRevoked(ALICE, BOB),
        ],
    ).facts
    assert [fact for _, _, fact in told] == [
        facts.SessionSet(ALICE, BOB, SYMBOL, 100, 2**39),
        facts.SessionUsed(ALICE, BOB, 60),
        facts.SessionSet(ALICE, ACCOUNTS[2], None, 5, 2**39),
        facts.SessionRevoked(ALICE, BOB),
    ]
    row = fold.state.sessions.get((ALICE, BOB))
    assert (row.notional, row.notional_left, row.is_revoked) == (100, 60, True)
