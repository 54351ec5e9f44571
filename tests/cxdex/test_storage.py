"""Amounts of any size come back exact and sort as numbers; writers wait for each other instead of failing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, select, text, update

from cxdex.storage import Uint, encode_uint, open_database

metadata = MetaData()
amounts = Table("amounts", metadata, Column("id", Integer, primary_key=True), Column("amount", Uint))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('storage') / 'test.db'}")
    metadata.create_all(engine)
    return engine


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=8))
def test_amounts_come_back_exact_and_in_order(database: Engine, values: list[int]) -> None:
    with database.begin() as connection:
        connection.execute(amounts.delete())
        connection.execute(insert(amounts), [{"amount": value} for value in values])
        assert list(connection.scalars(select(amounts.c.amount).order_by(amounts.c.amount))) == sorted(values)
        above = select(amounts.c.amount).where(amounts.c.amount > values[0])
        assert sorted(connection.scalars(above)) == sorted(value for value in values if value > values[0])


def test_nothing_stays_nothing(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(amounts.delete())
        connection.execute(insert(amounts).values(amount=None))
        assert connection.scalar(select(amounts.c.amount)) is None


@pytest.mark.parametrize("value", [-1, 2**256])
def test_what_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(OverflowError):
        encode_uint(value)


def test_a_failed_transaction_leaves_nothing(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(amounts.delete())

    def fail_half_way() -> None:
        with database.begin() as connection:
            connection.execute(insert(amounts).values(amount=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with database.begin() as connection:
        assert connection.scalars(select(amounts.c.amount)).all() == []


def test_two_writers_take_turns(database: Engine) -> None:
    """Read, then write, in one transaction each: no update is lost and no writer is told "locked"."""
    with database.begin() as connection:
        connection.execute(amounts.delete())
        connection.execute(insert(amounts).values(id=1, amount=0))

    def add_ten() -> None:
        for _ in range(10):
            with database.begin() as connection:
                amount = connection.scalar(select(amounts.c.amount)) or 0
                connection.execute(update(amounts).values(amount=amount + 1))

    writers = [threading.Thread(target=add_ten) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with database.begin() as connection:
        assert connection.scalar(select(amounts.c.amount)) == 20


def test_a_reader_is_not_held_up_by_a_writer(database: Engine, tmp_path: Path) -> None:
    with database.begin() as writer:
        writer.execute(amounts.delete())
        with database.connect().execution_options(read_only=True) as reader:
            reader.execute(select(amounts.c.amount)).all()
            assert reader.scalar(text("PRAGMA journal_mode")) == "wal"
