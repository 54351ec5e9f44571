"""The journal played into a fresh engine: what the books, the tables and the state must be.

Owns:     the comparison with what the running exchange shows, has stored, and wrote at its end.
Promises: the events are folded into rows by the tests' own audit, which does not know the projector.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing

from cxdex.market import MarketTerms
from cxdex.units import format_price, format_quantity
from relayer.journal.snapshot import snapshots
from scripts.stack.layout import Layout
from scripts.tests_folder import open_tests_folder

WHOLE_BOOK = 1 << 40
ROWS = {"order": 'SELECT * FROM "order"', "trade": "SELECT * FROM trade"}
Side = list[tuple[str, str]]


class Replay:
    """Of a copy, because the running engine keeps the journal open."""

    def __init__(self, layout: Layout) -> None:
        open_tests_folder()
        from tests.relayer.service.running_engine import Audit, RunningEngine

        self._layout = layout
        copy = layout.state / "replay"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(layout.state / "journal", copy / "journal")
        engine = RunningEngine(copy)
        engine.database = layout.state / "exchange.db"
        self.audit = Audit(engine)

    def books(self, terms: dict[str, MarketTerms]) -> dict[str, tuple[Side, Side]]:
        """(bids, asks) of each market as the API writes them."""
        return {market: self._book(of) for market, of in terms.items()}

    def _book(self, terms: MarketTerms) -> tuple[Side, Side]:
        bids, asks = (
            [(format_price(terms, price), format_quantity(terms, lots)) for price, lots in side]
            for side in self.audit.engine.levels(terms.symbol, WHOLE_BOOK)
        )
        return bids, asks

    def tables(self) -> list[str]:
        """Orders and trades in the database against those of the events."""
        lines: list[str] = []
        with closing(sqlite3.connect(self._layout.state / "exchange.db")) as connection:
            connection.row_factory = sqlite3.Row
            for name, key, expected in (
                ("order", "digest", self.audit.orders),
                ("trade", "match_id", self.audit.trades),
            ):
                stored = {row[key]: dict(row) for row in connection.execute(ROWS[name])}
                lines += [f"{name} {named(one)} is not in both" for one in stored.keys() ^ expected.keys()]
                for one in stored.keys() & expected.keys():
                    row = {column: stored[one][column] for column in expected[one]}
                    if row != expected[one]:
                        lines.append(f"{name} {named(one)}: stored {row}, replayed {expected[one]}")
            (cursor,) = connection.execute("SELECT journal_sequence FROM projector_cursor").fetchone()
        if cursor != self.audit.sequence:
            lines.append(f"the tables are at command {cursor}, the journal at {self.audit.sequence}")
        return lines

    def state_hash(self) -> list[str]:
        """After a clean stop: the state that the engine wrote is that of the replay."""
        _, newest = next(snapshots(self._layout.state / "journal"))
        if newest is None or newest.sequence != self.audit.sequence:
            return [f"no snapshot of command {self.audit.sequence} was written at the end"]
        found, expected = hashlib.sha256(newest.state).hexdigest(), self.audit.engine.state_hash().hex()
        return [] if found == expected else [f"the engine's state hash is {found}, that of a replay {expected}"]


def named(key: bytes | int) -> str:
    return "0x" + key.hex() if isinstance(key, bytes) else str(key)
