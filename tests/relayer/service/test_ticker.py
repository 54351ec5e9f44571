"""A market's day against a plain list of its matches, and the same day from the table after a restart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.storage import open_database
from relayer.engine.events import Traded
from relayer.order_table import OrderTables
from relayer.projector import project
from relayer.ticker import DAY_MINUTES, MINUTE_MS, Minute, Tape

Match = tuple[int, int, int]  # time, price, lots
START = 1_790_000_000_000

gaps = st.sampled_from([0, 1, 59_999, 60_000, 61_000, 3_600_000, 43_200_000, 86_340_000, 86_400_000, 200_000_000])


def with_times(rows: list[Match]) -> list[Match]:
    times = accumulate((gap for gap, _, _ in rows), initial=START)
    return [(time_ms, price, lots) for time_ms, (_, price, lots) in zip(times, rows, strict=False)]


matches = st.lists(st.tuples(gaps, st.integers(1, 2**64 - 1), st.integers(1, 2**39 - 1)), max_size=30).map(with_times)


def naive_day(seen: list[Match], now: int) -> Minute | None:
    day = [m for m in seen if m[0] // MINUTE_MS > now // MINUTE_MS - DAY_MINUTES]
    if not day:
        return None
    prices = [price for _, price, _ in day]
    lots = [lot for *_, lot in day]
    amount = sum(price * lot for _, price, lot in day)
    return Minute(prices[0], max(prices), min(prices), prices[-1], sum(lots), amount, len(day), day[-1][0])


def tape_of(minutes: Iterable[tuple[str, int, Minute]]) -> Tape:
    tape = Tape()
    for _, number, minute in minutes:
        tape.add(number, minute)
    return tape


@settings(max_examples=200, deadline=None)
@given(matches, gaps)
def test_the_day_is_that_of_all_matches(seen: list[Match], later: int) -> None:
    tape = Tape()
    for number, (time_ms, price, lots) in enumerate(seen):
        assert tape.day(time_ms) == naive_day(seen[:number], time_ms)
        tape.match(price, lots, time_ms)
        assert tape.day(time_ms) == naive_day(seen[: number + 1], time_ms)
    now = (seen[-1][0] if seen else START) + later
    assert tape.day(now) == naive_day(seen, now)
    assert (tape.last, tape.last_ms) == ((seen[-1][1], seen[-1][0]) if seen else (None, 0))


def traded(number: int, match: Match) -> Traded:
    time_ms, price, lots = match
    owners = (b"\x01" * 32, b"\x02" * 32, b"\x01" * 20, b"\x02" * 20)
    return Traded(time_ms, number, "sBTC-USDC", number, *owners, True, price, lots, 0, 0, 1, 1, 1, 1)


@settings(max_examples=20, deadline=None)
@given(matches, st.integers(1, 7), gaps)
def test_a_restart_finds_the_same_day(seen: list[Match], at_once: int, later: int) -> None:
    """However the matches were spread over transactions."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'exchange.db'}")
        tables = OrderTables(database)
        tables.open()
        rows = [(number, [traded(number, match)]) for number, match in enumerate(seen, 1)]
        for start in range(0, len(rows), at_once):
            project(tables, rows[start : start + at_once])
        project(tables, rows)  # what is there already counts once
        now = (seen[-1][0] if seen else START) + later
        tape = tape_of(tables.minutes_since(now // MINUTE_MS - DAY_MINUTES))
        database.dispose()
    assert tape.day(now) == naive_day(seen, now)
    assert tape.last == (seen[-1][1] if seen else None)
