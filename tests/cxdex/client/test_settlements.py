"""What a follower of his fills is told: each change once, whatever a snapshot repeats; and the blocking iterator."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cxdex import Problem
from cxdex.client.blocking_feed import blocking, blocking_run
from cxdex.client.settlements import FillChange, FillProgress, Waiting
from cxdex.client.subscription import Envelope, Gap, Subscription


def word(status: str, *matches: str, block: int | None = None, reason: str | None = None) -> dict[str, Any]:
    fills = [
        {"matchId": match, "sequence": match, "orderId": "0xab", "side": "BUY", "role": "TAKER", "price": "1"}
        | {"quantity": "2"}
        for match in matches
    ]
    told = {"market": "sBTC-USDC", "status": status, "transaction": "0x12", "block": block, "batch": 3}
    return {**told, "reason": reason, "time": 5, "fills": fills}


def message(kind: str, data: Any) -> Envelope:
    return Envelope("fills", "0xabc", "e", 1, 0, 5, kind, data)


def told(changes: list[FillChange]) -> list[tuple[str, str]]:
    return [(change.match_id, change.settlement.status) for change in changes]


def test_a_snapshot_tells_what_is_open_and_later_ones_only_what_is_new() -> None:
    progress = FillProgress()
    first = progress.take(message("snapshot", [word("submitted", "1", "2"), word("mined", "0", block=7)]))
    assert told(first) == [("1", "submitted"), ("2", "submitted"), ("0", "mined")]
    assert told(progress.take(message("event", word("mined", "1", block=8)))) == [("1", "mined")]
    assert progress.take(message("reset", {"reason": "x"})) == []
    again = message("snapshot", [word("submitted", "2"), word("mined", "1", block=8), word("mined", "0", block=9)])
    assert told(progress.take(again)) == [("0", "mined")], "in another block than before"
    assert told(progress.take(message("event", word("final", "0", block=9)))) == [("0", "final")]
    assert set(progress.words) == {("1", "TAKER"), ("2", "TAKER")}


def test_waiting_ends_with_what_was_asked_for() -> None:
    (fill,) = FillProgress().take(message("event", word("matched", "1")))
    waiting, patient = Waiting(fill, final=False), Waiting(fill, final=True)
    mined = message("event", word("mined", "0", "1", block=8))
    found = waiting.hear(mined)
    assert found is not None
    assert (found.status, found.block, found.transaction) == ("mined", 8, "0x12")
    assert patient.hear(mined) is None
    assert patient.hear(message("event", word("final", "2", block=8))) is None
    patient.hear(message("snapshot", []))
    assert patient.is_absent(message("snapshot", []))
    with pytest.raises(Problem, match="BUYER_BALANCE"):
        patient.hear(message("event", word("skipped", "1", block=9, reason="BUYER_BALANCE")))
    assert patient.timeout(3).code == "SETTLEMENT_TIMEOUT"


def test_a_heartbeat_is_heard_in_the_streams_own_epoch() -> None:
    """The heartbeat's epoch is the engine's run: another one, and yet nothing is missing."""
    subscription = Subscription("fills", None)
    subscription.accept(Envelope("fills", "0xabc", "log", 4, 4, 0, "snapshot", []))
    subscription.hear("log", 4)
    with pytest.raises(Gap):
        subscription.hear("log", 5)


async def numbers(ended: list[str]) -> AsyncIterator[int]:
    try:
        for number in range(3):
            await asyncio.sleep(0)
            yield number
    finally:
        ended.append(threading.current_thread().name)


def test_a_blocking_iterator_ends_its_thread_with_itself() -> None:
    ended: list[str] = []
    assert list(blocking(lambda: numbers(ended))) == [0, 1, 2]
    early = blocking(lambda: numbers(ended))
    assert next(early) == 0
    early.close()  # type: ignore[attr-defined]
    assert ended == ["cxdex feed", "cxdex feed"]
    assert "cxdex feed" not in {thread.name for thread in threading.enumerate()}


async def test_both_work_where_an_event_loop_runs_already() -> None:
    assert list(blocking(lambda: numbers([]))) == [0, 1, 2]

    async def fail() -> int:
        raise Problem("SETTLEMENT_TIMEOUT", "no")

    with pytest.raises(Problem, match="SETTLEMENT_TIMEOUT"):
        blocking_run(fail)
