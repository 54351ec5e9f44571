"""What the engine must believe, added up from the chain's tables and the trades on their way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel

from cxdex.eip712 import market_hash
from cxdex.order_word import order_word
from cxdex.storage import open_database
from indexer.tables import AccountBalance, AnnouncedBalance, MarketListing
from relayer.tables import TradeRow
from relayer.wire import AccountReply, Balance, SetAsideState
from scripts.reconcile import compare, engine_totals, expected_totals

ALICE, BOB = b"a" * 20, b"b" * 20
SETTLED, WAITING, VOIDED = 4, 5, 6


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'exchange.db'}")
    tables = [model.__table__ for model in (AccountBalance, AnnouncedBalance, MarketListing, TradeRow)]  # type: ignore[attr-defined]
    SQLModel.metadata.create_all(engine, tables=tables)
    market = MarketListing(
        symbol="sBTC-USDC", hash=market_hash("sBTC-USDC"), index=1, kind=0, base_asset=2, base_symbol="sBTC",
        lot_exponent=14, quote_per_lot_tick=10, min_lots=1, maker_fee_bps=25, taker_fee_bps=25, status=2,
        next_sequence=WAITING, accrued_fees=0, listed_block=1,
    )  # fmt: skip
    with Session(engine) as session:
        session.add(market)
        session.add(AccountBalance(account=ALICE, asset=0, amount=10**9, block=1))
        session.add(AccountBalance(account=BOB, asset=2, amount=10**18, block=1))
        session.add(AnnouncedBalance(account=ALICE, asset=0, amount=10**8))
        session.add_all(trade(sequence, voided=sequence == VOIDED) for sequence in (SETTLED, WAITING, VOIDED))
        session.commit()
    return engine


def trade(sequence: int, *, voided: bool) -> TradeRow:
    """Alice buys 3 lots from Bob for 18 USDC; fees 45,000 and 50,000."""
    return TradeRow(
        match_id=sequence, market="sBTC-USDC", sequence=sequence, maker_digest=b"m" * 32, taker_digest=b"t" * 32,
        maker=BOB, taker=ALICE, taker_is_buyer=True, price=600_000, quantity=3, maker_fee=45_000, taker_fee=50_000,
        maker_order=order_word(BOB, 1, b"m" * 32), taker_order=order_word(ALICE, 1, b"t" * 32),
        time_ms=0, voided=voided,
    )  # fmt: skip


def test_what_is_announced_is_gone_and_what_is_matched_has_moved(database: Engine) -> None:
    assert dict(expected_totals(database)) == {
        (ALICE, 0): 10**9 - 10**8 - 18_000_000 - 50_000,
        (ALICE, 2): 3 * 10**14,
        (BOB, 0): 18_000_000 - 45_000,
        (BOB, 2): 10**18 - 3 * 10**14,
    }


def test_what_is_set_aside_counts_until_the_chain_pays(database: Engine) -> None:
    expected = expected_totals(database)
    set_aside = 700_000_000

    class Believer:
        async def account(self, account: bytes) -> AccountReply:
            mine = {asset: total for (owner, asset), total in expected.items() if owner == account}
            held = []
            if account == ALICE:
                mine[0] -= set_aside
                held = [SetAsideState(0, set_aside, False, ALICE, 1, 2**31)]
            balances = [Balance(asset, total, 0) for asset, total in mine.items()]
            return AccountReply(1, 0, balances, set_asides=held)

    believed = asyncio.run(engine_totals(Believer(), {ALICE, BOB}))  # type: ignore[arg-type]
    assert compare(expected, believed) == []
    believed[BOB, 2] += 1
    assert compare(expected, believed) == [
        f"0x{BOB.hex()} asset 2: engine {10**18 - 3 * 10**14 + 1}, chain and trades {10**18 - 3 * 10**14}"
    ]
