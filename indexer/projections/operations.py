"""What the exchange's own people do and announce: upgrades and their notice period, pauses, parameters."""

from __future__ import annotations

import json
from typing import Any

from indexer.events import (
    CallScheduled,
    Notice,
    OperationCancelled,
    OperationExecuted,
    OperationScheduled,
    Position,
)
from indexer.halt import Halt
from indexer.projections.ledger import Ledger
from indexer.rows import OperationRow, ProxyRow

SCHEDULED, CANCELLED, EXECUTED = "SCHEDULED", "CANCELLED", "EXECUTED"
NO_CODE = ProxyRow(bytes(20), bytes(20), 0)


def operation_scheduled(ledger: Ledger, event: OperationScheduled, at: Position) -> None:
    row = OperationRow(
        salt=event.salt,
        executable_at=event.executable_at,
        expires_at=event.expires_at,
        status=SCHEDULED,
        scheduled_block=at.block,
        scheduled_tx=at.tx_hash,
        closed_block=None,
        closed_tx=None,
    )
    ledger.state.operations.put((event.id,), row)


def call_scheduled(ledger: Ledger, event: CallScheduled, at: Position) -> None:
    ledger.timelock_calls.append(
        (
            at.block,
            at.log_index,
            event.id,
            event.index,
            event.target,
            event.value,
            event.data,
            event.target_code_hash,
            event.current_code_hash,
            event.upgrade_code_hash,
        )
    )


def operation_cancelled(ledger: Ledger, event: OperationCancelled, at: Position) -> None:
    _close(ledger, event.id, CANCELLED, at)


def operation_executed(ledger: Ledger, event: OperationExecuted, at: Position) -> None:
    _close(ledger, event.id, EXECUTED, at)


def _close(ledger: Ledger, operation: bytes, status: str, at: Position) -> None:
    row = ledger.state.operations.get((operation,))
    if row is None or row.status != SCHEDULED:
        state = "unknown" if row is None else row.status
        raise Halt(
            "OPERATION_STATE",
            f"block {at.block}, log {at.log_index}: operation 0x{operation.hex()} becomes {status}, but it is {state}",
        )
    ledger.state.operations.put((operation,), row._replace(status=status, closed_block=at.block, closed_tx=at.tx_hash))


def notice(ledger: Ledger, event: Notice, at: Position) -> None:
    values = dict(event.values)
    if event.name == "Upgraded":
        _change_proxy(ledger, event.contract, implementation=values["implementation"], upgraded_block=at.block)
    elif event.name == "AdminChanged":
        _change_proxy(ledger, event.contract, admin=values["newAdmin"])
    detail = json.dumps({name: _shown(value) for name, value in event.values})
    ledger.notices.append((at.block, at.log_index, event.contract, event.name, detail, at.timestamp, at.tx_hash))


def _change_proxy(ledger: Ledger, name: str, **changes: Any) -> None:
    row = ledger.state.proxies.get((name,)) or NO_CODE
    ledger.state.proxies.put((name,), row._replace(**changes))


def _shown(value: int | bool | str | bytes) -> str | bool:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value if isinstance(value, bool | str) else str(value)
