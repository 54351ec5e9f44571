"""The choice of fills, against its rules rather than against examples."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, Side, SignatureKind, SignedOrder, TimeInForce
from relayer.settler.plan import Limits, Load, Trade, fitting, is_due, longest_passing, settleable, spans

MARKETS = ("A", "B", "C")


@st.composite
def tapes(draw: st.DrawFn) -> list[Trade]:
    """Trades as an engine numbers them, some voided, shuffled, perhaps with one lost."""
    sequence = dict.fromkeys(MARKETS, 0)
    trades = []
    for match_id, market in enumerate(draw(st.lists(st.sampled_from(MARKETS), max_size=30)), start=1):
        voided = draw(st.integers(0, 9)) == 0
        trades.append(Trade(match_id, market, sequence[market], b"", b"", 1, match_id, voided))
        sequence[market] += 1
    if trades and draw(st.booleans()):
        trades.pop(draw(st.integers(0, len(trades) - 1)))
    return draw(st.permutations(trades))


next_numbers = st.dictionaries(st.sampled_from(MARKETS), st.integers(0, 12))


@given(tapes(), next_numbers, st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_what_is_chosen_is_ordered_unbroken_and_starts_where_the_chain_is(
    tape: list[Trade], chain: dict[str, int], limit: int
) -> None:
    chosen = settleable(tape, chain, limit)
    assert len(chosen) <= limit
    assert [trade.match_id for trade in chosen] == sorted({trade.match_id for trade in chosen})
    assert not any(trade.voided for trade in chosen)
    for market in MARKETS:
        numbers = [trade.sequence for trade in chosen if trade.market == market]
        assert numbers == [] or market in chain
        assert numbers == list(range(chain.get(market, 0), chain.get(market, 0) + len(numbers)))


@given(tapes(), next_numbers)
@settings(max_examples=100, deadline=None)
def test_nothing_is_left_behind_without_a_reason(tape: list[Trade], chain: dict[str, int]) -> None:
    chosen = settleable(tape, chain, 1000)
    by_number = {(trade.market, trade.sequence): trade for trade in tape}
    for market, first in chain.items():
        after = first + sum(trade.market == market for trade in chosen)
        following = by_number.get((market, after))
        assert following is None or following.voided


@given(tapes(), next_numbers, st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_settling_batch_after_batch_ends_with_each_fill_exactly_once(
    tape: list[Trade], chain: dict[str, int], limit: int
) -> None:
    done: list[int] = []
    progress = dict(chain)
    while batch := settleable(tape, progress, limit):
        done += [trade.match_id for trade in batch]
        for trade in batch:
            progress[trade.market] += 1
    assert len(done) == len(set(done))
    assert set(done) == {trade.match_id for trade in settleable(tape, chain, 1000)}


@given(st.integers(1, 2000), st.data())
@settings(max_examples=100, deadline=None)
def test_bisection_finds_the_first_bad_fill(count: int, data: st.DataObject) -> None:
    first_bad = data.draw(st.integers(0, count - 1))
    asked: list[int] = []

    def passes(length: int) -> bool:
        asked.append(length)
        return length <= first_bad

    assert longest_passing(count, passes) == first_bad
    assert len(asked) <= 11


def signed(number: int, account: int, lane: int = 0, wallet_bytes: int | None = None) -> SignedOrder:
    order = Order(
        bytes(19) + bytes((account + 1,)), "A", Side.BUY, OrderType.LIMIT, TimeInForce.GTC,
        1, 1, 0, 1, pack_nonce(0, lane, number),
    )  # fmt: skip
    digest = number.to_bytes(32, "big")
    if wallet_bytes is None:
        return SignedOrder(order, bytes(64) + b"\x1b", digest)
    return SignedOrder(order, bytes(wallet_bytes), digest, SignatureKind.CONTRACT)


@st.composite
def fill_lists(draw: st.DrawFn) -> list[MatchedFill]:
    """Few orders, so that cursors are hit in every way."""
    sequence = dict.fromkeys(MARKETS, 0)
    fills = []
    sizes = st.sampled_from([None, None, 0, 1, 128, 129, 1024])
    orders = st.builds(signed, st.integers(0, 4), st.integers(0, 2), st.integers(0, 9), sizes)
    for market in draw(st.lists(st.sampled_from(MARKETS), max_size=25)):
        fills.append(MatchedFill(market, sequence[market], draw(orders), draw(orders), 1))
        sequence[market] += 1
    return fills


@given(fill_lists(), st.integers(1, 30), st.integers(300, 4000), st.integers(40_000, 500_000))
@settings(max_examples=200, deadline=None)
def test_what_fits_is_encodable_and_within_every_limit(
    fills: list[MatchedFill], max_fills: int, calldata: int, gas: int
) -> None:
    limits = Limits(max_fills, 0, gas, calldata)
    count = fitting(fills, limits)
    assert count <= max_fills
    assert count > 0 or not fills
    encoded = encode_settle_batch(fills[:count])
    load = Load()
    for fill in fills[:count]:
        load.add(fill)
    assert load.calldata_bytes == (len(encoded) if count else 36)
    assert count <= 1 or (len(encoded) <= calldata and load.gas <= gas)


@given(fill_lists())
@settings(max_examples=50, deadline=None)
def test_spans_name_exactly_the_fills(fills: list[MatchedFill]) -> None:
    named = {
        (span.market, number) for span in spans(fills) for number in range(span.first_sequence, span.last_sequence + 1)
    }
    assert named == {(fill.market, fill.sequence) for fill in fills}


def test_a_batch_is_due_by_count_or_by_age() -> None:
    trades = [Trade(number, "A", number, b"", b"", 1, time_ms=1_000) for number in range(3)]
    limits = Limits(max_fills=4, interval_ms=500)
    assert not is_due([], limits, 10_000)
    assert not is_due(trades, limits, 1_499)
    assert is_due(trades, limits, 1_500)
    assert is_due(trades, Limits(max_fills=3, interval_ms=500), 1_000)
