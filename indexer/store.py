"""The database of the indexer: a chunk of blocks goes in as one transaction, or not at all.

Owns:     the transaction boundary. Rows, raw logs, undo, outbox and checkpoint of a chunk commit together.
Promises: every transaction first checks that the checkpoint is the one this process last wrote. `rollback` puts
          every table back as it was after an earlier block. When a transaction fails, the state in memory is
          thrown away and read again.
Never:    asks the node anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, event

from cxdex.deployment import Deployment
from cxdex.facts import encode_fact
from indexer import schema, tables
from indexer.decode import Decoder
from indexer.events import Position
from indexer.halt import Halt
from indexer.node import Header
from indexer.outbox import Message, Outbox
from indexer.projections.fold import Fold
from indexer.rows import (
    CHAIN_BLOCK,
    HISTORY_SPECS,
    LEDGER_ENTRY,
    RAW_LOG,
    STATE_SPECS,
    Key,
    Row,
    table_spec,
)
from indexer.source import Block, Chunk
from indexer.sql import Sql
from indexer.state import State
from indexer.undo import decode_images, encode_images

PROJECTION_VERSION = 3  # raise it when the same events shall give other rows
FINALITY_DEPTH = 256
CACHED_ROWS = 200_000  # state rows kept in memory: about 100 MB
PRELOADED_ROWS = 20_000  # a table up to this size is read at once, so that a missing row costs no question
CACHE_KB = 32_000

_CHECKPOINT = table_spec(tables.Checkpoint)
_STATE_NAMES = [spec.table.name for spec in STATE_SPECS]
_MARKETS = _STATE_NAMES.index("market_listing")  # read whole: fills name markets by number and hash
_BALANCES = _STATE_NAMES.index("account_balance")


@dataclass(frozen=True)
class Checkpoint:
    """The row of table `checkpoint`, less what never changes."""

    block: int
    hash: bytes
    timestamp: int
    emitted_block: int
    head: int
    undo_floor: int


class Store:
    def __init__(
        self,
        engine: Engine,
        deployment: Deployment,
        *,
        finality_depth: int = FINALITY_DEPTH,
        confirmations: int = 0,
        any_version: bool = False,
    ) -> None:
        self.engine = engine
        self._decoder = Decoder(deployment)
        self._deployment = deployment
        self._depth = finality_depth
        self._confirmations = confirmations
        self._sql: Sql | None = None
        self._fold: Fold | None = None
        self._outbox: Outbox | None = None
        self._complete: set[int] = set()
        self._pruned = -2  # the block before genesis is number -1
        _widen_cache(engine)
        schema.prepare(engine)
        self.checkpoint = self._read_checkpoint(any_version)

    # ------------------------------------------------------------------ forward

    def begin(self, base: Header, head: int, *, keep_raw: bool = False) -> None:
        """Starts empty projections: `base` is the block before the first that can hold our events."""
        start = Checkpoint(base.number, base.hash, base.timestamp, base.number, head, base.number)
        with self.engine.begin() as connection:
            sql = Sql(connection)
            if not keep_raw:
                self._drop_raw(sql, base.number - 1)
                sql.insert(CHAIN_BLOCK, [base])
            self._insert_checkpoint(sql, start)
        self.checkpoint = start

    def resume(self) -> None:
        """Drops raw logs beyond the checkpoint: a rebuild from them that did not finish has left them there."""
        if self.checkpoint is not None:
            with self.engine.begin() as connection:
                self._drop_raw(Sql(connection), self.checkpoint.block)

    @staticmethod
    def _drop_raw(sql: Sql, after: int) -> None:
        for spec in (RAW_LOG, CHAIN_BLOCK):
            sql.run(f"DELETE FROM {spec.name} WHERE {spec.columns[0]} > ?", after)  # noqa: S608

    def append(self, chunk: Chunk, head: int, *, store_raw: bool = True) -> int:
        """Folds and stores the blocks after the checkpoint. Returns the number of events. Raises Halt."""
        before = self._expected()
        with self._transaction() as sql:
            messages, events = self._fold_blocks(sql, chunk.blocks, head, store_raw)
            end = chunk.end
            cut = min(head - self._depth, end.number)
            after = Checkpoint(
                end.number,
                end.hash,
                end.timestamp,
                max(before.emitted_block, min(end.number, head - self._confirmations)),
                head,
                max(before.undo_floor, cut),
            )
            assert self._outbox is not None
            self._outbox.advance(sql, messages, after.emitted_block)
            self._prune(sql, cut)
            self._write_checkpoint(sql, before, after)
        self.checkpoint = after
        if self._fold is not None and self._fold.state.size > CACHED_ROWS:
            self._fold = None
        return events

    def _fold_blocks(self, sql: Sql, blocks: Iterable[Block], head: int, store_raw: bool) -> tuple[list[Message], int]:
        fold = self._fold = self._fold or Fold(self._load_state(sql))
        decode = self._decoder.decode
        logs: list[Row] = []
        history: list[list[Row]] = [[] for _ in HISTORY_SPECS]
        undo: list[tuple[int, bytes]] = []
        messages: list[Message] = []
        count = 0
        for header, block_logs in blocks:
            count += len(block_logs)
            number, timestamp = header.number, header.timestamp
            decoded = ((Position(number, log.log_index, timestamp, log.tx_hash), decode(log)) for log in block_logs)
            rows = fold.block(decoded)
            logs += block_logs
            for whole, part in zip(history, rows.history, strict=True):
                whole += part
            messages += [Message(block, place, header.hash, encode_fact(fact)) for block, place, fact in rows.facts]
            if rows.images and number > head - self._depth:
                undo.append((number, encode_images(rows.images)))
        if store_raw:
            sql.insert(CHAIN_BLOCK, [block.header for block in blocks])
            sql.insert(RAW_LOG, logs)
        for history_spec, history_rows in zip(HISTORY_SPECS, history, strict=True):
            if history_spec is LEDGER_ENTRY:
                history_rows.sort()  # in key order: neighbours in the tree are written together
            sql.insert(history_spec, history_rows)
        for spec, changed in fold.state.take_dirty():
            sql.upsert(spec.table, [(*key, *row) for key, row in sorted(changed)])
        sql.run_many("INSERT INTO undo (block, images) VALUES (?, ?)", undo)
        return messages, count

    # ------------------------------------------------------------------ back

    def rollback(self, ancestor: Header) -> None:
        """Everything as it was after block `ancestor`, in one transaction. Facts of later blocks are reverted."""
        before = self._expected()
        if ancestor.number < before.undo_floor:
            raise too_deep(ancestor.number, before)
        with self._transaction() as sql:
            oldest: dict[tuple[int, Key], Row | None] = {}
            for (images,) in sql.run("SELECT images FROM undo WHERE block > ? ORDER BY block DESC", ancestor.number):
                oldest.update({(image.table, image.key): image.row for image in decode_images(bytes(images))})
            self._restore(sql, oldest)
            accounts = {key[0] for table, key in oldest if table == _BALANCES}
            sql.run_many(
                "DELETE FROM ledger_entry WHERE account = ? AND block > ?",
                [(account, ancestor.number) for account in sorted(accounts)],
            )
            for name in (spec.name for spec in HISTORY_SPECS if spec is not LEDGER_ENTRY):
                sql.run(f"DELETE FROM {name} WHERE block > ?", ancestor.number)  # noqa: S608
            for name, column in (("raw_log", "block"), ("undo", "block"), ("chain_block", "number")):
                sql.run(f"DELETE FROM {name} WHERE {column} > ?", ancestor.number)  # noqa: S608
            assert self._outbox is not None
            self._outbox.revert_after(sql, ancestor.number)
            emitted = min(before.emitted_block, ancestor.number)
            after = replace(
                before,
                block=ancestor.number,
                hash=ancestor.hash,
                timestamp=ancestor.timestamp,
                emitted_block=emitted,
            )
            self._write_checkpoint(sql, before, after)
        self.checkpoint = after
        self._fold = None

    @staticmethod
    def _restore(sql: Sql, rows: dict[tuple[int, Key], Row | None]) -> None:
        for number, spec in enumerate(STATE_SPECS):
            mine = [(key, row) for (table, key), row in rows.items() if table == number]
            sql.delete(spec.table, [key for key, row in mine if row is None])
            sql.upsert(spec.table, [(*key, *row) for key, row in mine if row is not None])

    def wipe(self, *, keep_raw: bool = False) -> None:
        """Empties what is derived from the chain. The outbox stays: what was said is not said again."""
        names = [spec.table.name for spec in STATE_SPECS] + [spec.name for spec in HISTORY_SPECS]
        names += ["undo", "pending_fact", "checkpoint"] + ([] if keep_raw else ["raw_log", "chain_block"])
        with self.engine.begin() as connection:
            for name in names:
                connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608
        self.checkpoint = None
        self._forget()

    # ------------------------------------------------------------------ questions

    def headers(self, first: int, last: int) -> list[Header]:
        """Stored headers of a range, newest first."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            rows = Sql(connection).run(
                "SELECT number, hash, parent, timestamp FROM chain_block "
                "WHERE number >= ? AND number <= ? ORDER BY number DESC",
                first,
                last,
            )
            return [Header(number, bytes(hashed), bytes(parent), time) for number, hashed, parent, time in rows]

    def unreadable_logs(self) -> int:
        """How many stored logs are of events that this version does not know."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            kinds = Sql(connection).run("SELECT address, substr(topics, 1, 32), COUNT(*) FROM raw_log GROUP BY 1, 2")
            knows = self._decoder.knows
            return sum(count for address, topic, count in kinds if not knows(bytes(address), bytes(topic)))

    def announced_operations(self) -> list[tuple[bytes, int]]:
        """What the Timelock has announced and nobody has done or taken back: (id, executable from)."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            rows = Sql(connection).run(
                "SELECT id, executable_at FROM timelock_operation WHERE status = 'SCHEDULED' ORDER BY executable_at"
            )
            return [(bytes(operation), executable_at) for operation, executable_at in rows]

    # ------------------------------------------------------------------ transaction

    @contextmanager
    def _transaction(self) -> Iterator[Sql]:
        """One transaction. On any failure, memory is forgotten with it."""
        try:
            with self.engine.begin() as connection:
                sql = self._sql = Sql(connection)
                before = self._expected()
                held = sql.run("SELECT block, hash FROM checkpoint WHERE id = 1").fetchone()
                if held is None or (held[0], bytes(held[1])) != (before.block, before.hash):
                    raise _moved(before)
                self._outbox = self._outbox or Outbox(sql, before.emitted_block)
                yield sql
        except BaseException:
            self._forget()
            raise
        finally:
            self._sql = None

    def _forget(self) -> None:
        self._fold = None
        self._outbox = None

    def _expected(self) -> Checkpoint:
        if self.checkpoint is None:
            raise Halt("NOT_STARTED", "the database has no checkpoint yet", allowed="run `python -m indexer run`")
        return self.checkpoint

    def _write_checkpoint(self, sql: Sql, before: Checkpoint, after: Checkpoint) -> None:
        result = sql.run(
            "UPDATE checkpoint SET block = ?, hash = ?, timestamp = ?, emitted_block = ?, head = ?, undo_floor = ? "
            "WHERE id = 1 AND block = ? AND hash = ?",
            *(after.block, after.hash, after.timestamp, after.emitted_block, after.head, after.undo_floor),
            *(before.block, before.hash),
        )
        if result.rowcount != 1:
            raise _moved(before)

    def _insert_checkpoint(self, sql: Sql, start: Checkpoint) -> None:
        fixed = (self._deployment.chain_id, self._deployment.contracts["Settlement"], PROJECTION_VERSION)
        moving = (start.block, start.hash, start.timestamp, start.emitted_block, start.head, start.undo_floor)
        sql.insert(_CHECKPOINT, [(1, *moving, *fixed)])

    def _prune(self, sql: Sql, cut: int) -> None:
        """Forgets undo of final blocks, and final blocks without our logs."""
        if cut <= self._pruned:
            return
        sql.run("DELETE FROM undo WHERE block <= ?", cut)
        sql.run(
            "DELETE FROM chain_block WHERE number <= ? AND number > ? "
            "AND NOT EXISTS (SELECT 1 FROM raw_log WHERE raw_log.block = chain_block.number)",
            cut,
            self._pruned,
        )
        self._pruned = cut

    # ------------------------------------------------------------------ state

    def _load_state(self, sql: Sql) -> State:
        state = State(self._load_row)
        self._complete = set()
        for table in state.tables:
            spec = table.spec.table
            rows = sql.some(spec, PRELOADED_ROWS + 1)
            if len(rows) <= PRELOADED_ROWS or table.number == _MARKETS:
                self._complete.add(table.number)
                table.rows = {row[: spec.key_width]: table.spec.row(*row[spec.key_width :]) for row in rows}
        return state

    def _load_row(self, number: int, key: Key) -> Any:
        if number in self._complete:
            return None
        assert self._sql is not None
        spec = STATE_SPECS[number]
        row = self._sql.find(spec.table, key)
        return None if row is None else spec.row(*row)

    def _read_checkpoint(self, any_version: bool) -> Checkpoint | None:
        """Raises Halt when the database belongs to another exchange or to other projections."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            row = Sql(connection).find(_CHECKPOINT, (1,))
        if row is None:
            return None
        *moving, chain_id, settlement, version = row
        deployment = self._deployment
        if (chain_id, settlement) != (deployment.chain_id, deployment.contracts["Settlement"]):
            raise Halt(
                "OTHER_EXCHANGE",
                f"this database is of chain {chain_id}, Settlement 0x{settlement.hex()}; the deployment file says "
                f"chain {deployment.chain_id}, 0x{deployment.contracts['Settlement'].hex()}",
                allowed="pass the right --database or --deployment, or run `make reset`",
            )
        if version != PROJECTION_VERSION and not any_version:
            raise Halt(
                "PROJECTION_VERSION",
                f"the rows were derived by version {version}, this is {PROJECTION_VERSION}",
                allowed="run `python -m indexer rebuild --from-raw`",
            )
        return Checkpoint(*moving)


def _widen_cache(engine: Engine) -> None:
    """SQLite's 2 MB of pages are too few for a chunk of random keys."""
    if engine.dialect.name == "sqlite":
        event.listen(
            engine, "connect", lambda connection, _record: connection.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        )


def _moved(before: Checkpoint) -> Halt:
    return Halt(
        "CHECKPOINT_MOVED",
        f"the checkpoint is no longer block {before.block}: another process writes to this database",
        allowed="stop the other indexer, then start this one again",
    )


def too_deep(ancestor: int, checkpoint: Checkpoint) -> Halt:
    return Halt(
        "REORG_TOO_DEEP",
        f"the chain has changed from block {ancestor + 1} on, but undo goes back only to block {checkpoint.undo_floor}",
        allowed="check the node, then run `python -m indexer rebuild`",
    )
