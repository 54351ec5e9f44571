"""A fingerprint of the derived tables, to tell whether two databases, or one before and after, hold the same rows.

Covers the chain tables, history and state. Not what depends on when one looked: blocks without our logs, undo, outbox.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from sqlalchemy import Connection

from indexer.rows import CHAIN_BLOCK, HISTORY_SPECS, RAW_LOG, STATE_SPECS, TableSpec
from indexer.sql import Sql


class TableDigest(NamedTuple):
    rows: int
    sha256: str


def table_digests(connection: Connection) -> dict[str, TableDigest]:
    """The number of rows and their hash, by table, in one snapshot if the connection has one."""
    sql = Sql(connection)
    specs = (CHAIN_BLOCK, RAW_LOG, *HISTORY_SPECS, *(spec.table for spec in STATE_SPECS))
    return {spec.name: _digest(sql, spec) for spec in specs}


def _digest(sql: Sql, spec: TableSpec) -> TableDigest:
    columns = ", ".join(f'"{name}"' for name in spec.columns)
    keys = ", ".join(f'"{name}"' for name in spec.columns[: spec.key_width])
    where = (
        " WHERE EXISTS (SELECT 1 FROM raw_log WHERE raw_log.block = chain_block.number)" if spec is CHAIN_BLOCK else ""
    )
    hashed, count = hashlib.sha256(), 0
    for row in sql.run(f"SELECT {columns} FROM {spec.name}{where} ORDER BY {keys}"):  # noqa: S608
        hashed.update(repr(spec.decode(row)).encode())
        count += 1
    return TableDigest(count, hashed.hexdigest())
