"""The tables that the settlement log is made of, written as projector, settler and indexer write them."""

from __future__ import annotations

import itertools
from pathlib import Path

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlmodel import SQLModel

import indexer.tables  # noqa: F401 - registers its tables
from cxdex.storage import open_database
from relayer import schema
from relayer.settler.chain import Receipt
from relayer.settler.plan import Span
from relayer.settler.store import Batch, Draft, Store
from relayer.settler.wallet import SignedTransaction

MARKETS = ("sBTC-USDC", "sETH-USDC")
ACCOUNTS = tuple(bytes([number]) * 20 for number in (1, 2, 3))


def tx(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Tables:
    """One database. Blocks are as high as the last that was mined; `finality` of them can be taken back."""

    def __init__(self, folder: Path, finality: int = 3, url: str | None = None) -> None:
        self.database: Engine = open_database(url or f"sqlite:///{folder / 'exchange.db'}")
        schema.prepare(self.database)
        SQLModel.metadata.create_all(self.database)
        self.store = Store(self.database)
        self.store.open()
        self.finality = finality
        self.match_id = 0
        self.sequences = dict.fromkeys(MARKETS, 0)
        self.block = 0
        self.batches: dict[int, Batch] = {}
        self._transactions = itertools.count(1)
        self._hashes = itertools.count(1)
        self._tables = SQLModel.metadata.tables
        self._say_head()

    # The engine's projector -------------------------------------------------------------------------------

    def match(self, market: str = MARKETS[0], maker: int = 0, taker: int = 1) -> int:
        self.match_id += 1
        sequence = self.sequences[market]
        self.sequences[market] += 1
        row = {"match_id": self.match_id, "market": market, "sequence": sequence, "price": 600_000, "quantity": 5}
        row |= {"maker": ACCOUNTS[maker], "taker": ACCOUNTS[taker], "taker_is_buyer": True, "time_ms": 1}
        row |= {"maker_digest": tx(2 * self.match_id), "taker_digest": tx(2 * self.match_id + 1)}
        row |= {"maker_order": tx(2 * self.match_id), "taker_order": tx(2 * self.match_id + 1)}
        self._insert("trade", **row, maker_fee=1, taker_fee=1, voided=False)
        return sequence

    # The settler ------------------------------------------------------------------------------------------

    def prepare(self, *spans: tuple[str, int, int]) -> int:
        draft = Draft(1, 1, 1, next(self._transactions), self.sign(), [Span(*span) for span in spans])
        batch = self.store.prepare(draft, 1)
        self.batches[batch.id] = batch
        return batch.id

    def send(self, *spans: tuple[str, int, int]) -> int:
        batch = self.prepare(*spans)
        self.store.mark_sent(batch, 2)
        return batch

    def replace(self, batch: int) -> bytes:
        signed = self.sign()
        self.store.replace(self.batches[batch], signed, 3)
        return signed.tx_hash

    def fail(self, batch: int, in_block: bool) -> None:
        receipt = Receipt(self.hash_of(batch), False, self.block, bytes(32), 1, 1) if in_block else None
        self.store.mark_failed(batch, "a reason", 4, receipt)

    def sign(self) -> SignedTransaction:
        return SignedTransaction(b"raw", tx(next(self._transactions)))

    def hash_of(self, batch: int) -> bytes:
        batches = self._tables["batch"]
        with self.database.connect() as connection:
            found: bytes = connection.execute(select(batches.c.tx_hash).where(batches.c.id == batch)).scalar_one()
        return found

    # The indexer ------------------------------------------------------------------------------------------

    def mine(
        self, market: str, first: int, last: int, tx_hash: bytes, reason: int | None = None, others: bool = False
    ) -> int:
        """A block in which these fills settled, or were passed over. Returns its number.

        others: the numbers were used up, by fills of other orders.
        """
        self.block += 1
        orders = {"maker_order": b"m" * 32, "taker_order": b"t" * 32, "price": 600_000, "quantity": 5} if others else {}
        for sequence in range(first, last + 1):
            row = {"block": self.block, "log_index": sequence, "sequence": sequence, "market": market, "reason": reason}
            self._insert("settled_fill", **row, **orders, tx_hash=tx_hash, timestamp=1)
        self._say_head()
        return self.block

    def empty_blocks(self, count: int) -> None:
        self.block += count
        self._say_head()

    def reorg(self, depth: int) -> None:
        """The last blocks are gone. The indexer says so before it reads what came in their place."""
        self.block -= depth
        fills = self._tables["settled_fill"]
        with self.database.begin() as connection:
            connection.execute(delete(fills).where(fills.c.block > self.block))
        self._say_head()

    def settled(self, market: str) -> int:
        """The number that the market's next fill on chain has."""
        fills = self._tables["settled_fill"]
        with self.database.connect() as connection:
            last = connection.scalar(select(func.max(fills.c.sequence)).where(fills.c.market == market))
        return 0 if last is None else last + 1

    @property
    def reversible(self) -> int:
        """How many blocks a reorg may take back."""
        return self.block - max(0, self._floor)

    _floor = 0

    def _say_head(self) -> None:
        table = self._tables["checkpoint"]
        self._floor = max(self._floor, self.block - self.finality)
        now = {"block": self.block, "hash": tx(next(self._hashes)), "undo_floor": self._floor, "head": self.block}
        with self.database.begin() as connection:
            if connection.execute(update(table).values(**now)).rowcount == 0:
                rest = {"id": 1, "timestamp": 1, "emitted_block": 0, "chain_id": 1, "settlement": bytes(20)}
                connection.execute(insert(table).values(**now, **rest, projection_version=1))

    def _insert(self, name: str, **row: object) -> None:
        with self.database.begin() as connection:
            connection.execute(insert(self._tables[name]).values(**row))
