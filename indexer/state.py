"""The state that events are folded into: rows in memory, and the image of each row before a block touched it.

Owns:     `State`, the tables of rows, loaded from the database row by row when first asked for.
Promises: `close_block` returns, for every row the block wrote, its image before the block's first write; putting
          those images back gives exactly the state before the block.
Never:    writes to the database. A transaction that fails throws the whole State away (see `indexer.store`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from indexer.rows import STATE_SPECS, Key, Row, StateSpec

Load = Callable[[int, Key], Row | None]  # (table number, key) -> row


class Image(NamedTuple):
    """A row before a block: `row` is None when there was none."""

    table: int
    key: Key
    row: Row | None


class StateTable:
    """Rows of one table. A row of None is known to be absent."""

    __slots__ = ("_load", "dirty", "images", "number", "rows", "spec")

    def __init__(self, number: int, spec: StateSpec, load: Load) -> None:
        self.number = number
        self.spec = spec
        self.rows: dict[Key, Any] = {}
        self.images: dict[Key, Any] = {}  # of the block being folded
        self.dirty: set[Key] = set()  # written since `take_dirty`
        self._load = load

    def get(self, key: Key) -> Any:
        """The row (a NamedTuple of `indexer.rows`), or None."""
        try:
            return self.rows[key]
        except KeyError:
            row = self.rows[key] = self._load(self.number, key)
            return row

    def put(self, key: Key, row: Row) -> None:
        if key not in self.images:
            self.images[key] = self.get(key)
        self.rows[key] = row


class State:
    """All state tables, by name and by number (their place in STATE_SPECS)."""

    def __init__(self, load: Load = lambda _table, _key: None) -> None:
        self.tables = tuple(StateTable(number, spec, load) for number, spec in enumerate(STATE_SPECS))
        (
            self.balances,
            self.announced,
            self.epochs,
            self.lanes,
            self.lane_cancels,
            self.order_fills,
            self.sessions,
            self.withdrawals,
            self.synths,
            self.markets,
            self.candles,
            self.debts,
            self.debt_assets,
            self.redemptions,
            self.prices,
            self.values,
            self.proxies,
            self.operations,
        ) = self.tables

    def close_block(self) -> list[Image]:
        """Ends the block and returns its undo images."""
        images: list[Image] = []
        for table in self.tables:
            if table.images:
                images += [Image(table.number, key, row) for key, row in table.images.items()]
                table.dirty.update(table.images)
                table.images = {}
        return images

    def take_dirty(self) -> Iterator[tuple[StateSpec, list[tuple[Key, Row]]]]:
        """The rows written since the last call, table by table."""
        for table in self.tables:
            if table.dirty:
                rows = table.rows
                yield table.spec, [(key, rows[key]) for key in table.dirty]
                table.dirty = set()

    def restore(self, images: list[Image]) -> None:
        """Puts images back (of the newest block first when there are several)."""
        for image in images:
            self.tables[image.table].rows[image.key] = image.row

    @property
    def size(self) -> int:
        return sum(len(table.rows) for table in self.tables)
