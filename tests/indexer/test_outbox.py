"""A reader that keeps its memory while the outbox is made anew: what it must take back, and what it has missed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxdex import outbox
from cxdex.outbox import Message, Place
from cxdex.storage import open_database
from indexer.store import Store
from tests.indexer.event_logs import BASE, DEPLOYMENT, chain, chunk
from tests.indexer.exchange_model import ExchangeModel

Index = Callable[..., Store]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A fresh database with these blocks in it."""

    def made(name: str, blocks: list[object], **options: int) -> Store:
        for file in tmp_path.glob(f"{name}*"):
            file.unlink()
        store = Store(open_database(f"sqlite:///{tmp_path / name}"), DEPLOYMENT, **options)
        store.begin(BASE, BASE.number)
        for block in blocks:
            store.append(chunk([block]), blocks[-1].header.number)  # type: ignore[list-item,attr-defined]
        return store

    return made


def stands(store: Store, from_block: int = 0) -> list[Message]:
    with store.engine.connect() as connection:
        return outbox.standing(connection, from_block)


def two_chains(seed: int, keep: int) -> tuple[list[object], list[object]]:
    """Chains that share the blocks up to `keep`."""
    sizes = [3, 0, 4, 2, 0, 5, 3]
    model = ExchangeModel(seed)
    first = chain([model.opening(), *(model.operations(size) for size in sizes)])
    model = ExchangeModel(seed)
    shared = [model.opening(), *(model.operations(size) for size in sizes[: keep - 1])]
    rest = chain([model.operations(size) for size in (0, 6, 2)], after=first[keep - 1].header, fork=b"other")
    assert chain(shared)[-1].header == first[keep - 1].header
    return list(first), [*first[:keep], *rest]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), keep=st.integers(1, 8), memory=st.integers(1, 40))
def test_a_deleted_database_and_a_reorg_leave_the_reader_where_a_fresh_one_is(
    index: Index, seed: int, keep: int, memory: int
) -> None:
    before, after = two_chains(seed, keep)
    applied = [message.place for message in stands(index("old.db", before))]
    store = index("new.db", after)
    remembered = applied[-memory:]

    found = outbox.compare(remembered, stands(store, remembered[0].block))

    truth = [message.place for message in stands(store)]
    if not set(remembered) & set(truth):
        assert found is None
        return
    assert found is not None
    assert found.lost == remembered[::-1][: len(found.lost)]
    reader = applied[: len(applied) - len(found.lost)] + [message.place for message in found.missing]
    assert reader == truth


def test_the_same_chain_again_asks_for_nothing(index: Index) -> None:
    blocks, _ = two_chains(1, 8)
    applied = [message.place for message in stands(index("old.db", blocks))]
    again = stands(index("new.db", blocks))
    assert outbox.compare(applied, again) == ([], [])
    assert outbox.compare([], again) == ([], again)


def test_a_chain_that_has_nothing_of_the_readers_is_not_guessed_at(index: Index) -> None:
    before, after = two_chains(1, 2)
    applied = [message.place for message in stands(index("old.db", before))][-3:]
    assert outbox.compare(applied, stands(index("new.db", after), applied[0].block)) is None


def test_a_rebuild_on_another_fork_reverts_facts_that_say_the_same(index: Index) -> None:
    """The same events in other blocks: the payloads are equal, the places are not."""
    model = ExchangeModel(3)
    opening, rest = model.opening(), [model.operations(4), model.operations(4)]
    common = chain([opening])
    lost = chain(rest, after=common[-1].header)
    won = chain(rest, after=common[-1].header, fork=b"won")
    store = index("exchange.db", [*common, *lost])
    store.wipe()
    store.begin(BASE, BASE.number)
    for block in [*common, *won]:
        store.append(chunk([block]), won[-1].header.number)
    hashes = {block.header.number: block.header.hash for block in [*common, *won]}
    assert {message.place.block_hash for message in stands(store)} <= set(hashes.values())
    assert all(message.place.block_hash == hashes[message.place.block] for message in stands(store))
    with store.engine.connect() as connection:
        rows = outbox.rows_after(connection, 0, 10_000)
        assert outbox.row_at(connection, rows[-1].seq) == rows[-1]
        assert outbox.emitted_block(connection) == won[-1].header.number
    reverted = [row.place for row in rows if row.reverted]
    assert (
        reverted
        == [row.place for row in rows if row.place.block_hash not in hashes.values() and not row.reverted][::-1]
    )
    assert reverted


def test_facts_that_wait_for_confirmations_keep_their_hash(index: Index) -> None:
    blocks, _ = two_chains(4, 8)
    patient, eager = index("old.db", blocks, confirmations=2), index("new.db", blocks)
    limit = blocks[-1].header.number - 2  # type: ignore[attr-defined]
    assert [m.place for m in stands(patient)] == [m.place for m in stands(eager) if m.place.block <= limit]
    assert Place(*stands(patient)[0].place) == stands(patient)[0].place
