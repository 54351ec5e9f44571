"""Transactions, rollback and outbox on a real database, with chains made of valid events."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from cxdex.facts import decode_fact
from cxdex.keccak import keccak
from cxdex.storage import open_database
from indexer import rebuild
from indexer.digest import table_digests
from indexer.halt import Halt
from indexer.lock import only_writer
from indexer.source import Block
from indexer.sql import Sql
from indexer.store import Store
from tests.indexer.event_logs import BASE, DEPLOYMENT, chain, chunk
from tests.indexer.exchange_model import ExchangeModel

FILL = keccak(b"Fill(uint256,uint256,uint256)")

OpenStore = Callable[..., Store]


@pytest.fixture
def open_store(tmp_path: Path) -> OpenStore:
    def opened(name: str = "exchange.db", **options: int) -> Store:
        store = Store(open_database(f"sqlite:///{tmp_path / name}"), DEPLOYMENT, **options)
        if store.checkpoint is None:
            store.begin(BASE, BASE.number)
        return store

    return opened


def model_chain(seed: int, sizes: Sequence[int]) -> list[Block]:
    model = ExchangeModel(seed)
    return chain([model.opening(), *(model.operations(size) for size in sizes)])


def digest(engine: Engine) -> dict[str, object]:
    with engine.connect() as connection:
        return dict(table_digests(connection))


def standing(engine: Engine) -> list[tuple[int, int, str]]:
    """The outbox as a reader sees it: applied in order, undone in reverse order."""
    applied: list[tuple[int, int, str]] = []
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT block, log_index, payload, reverted FROM outbox ORDER BY seq")
        for block, position, payload, reverted in rows:
            decode_fact(payload)
            if reverted:
                assert applied.pop() == (block, position, payload)
            else:
                assert not applied or applied[-1][:2] < (block, position)
                applied.append((block, position, payload))
    return applied


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), keep=st.integers(1, 8), split=st.integers(1, 8))
def test_rolling_back_and_going_on_equals_never_having_been_there(
    open_store: OpenStore, tmp_path: Path, seed: int, keep: int, split: int
) -> None:
    for file in tmp_path.glob("*.db*"):
        file.unlink()
    sizes = [3, 0, 7, 5, 0, 9, 4, 6]
    lost = model_chain(seed, sizes)
    kept = lost[:keep]
    model = ExchangeModel(seed)
    opening, first = model.opening(), [model.operations(size) for size in sizes[: keep - 1]]
    other = [model.operations(size) for size in (4, 8, 2)]
    won = [*kept, *chain(other, after=kept[-1].header, fork=b"other")]
    assert chain([opening, *first])[-1].header == kept[-1].header

    reference = open_store("reference.db")
    for block in won:
        reference.append(chunk([block]), won[-1].header.number)
    store = open_store()
    for part in (lost[:split], lost[split:]):
        if part:
            store.append(chunk(part), lost[-1].header.number)
    store.rollback(kept[-1].header)
    store.append(chunk(won[keep:]), won[-1].header.number)

    assert digest(store.engine) == digest(reference.engine)
    assert standing(store.engine) == standing(reference.engine)
    assert store.checkpoint == reference.checkpoint


def test_every_depth_can_be_rolled_back(open_store: OpenStore) -> None:
    blocks = model_chain(7, [4] * 12)
    store, digests = open_store(), []
    for block in blocks:
        digests.append(digest(store.engine))
        store.append(chunk([block]), blocks[-1].header.number)
    headers = [BASE, *(block.header for block in blocks)]
    for number in reversed(range(len(blocks))):
        store.rollback(headers[number])
        assert digest(store.engine) == digests[number]
    assert standing(store.engine) == []


def test_a_reorg_below_the_undo_window_is_refused(open_store: OpenStore) -> None:
    blocks = model_chain(1, [2] * 9)
    store = open_store(finality_depth=4)
    store.append(chunk(blocks), blocks[-1].header.number)
    before = digest(store.engine)
    with pytest.raises(Halt, match="REORG_TOO_DEEP"):
        store.rollback(blocks[4].header)
    assert digest(store.engine) == before
    store.rollback(blocks[5].header)  # four blocks: just inside


def test_undo_and_empty_blocks_are_forgotten_when_final(open_store: OpenStore) -> None:
    blocks = model_chain(1, [2, 0, 0, 2, 0, 0, 2])
    store = open_store(finality_depth=3)
    for block in blocks:
        store.append(chunk([block]), block.header.number)
    with store.engine.connect() as connection:
        undo = connection.exec_driver_sql("SELECT block FROM undo").scalars().all()
        held = connection.exec_driver_sql("SELECT number FROM chain_block ORDER BY 1").scalars().all()
    assert undo == [8]  # 6 and 7 are empty
    assert held == [1, 2, 5, 6, 7, 8]


@pytest.mark.parametrize("confirmations", [0, 1, 3, 50])
def test_facts_wait_for_their_confirmations(open_store: OpenStore, confirmations: int) -> None:
    blocks = model_chain(3, [3] * 8)
    store = open_store(confirmations=confirmations)
    for block in blocks:
        store.append(chunk([block]), block.header.number)
        said = standing(store.engine)
        assert all(position[0] <= block.header.number - confirmations for position in said)
    patient = open_store("reference.db")
    patient.append(chunk(blocks), blocks[-1].header.number)
    limit = blocks[-1].header.number - confirmations
    assert standing(store.engine) == [fact for fact in standing(patient.engine) if fact[0] <= limit]


def test_unconfirmed_facts_of_a_lost_block_are_never_said(open_store: OpenStore) -> None:
    blocks = model_chain(3, [3] * 4)
    store = open_store(confirmations=2)
    store.append(chunk(blocks), blocks[-1].header.number)
    said = standing(store.engine)
    store.rollback(blocks[2].header)
    assert standing(store.engine) == said
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM outbox WHERE reverted").scalar_one() == 0


def test_a_rebuild_gives_the_same_rows_and_says_nothing_twice(open_store: OpenStore) -> None:
    blocks = model_chain(5, [5, 0, 6, 7])
    store = open_store()
    store.append(chunk(blocks), blocks[-1].header.number)
    said = outbox_rows(store.engine)
    before, after = rebuild.from_raw(store, DEPLOYMENT)
    assert rebuild.differences(before, after) == []
    assert outbox_rows(store.engine) == said

    store.wipe()
    reopened = open_store()
    for block in blocks:
        reopened.append(chunk([block]), blocks[-1].header.number)
    assert digest(reopened.engine) == after
    assert outbox_rows(reopened.engine) == said


def test_a_rebuild_on_another_fork_reverts_what_no_longer_holds(open_store: OpenStore) -> None:
    model = ExchangeModel(5)
    opening, shared, lost, won = model.opening(), model.operations(4), model.operations(5), model.operations(5)
    common = chain([opening, shared])
    store = open_store()
    store.append(chunk([*common, *chain([lost], after=common[-1].header)]), 3)
    store.wipe()

    # The model's later operations follow the lost ones, so the winning fork repeats those and adds its own.
    rest = chain([lost[:2], [*lost[2:], *won]], after=common[-1].header, fork=b"won")
    reopened = open_store()
    for block in [*common, *rest]:
        reopened.append(chunk([block]), rest[-1].header.number)

    reference = open_store("reference.db")
    reference.append(chunk([*common, *rest]), rest[-1].header.number)
    assert standing(reopened.engine) == standing(reference.engine)
    with reopened.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM outbox WHERE reverted").scalar_one() > 0


def test_a_rebuild_finds_rows_that_were_tampered_with(open_store: OpenStore) -> None:
    blocks = model_chain(5, [5, 6])
    store = open_store()
    store.append(chunk(blocks), blocks[-1].header.number)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lane SET filled = filled + 1")
    [line] = rebuild.differences(*rebuild.from_raw(store, DEPLOYMENT))
    assert line.startswith("lane:")


def test_a_second_writer_is_noticed(open_store: OpenStore) -> None:
    blocks = model_chain(2, [3, 3])
    store, other = open_store(), open_store()
    store.append(chunk(blocks[:1]), 3)
    with pytest.raises(Halt, match="CHECKPOINT_MOVED"):
        other.append(chunk(blocks[:1]), 3)


def test_the_lock_admits_one_indexer(open_store: OpenStore) -> None:
    engine = open_store().engine
    with only_writer(engine), pytest.raises(Halt, match="INDEXER_RUNNING"), only_writer(engine):
        pass
    with only_writer(engine):
        pass  # free again


def test_a_database_of_another_exchange_is_refused(open_store: OpenStore, tmp_path: Path) -> None:
    open_store()
    other = type(DEPLOYMENT)(1, 1, DEPLOYMENT.contracts)
    with pytest.raises(Halt, match="OTHER_EXCHANGE"):
        Store(open_database(f"sqlite:///{tmp_path / 'exchange.db'}"), other)


def test_a_failed_chunk_leaves_no_trace_and_can_be_retried(open_store: OpenStore) -> None:
    blocks = model_chain(4, [6, 6])
    store = open_store()
    store.append(chunk(blocks[:1]), 3)
    before = digest(store.engine)
    gap = blocks[1]._replace(logs=[log for log in blocks[1].logs if log is not first_fill(blocks[1])])
    with pytest.raises(Halt):
        store.append(chunk([gap, blocks[2]]), 3)
    assert digest(store.engine) == before
    store.append(chunk(blocks[1:]), 3)


def first_fill(block: Block) -> object:
    return next(log for log in block.logs if log.topics == FILL)


def test_a_kill_at_any_statement_loses_and_repeats_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    """A child indexes and reorgs, and is killed at its nth statement; then another process goes on."""
    model = ExchangeModel(11)
    blocks = chain([model.opening(), *(model.operations(size) for size in (5, 0, 6))])
    fork = chain([model.operations(5)], after=blocks[-1].header)
    reference = open_store("reference.db")
    reference.append(chunk([*blocks, *fork]), fork[-1].header.number)
    expected = digest(reference.engine)
    reference.engine.dispose()

    def work(store: Store) -> None:
        assert store.checkpoint is not None
        done = store.checkpoint.block
        for block in blocks[done:]:
            store.append(chunk([block]), fork[-1].header.number)
            if block is blocks[2]:
                store.rollback(blocks[1].header)
                store.append(chunk([blocks[2]]), fork[-1].header.number)
        store.append(chunk(fork), fork[-1].header.number)

    statement, killed = 0, True
    while killed:
        for file in tmp_path.glob("exchange.db*"):
            file.unlink()
        killed = not run_until_statement(lambda: work(open_store()), statement)
        store = open_store()
        assert store.checkpoint is not None
        with store.engine.connect() as connection:
            newest = connection.exec_driver_sql("SELECT COALESCE(MAX(block), 0) FROM raw_log").scalar_one()
        assert newest <= store.checkpoint.block
        if killed:
            for block in [*blocks, *fork][store.checkpoint.block :]:
                store.append(chunk([block]), fork[-1].header.number)
        assert digest(store.engine) == expected
        assert standing(store.engine) == standing(open_database(f"sqlite:///{tmp_path / 'reference.db'}"))
        store.engine.dispose()
        statement += 3
    assert statement > 30


def run_until_statement(work: Callable[[], None], last: int) -> bool:
    """Runs in a forked child that SIGKILLs itself at statement number `last`. True when it finished before."""
    child = os.fork()
    if child == 0:
        count = 0
        original = Sql.run, Sql.run_many, Sql._many

        def counted(method: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **named: object) -> object:
                nonlocal count
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return method(*arguments, **named)

            return call

        Sql.run, Sql.run_many, Sql._many = map(counted, original)  # type: ignore[method-assign]
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def outbox_rows(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM outbox ORDER BY seq")]
