"""`python -m indexer rebuild`: derives every row again, and says whether the rows are the ones that were there.

From the chain, or from the raw logs that the database holds (`--from-raw`: no node is asked). The outbox stays as it
is: facts that stand are compared with the derived ones and not said twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from cxdex.deployment import Deployment
from indexer.digest import TableDigest, table_digests
from indexer.events import Log
from indexer.halt import Halt
from indexer.node import Header
from indexer.rows import CHAIN_BLOCK, RAW_LOG
from indexer.run import Runner
from indexer.source import Block, Chunk
from indexer.sql import Sql
from indexer.store import Checkpoint, Store

CHUNK_LOGS = 4_000
Digests = dict[str, TableDigest]


def digests(store: Store) -> Digests:
    with store.engine.connect().execution_options(read_only=True) as connection:
        return table_digests(connection)


def from_chain(store: Store, runner: Runner) -> tuple[Digests, Digests] | None:
    """Wipes and reads the chain again up to the old checkpoint. Digests before and after, None without a before."""
    old = store.checkpoint
    if old is None:
        return None
    _require_readable(store)
    before = digests(store)
    store.wipe()
    runner.run_until(old.block)
    return before, digests(store)


def from_raw(store: Store, deployment: Deployment) -> tuple[Digests, Digests]:
    """Wipes the projections and folds the stored logs again up to the old checkpoint. Raises Halt without any."""
    before = digests(store)
    fold_stored_logs(store, deployment)
    return before, digests(store)


def fold_stored_logs(store: Store, deployment: Deployment) -> None:
    """Wipes everything but the raw logs and folds them. Raises Halt NOT_STARTED when there are none."""
    old = store.checkpoint
    if old is None:
        raise Halt("NOT_STARTED", "the database holds no raw logs", allowed="run `python -m indexer rebuild`")
    _require_readable(store)
    store.wipe(keep_raw=True)
    base = Header(deployment.deployed_block - 1, bytes(32), bytes(32), 0)
    store.begin(base, old.head, keep_raw=True)
    for chunk in _stored_chunks(store, old):
        store.append(chunk, old.head, store_raw=False)


def _require_readable(store: Store) -> None:
    """Raises Halt EVENT_UNKNOWN while everything is still there: what is wiped could not be derived again."""
    unreadable = store.unreadable_logs()
    if unreadable:
        raise Halt(
            "EVENT_UNKNOWN",
            f"{unreadable} of the stored logs are events of contracts that this version does not read any more, so "
            "nothing was changed",
            allowed="keep this database with the version that made it; new contracts need an empty one",
        )


def differences(before: Digests, after: Digests) -> list[str]:
    """One line for each table whose rows are not the ones that were there."""
    return [
        f"{name}: {before[name].rows} rows before, {after[name].rows} now, and not the same"
        for name in before
        if before[name] != after[name]
    ]


def _stored_chunks(store: Store, old: Checkpoint) -> Iterator[Chunk]:
    """Blocks with logs in order, some thousand logs at a time; the last chunk ends at the old checkpoint."""
    blocks: list[Block] = []
    pending = 0
    for block in _stored_blocks(store, old.block):
        blocks.append(block)
        pending += len(block.logs)
        if pending >= CHUNK_LOGS:
            yield Chunk(blocks, block.header)
            blocks, pending = [], 0
    yield Chunk(blocks, Header(old.block, old.hash, bytes(32), old.timestamp))


def _stored_blocks(store: Store, last: int) -> Iterator[Block]:
    after = -1
    while True:
        with store.engine.connect().execution_options(read_only=True) as connection:
            sql = Sql(connection)
            headers = [
                Header(number, bytes(hashed), bytes(parent), time)
                for number, hashed, parent, time in sql.run(
                    f"SELECT {', '.join(CHAIN_BLOCK.columns)} FROM {CHAIN_BLOCK.name} "  # noqa: S608
                    "WHERE number > ? AND number <= ? ORDER BY number LIMIT 500",
                    after,
                    last,
                )
            ]
            if not headers:
                return
            logs: dict[int, list[Log]] = {header.number: [] for header in headers}
            for row in sql.run(
                f"SELECT {', '.join(RAW_LOG.columns)} FROM {RAW_LOG.name} "  # noqa: S608
                "WHERE block > ? AND block <= ? ORDER BY block, log_index",
                after,
                headers[-1].number,
            ):
                logs[row[0]].append(Log(*RAW_LOG.decode(row)))
        for header in headers:
            if logs[header.number]:
                yield Block(header, logs[header.number])
        after = headers[-1].number
