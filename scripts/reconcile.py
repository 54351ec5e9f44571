"""Compares what the running engine believes every account owns with the chain, which `indexer audit` cannot see.

    python -m scripts.reconcile --state .state

For every account and asset: the engine's total, with what it has set aside for co-signed withdrawals, must be the
indexed balance less what is announced to leave, plus what matched but unsettled trades move. The parts are read
one after the other while the exchange runs, so a difference counts only if it stays.
Exit code 0: equal; 1: a difference, named; 2: the engine or the database cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from cxdex.market import USDC_ASSET
from cxdex.problem import Problem
from cxdex.storage import open_database
from indexer.tables import AccountBalance, AnnouncedBalance, MarketListing
from relayer.client import EngineClient
from relayer.tables import TradeRow
from relayer.wire import SOCKET_NAME

LOOKS = 40
PAUSE_SECONDS = 0.25

Totals = dict[tuple[bytes, int], int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="reconcile", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".state"))
    state = parser.parse_args().state
    database = open_database(f"sqlite:///{state / 'exchange.db'}")
    try:
        differences, compared = asyncio.run(reconcile(database, state / SOCKET_NAME))
    except Problem as problem:
        print(f"reconcile: {problem}", file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        print(f"reconcile: the database cannot be read: {error.args[0]}", file=sys.stderr)
        return 2
    for line in differences:
        print(line)
    print(
        f"engine and chain differ in {len(differences)} of {compared}"
        if differences
        else f"engine: {compared} totals are the chain's"
    )
    return 1 if differences else 0


async def reconcile(database: Engine, socket: Path, looks: int = LOOKS) -> tuple[list[str], int]:
    """Differences that stayed, and how many totals were compared."""
    differences: list[str] = []
    compared = 0
    async with EngineClient(socket) as engine:
        for _ in range(looks):
            expected = expected_totals(database)
            believed = await engine_totals(engine, {account for account, _ in expected})
            compared = len(expected.keys() | believed.keys())
            differences = compare(expected, believed)
            if not differences:
                break
            await asyncio.sleep(PAUSE_SECONDS)
    return differences, compared


def expected_totals(database: Engine) -> Totals:
    """Indexed balances less what is announced, and on top what each trade not decided on chain yet will move."""
    totals: Totals = defaultdict(int)
    with Session(database.execution_options(read_only=True)) as session:
        for row in session.exec(select(AccountBalance)).scalars():
            totals[row.account, row.asset] += row.amount
        for row in session.exec(select(AnnouncedBalance)).scalars():
            totals[row.account, row.asset] -= row.amount
        for market in session.exec(select(MarketListing)).scalars():
            waiting = select(TradeRow).where(
                col(TradeRow.market) == market.symbol,
                col(TradeRow.sequence) >= market.next_sequence,
                col(TradeRow.voided).is_(False),
            )
            for trade in session.exec(waiting).scalars():
                add_trade(totals, market, trade)
    return totals


def add_trade(totals: Totals, market: MarketListing, trade: TradeRow) -> None:
    notional = trade.quantity * trade.price * market.quote_per_lot_tick
    base = trade.quantity * 10**market.lot_exponent
    maker, taker = (trade.maker, trade.maker_fee), (trade.taker, trade.taker_fee)
    (buyer, buyer_fee), (seller, seller_fee) = (taker, maker) if trade.taker_is_buyer else (maker, taker)
    totals[buyer, USDC_ASSET] -= notional + buyer_fee
    totals[seller, USDC_ASSET] += notional - seller_fee
    totals[buyer, market.base_asset] += base
    totals[seller, market.base_asset] -= base


async def engine_totals(engine: EngineClient, accounts: set[bytes]) -> Totals:
    totals: Totals = defaultdict(int)
    for account in sorted(accounts):
        reply = await engine.account(account)
        for balance in reply.balances:
            totals[account, balance.asset] += balance.total
        for held in reply.set_asides:
            totals[account, held.asset] += held.amount
    return totals


def compare(expected: Totals, believed: Totals) -> list[str]:
    lines = []
    for account, asset in sorted(expected.keys() | believed.keys()):
        right, found = expected.get((account, asset), 0), believed.get((account, asset), 0)
        if right != found:
            lines.append(f"0x{account.hex()} asset {asset}: engine {found}, chain and trades {right}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
