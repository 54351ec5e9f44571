"""Snapshots and memory: what survives a restart, what is refused, what is dropped, and that machines agree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from trading_desk import ALICE, BOB, BTC, Desk, nonce

from cxdex.facts import Credited, FillSettled, SettledTerms
from cxdex.order_word import order_word
from relayer.engine import state
from relayer.engine.chain import UNDO_BLOCKS
from relayer.engine.commands import AnyCommand
from relayer.engine.core import Engine
from relayer.engine.snapshot import SNAPSHOT_VERSION


def busy_desk() -> Desk:
    """Open, closed, partly filled and settled orders on both sides."""
    desk = Desk()
    for price in (98, 99, 99, 100):
        desk.buy(ALICE, 10, price)
    desk.sell(BOB, 15, 99)
    desk.sell(BOB, 5, 103)
    desk.cancel(BOB, desk.sell(BOB, 5, 104)[0])
    desk.fact(FillSettled(BTC.symbol, 0))
    return desk


def test_a_restored_engine_says_and_does_the_same() -> None:
    desk = busy_desk()
    restored = Engine.restore(desk.engine.snapshot())
    assert restored.state_hash() == desk.engine.state_hash()
    assert restored.levels(BTC.symbol, 9) == desk.engine.levels(BTC.symbol, 9)
    assert restored.outbox_position == desk.engine.outbox_position
    assert restored.markets() == desk.engine.markets()
    for account in (ALICE, BOB):
        assert restored.balances(account) == desk.engine.balances(account)
        assert restored.open_orders(account) == desk.engine.open_orders(account)
        assert restored.free_nonces(account, 9, {2}) == desk.engine.free_nonces(account, 9, {2})
    for digest in desk.orders:
        assert restored.order_state(digest) == desk.engine.order_state(digest)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 100, b'{"version":%d}' % SNAPSHOT_VERSION])
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an engine snapshot"):
        Engine.restore(data)


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match=f"version 1; this engine reads {SNAPSHOT_VERSION}"):
        Engine.restore(b'{"version":1,"position":[0,-1],"undo":[]}')


def test_an_order_changes_version_with_every_event_that_names_it() -> None:
    desk = Desk()
    buy, _ = desk.buy(ALICE, 10, 100)
    assert (desk.view(buy).version, desk.view(buy).status, desk.view(buy).reason) == (1, "OPEN", None)
    desk.now_ms += 5
    desk.sell(BOB, 4, 100)
    view = desk.view(buy)
    assert (view.version, view.filled, view.remaining) == (2, 4, 6)
    assert view.updated_ms == view.created_ms + 5
    desk.sell(BOB, 6, 100)
    view = desk.view(buy)
    assert (view.version, view.status, view.reason, view.remaining) == (4, "FILLED", "FILLED", 0)


def test_closed_orders_are_dropped_when_there_are_many_and_their_fills_are_settled(monkeypatch) -> None:
    monkeypatch.setattr(state, "CLOSED_ORDERS_KEPT", 3)
    desk = Desk()
    buy, _ = desk.buy(ALICE, 1, 100)
    sell, _ = desk.sell(BOB, 1, 100)
    later = [desk.buy(ALICE, 1, 90)[0] for _ in range(5)]
    for digest in later:
        desk.cancel(ALICE, digest)
    assert desk.engine.order_state(buy) is not None
    assert desk.engine.order_state(sell) is not None
    desk.fact(FillSettled(BTC.symbol, 0))
    desk.expire()  # what a command closes can be asked for until the next one
    assert sum(desk.engine.order_state(digest) is not None for digest in (buy, sell, *later)) == 3
    assert Engine.restore(desk.engine.snapshot()).state_hash() == desk.engine.state_hash()


def test_one_fill_that_cannot_settle_does_not_keep_every_closed_order(monkeypatch) -> None:
    monkeypatch.setattr(state, "CLOSED_ORDERS_KEPT", 3)
    desk = Desk()
    stuck, _ = desk.buy(ALICE, 1, 100)
    desk.sell(BOB, 1, 100)
    others = []
    for _ in range(60):
        others.append(desk.buy(ALICE, 1, 90)[0])
        desk.cancel(ALICE, others[-1])
    desk.expire()
    assert sum(desk.engine.order_state(digest) is not None for digest in others) <= 3
    assert desk.engine.order_state(stuck) is not None
    assert Engine.restore(desk.engine.snapshot()).state_hash() == desk.engine.state_hash()


def test_cancelled_orders_do_not_pile_up_in_the_expiry_queue() -> None:
    desk = Desk()
    for _ in range(3000):
        desk.cancel(ALICE, desk.buy(ALICE, 1, 90)[0])
    assert len(desk.engine._state._expiries) <= 1100


def test_the_next_expiry_is_that_of_an_open_order() -> None:
    desk = Desk()
    now = desk.now_ms // 1000
    assert desk.engine.next_expiry() is None
    soon, _ = desk.buy(ALICE, 1, 90, expiry=now + 65)
    desk.buy(ALICE, 1, 90, expiry=now + 69)
    assert desk.engine.next_expiry() == now + 5
    desk.cancel(ALICE, soon)
    assert desk.engine.next_expiry() == now + 9


def test_lanes_are_offered_lowest_first_and_reused_in_sequence() -> None:
    desk = Desk()
    assert desk.engine.free_nonces(ALICE, 3, {1}) == [nonce(0, 1), nonce(2, 1), nonce(3, 1)]
    for seq in (1, 2, 3):
        digest, _ = desk.buy(ALICE, 1, 90)
        assert desk.orders[digest].nonce == nonce(0, seq)
        desk.cancel(ALICE, digest)
    last, _ = desk.buy(ALICE, 1, 90, nonce=nonce(0, 2**24 - 2))
    desk.cancel(ALICE, last)
    assert desk.engine.free_nonces(ALICE, 1, set()) == [nonce(1, 1)]  # lane 0 is used up
    assert desk.engine.free_nonces(b"nobody" + bytes(14), 1, set()) == [nonce(0, 1)]


REPLAY = """
import sys, msgspec
from relayer.engine.commands import AnyCommand
from relayer.engine.core import Engine
from relayer.engine.snapshot import SNAPSHOT_VERSION
engine = Engine()
for command in msgspec.json.decode(sys.stdin.buffer.read(), type=list[AnyCommand]):
    engine.apply(command)
print(engine.state_hash().hex())
"""


def test_other_processes_replay_to_the_same_hash() -> None:
    desk = busy_desk()
    journal = msgspec.json.encode(desk.commands)
    assert msgspec.json.decode(journal, type=list[AnyCommand]) == desk.commands
    for hash_seed in ("1", "2"):
        replay = subprocess.run(
            [sys.executable, "-c", REPLAY],
            input=journal,
            capture_output=True,
            check=True,
            cwd=Path(state.__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert replay.stdout.decode().strip() == desk.engine.state_hash().hex()


def test_fills_of_ours_and_of_others_in_one_block_are_forgotten_together_wherever_the_engine_was_restored() -> None:
    """A reorg settles both one block earlier; what is remembered of them may not depend on a restart in between."""
    desk = Desk()
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    words = [order_word(account, nonce(5, 1), digest) for account, digest in ((ALICE, b"a" * 32), (BOB, b"b" * 32))]
    foreign = SettledTerms(words[0], words[1], True, 9, 9, 0, 0)
    both = FillSettled(BTC.symbol, 0), FillSettled(BTC.symbol, 1, foreign)
    block = desk.block + 2
    for index, fact in enumerate(both):
        desk.fact(fact, at=(block, index))
    restored = Desk(fresh=True)
    restored.engine = Engine.restore(desk.engine.snapshot())
    desk.outbox_seq = restored.outbox_seq = 100
    for one in (desk, restored):
        for index in (1, 0):
            one.fact(both[index], at=(block, index), reverted=True)
        for index in (0, 1):
            one.fact(both[index], at=(block - 1, index))
        for later in range(block, block + UNDO_BLOCKS + 1):
            one.fact(Credited(ALICE, 0, 1), at=(later, 0))
    assert restored.engine.state_hash() == desk.engine.state_hash()
