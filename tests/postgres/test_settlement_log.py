"""The settlement log on PostgreSQL: what is told, from which number one resumes, and what is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from api.database import Database
from api.reads import progress
from cxdex.market import MarketKind, MarketTerms
from relayer.settlement_log import rows
from relayer.settlement_log.keeper import Keeper
from tests.postgres.conftest import Make
from tests.relayer.settlement_log.progress_tables import ACCOUNTS, MARKETS, Tables

BTC = MARKETS[0]
TERMS = MarketTerms(BTC, 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 10, 25, 25)


def look(keeper: Keeper) -> None:
    while keeper.look():
        pass


def statuses(database: Engine) -> list[str]:
    table = SQLModel.metadata.tables["settlement_change"]
    with database.connect() as connection:
        return list(connection.scalars(select(table.c.status).order_by(table.c.id)))


def test_a_fill_is_told_resumed_and_forgotten(postgres: Make, tmp_path: Path) -> None:
    url = postgres()
    tables = Tables(tmp_path, url=url)
    keeper, other = (Keeper(tables.database, lambda: 7) for _ in range(2))
    look(keeper)
    look(other)
    tables.match()
    look(keeper)
    with pytest.raises(IntegrityError):
        other.look()
    look(other)
    batch = tables.send((BTC, 0, 0))
    look(keeper)
    tables.mine(BTC, 0, 0, tables.hash_of(batch))
    look(keeper)
    tables.reorg(1)
    look(keeper)
    tables.mine(BTC, 0, 0, tables.replace(batch))
    look(Keeper(tables.database, lambda: 7))
    assert statuses(tables.database) == ["matched", "submitted", "mined", "submitted", "submitted", "mined"]

    database = Database(url)
    with database.snapshot() as reader:
        told = progress.account_missed(reader, lambda _: TERMS, ACCOUNTS[0], 2)
        assert told is not None
        assert [(one.number, one.data["status"]) for one in told] == [
            (3, "mined"), (4, "submitted"), (5, "submitted"), (6, "mined"),
        ]  # fmt: skip
        standing = progress.account_standing(reader, lambda _: TERMS, ACCOUNTS[0])
        assert (standing.number, [entry["status"] for entry in standing.data]) == (6, ["mined"])
        public = progress.market_standing(reader, BTC)
        assert [(entry["firstSequence"], entry["status"]) for entry in public.data] == [("0", "mined")]

    tables.empty_blocks(tables.finality)
    look(Keeper(tables.database, lambda: 7))
    with tables.database.begin() as connection:
        assert rows.cut(connection, 8) == 6
        assert connection.scalar(text("SELECT count(*) FROM settlement_notice")) == 2  # one an account
    with database.snapshot() as reader:
        assert progress.account_missed(reader, lambda _: TERMS, ACCOUNTS[0], 2) is None, "no longer kept"
        assert progress.account_missed(reader, lambda _: TERMS, ACCOUNTS[0], 7) == []
    database.close()
    tables.database.dispose()
