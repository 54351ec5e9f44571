"""What must be true when the load has ended and everything has settled.

Owns:     the questions, each with the differences that it found.
Promises: every question goes through a door that others use: the API, the tables, the journal, the node, the commands.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from cxdex.client import AsyncExchange
from cxdex.client.errors import ApiProblem, Unreachable
from cxdex.storage import open_database
from relayer.client import EngineClient
from relayer.wire import SOCKET_NAME
from scripts.chaos.load import Load
from scripts.chaos.told import Told
from scripts.reconcile import expected_totals
from scripts.stack.layout import Layout

MOST_SHOWN = 10
LOOK_BACK_ATTEMPTS = 3
HEARD_ATTEMPTS = 30
Question = tuple[str, list[str]]

UNSETTLED = """SELECT t.match_id FROM trade t LEFT JOIN settled_fill s
               ON s.market = t.market AND s.sequence = t.sequence WHERE s.sequence IS NULL"""
DIFFERENT = """SELECT t.match_id, 'other terms on chain' FROM trade t JOIN settled_fill s USING (market, sequence)
               WHERE s.maker_order IS NOT NULL AND (s.maker_order != t.maker_order OR s.taker_order != t.taker_order
               OR s.quantity != t.quantity OR CAST(s.price AS TEXT) != CAST(t.price AS TEXT)
               OR t.voided != (s.reason IS NOT NULL))"""
UNMATCHED = """SELECT s.market, s.sequence FROM settled_fill s LEFT JOIN trade t ON s.market = t.market
               AND s.sequence = t.sequence WHERE t.match_id IS NULL"""


def rows(layout: Layout, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(layout.state / "exchange.db", timeout=30)) as connection:
        return connection.execute(query).fetchall()


async def acknowledged(load: Load) -> list[str]:
    """Every order that a trader was told of, asked for anew."""
    told, found, lines = load.told, {}, []
    for trader in load.traders:
        found.update({order.id: order for order in await trader.exchange.orders(status=None)})
    for order_id in told.orders:
        if order_id not in found:
            lines.append(f"order {order_id} was acknowledged and is lost")
        else:
            lines += told.contradictions(found[order_id])
    lines += [
        f"order {one} was refused with {code}, and is there" for one, code in told.refused.items() if one in found
    ]
    lines += [f"order {one}: nobody can say what became of it" for one in sorted(told.unknown)]
    lines += [f"order {one} was heard of by WebSocket and is lost" for one in told.heard if one not in found]
    return lines


async def look_back(exchange: AsyncExchange, told: Told, order_id: str) -> list[str] | None:
    """An acknowledged order, asked for right after a restart. None: the exchange is away again."""
    for _ in range(LOOK_BACK_ATTEMPTS):
        try:
            return told.contradictions(await exchange.order(order_id))
        except Unreachable:
            continue
        except ApiProblem as problem:
            if problem.status == 404:
                return [f"order {order_id} was acknowledged and is lost"]
    return None


def no_fill_repeated(layout: Layout) -> list[str]:
    """The table of trades, whenever: numbered without a gap, and no order filled beyond its quantity."""
    ((count, last),) = rows(layout, "SELECT count(*), coalesce(max(match_id), 0) FROM trade")
    lines = [f"{count} trades, and the last one has number {last}"] if count != last else []
    for market, trades, sequence in rows(layout, "SELECT market, count(*), max(sequence) FROM trade GROUP BY market"):
        if trades != sequence + 1:
            lines.append(f"{market}: {trades} trades, and the last one has sequence {sequence}")
    over = rows(layout, 'SELECT digest FROM "order" WHERE filled + remaining > quantity')
    return lines + [f"order 0x{digest.hex()} is filled beyond its quantity" for (digest,) in over]


def fills(layout: Layout, told: Told) -> list[str]:
    """Trades as told, as stored and as settled are the same, each once."""
    lines = [f"match {match} has not settled" for (match,) in rows(layout, UNSETTLED)]
    lines += [f"match {match}: {why}" for match, why in rows(layout, DIFFERENT)]
    lines += [f"{market} {sequence} settled, and nobody matched it" for market, sequence in rows(layout, UNMATCHED)]
    stored = {str(match): str(sequence) for match, sequence in rows(layout, "SELECT match_id, sequence FROM trade")}
    for match, fill in told.fills.items():
        if stored.get(match) != fill.sequence:
            lines.append(f"match {match} was told with sequence {fill.sequence}, stored is {stored.get(match)}")
    return lines + no_fill_repeated(layout)


def skipped(layout: Layout) -> Counter[int]:
    """Fills that the chain passed over, by reason."""
    return Counter(
        dict(rows(layout, "SELECT reason, count(*) FROM settled_fill WHERE reason IS NOT NULL GROUP BY reason"))
    )


def command(*words: str) -> list[str]:
    """Empty when the command says that all is well, else what it said."""
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip().splitlines()
    return said[-MOST_SHOWN:] or [f"exit status {done.returncode}"] if done.returncode else []


def audit(layout: Layout) -> list[str]:
    """`make audit`: tables and contracts, solvency, the engine's balances."""
    return command("scripts.audit", "--state", str(layout.state))


def fresh_index(layout: Layout) -> list[str]:
    """The chain read anew from its first block gives the rows that are there after all reorgs and kills."""
    copy = layout.state / "fresh.db"
    with closing(sqlite3.connect(layout.state / "exchange.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    words = ["indexer", "rebuild", "--database", f"sqlite:///{copy}", "--rpc", layout.rpc_url]
    return command(*words, "--deployment", str(layout.deployment))


async def books(load: Load, replayed: dict[str, Any]) -> list[str]:
    """The public book, and each listener's, is that of the replayed engine."""
    lines = []
    for market, (bids, asks) in replayed.items():
        shown = await load.traders[0].exchange.book(market, 1_000)
        if (shown.bids, shown.asks) != (bids, asks):
            lines.append(f"{market}: the public book is not that of the replayed journal")
        for listener in load.listeners:
            heard = listener.feed.book(market)
            if heard is None or (list(heard.bids), list(heard.asks)) != (bids, asks):
                lines.append(
                    f"{market}: the book that {listener.trader.name} heard is not that of the replayed journal"
                )
    return lines


async def heard(load: Load) -> list[str]:
    """What each trader believes that only listened is what it is told when it asks."""
    lines = []
    for listener in load.listeners:
        trader = listener.trader
        balances = {one.asset: (one.total, one.reserved) for one in await trader.exchange.balances()}
        if {asset: balances.get(asset) for asset in listener.balances} != listener.balances:
            lines.append(f"{trader.name} heard of balances {listener.balances}, and is told {balances}")
        orders = {order.id: order.version for order in await trader.exchange.orders()}
        if orders != listener.open:
            lines.append(f"{trader.name} heard of {len(listener.open)} open orders, and is told of {len(orders)}")
    return lines


async def heard_of_fills(load: Load) -> list[str]:
    """The last word that each trader heard of a fill is what it is told when it asks; no word came twice."""
    lines = [f"{listener.trader.name}: {line}" for listener in load.listeners for line in listener.twice]
    for listener in load.listeners:
        wrong: list[str] = []
        for _ in range(HEARD_ATTEMPTS):  # blocks go on: what is mined becomes final meanwhile
            told = {fill.match_id: fill.settlement for fill in await listener.trader.exchange.fills(None)}
            shown = {match_id: (word.status, word.transaction, word.block) for match_id, word in told.items()}
            wrong = [
                f"{match_id}: heard {word}, told {shown.get(match_id)}"
                for (match_id, _), word in tuple(listener.settled.items())
                if shown.get(match_id) != word
            ]
            if not wrong:
                break
            await asyncio.sleep(1.0)
        lines += [f"{listener.trader.name}: fill {line}" for line in wrong]
    return lines


def set_asides(layout: Layout) -> list[str]:
    """Withdrawals that were co-signed, and neither paid nor given back."""

    async def ask() -> int:
        database = open_database(layout.database_url)
        async with EngineClient(layout.state / SOCKET_NAME) as engine:
            accounts = {account for account, _ in expected_totals(database)}
            return sum([len((await engine.account(account)).set_asides) for account in accounts])

    count = asyncio.run(ask())
    return [f"{count} withdrawals are co-signed, and neither paid nor given back"] if count else []


def logs(folder: Path) -> list[str]:
    """Errors that nobody expected leave a traceback."""
    return [
        f"{path.name} has {count} tracebacks"
        for path in sorted(folder.glob("*.log"))
        if (count := path.read_text(errors="replace").count("Traceback (most recent call last)"))
    ]
