"""The shape of a row outside the database: state rows as tuples, and how a tuple becomes SQL parameters.

Owns:     one NamedTuple a state table (the columns after its key), and `TableSpec`, derived from `indexer.tables`.
Promises: the order of a tuple's fields is the order of the table's columns (checked when the module loads).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlmodel import SQLModel

from cxdex.storage import Uint, encode_uint
from indexer import tables

Key = tuple[Any, ...]
Row = tuple[Any, ...]


class BalanceRow(NamedTuple):
    amount: int
    block: int


class AnnouncedRow(NamedTuple):
    amount: int


class EpochRow(NamedTuple):
    epoch: int
    effective_at: int


class LaneRow(NamedTuple):
    seq: int
    filled: int
    is_cancel_announced: bool


class LaneCancelRow(NamedTuple):
    seq: int
    effective_at: int


class SessionRow(NamedTuple):
    market: str | None
    notional: int
    notional_left: int
    expiry: int
    is_revoked: bool
    set_block: int
    set_tx: bytes


class WithdrawalRow(NamedTuple):
    account: bytes
    asset: int
    amount: int
    as_cxpt: bool
    recipient: bytes
    requested_at: int
    claimable_at: int
    redirects: int
    status: str
    paid: int | None
    requested_block: int
    requested_tx: bytes
    closed_block: int | None
    closed_tx: bytes | None


class ValueRow(NamedTuple):
    value: int


class SynthRow(NamedTuple):
    address: bytes
    name: str
    symbol: str
    supply: int
    escrow: int


class MarketRow(NamedTuple):
    hash: bytes
    index: int  # type: ignore[assignment]  # the column's name; tuple.index is not used
    kind: int
    base_asset: int
    base_symbol: str
    lot_exponent: int
    quote_per_lot_tick: int
    min_lots: int
    maker_fee_bps: int
    taker_fee_bps: int
    status: int
    next_sequence: int
    accrued_fees: int
    listed_block: int


class OrderFillRow(NamedTuple):
    market: str
    filled: int


class DebtRow(NamedTuple):
    debt: int
    collateral: int


class DebtAssetRow(NamedTuple):
    cap: int
    wound_price: int | None
    wound_supply: int | None
    wound_block: int | None
    pot: int
    rate: int | None


class RedemptionRow(NamedTuple):
    account: bytes
    asset: int
    amount: int
    remaining: int
    payout: int
    max_fee_bps: int
    requested_at: int
    price_from: int
    status: str
    requested_block: int
    requested_tx: bytes
    closed_block: int | None
    closed_tx: bytes | None


class PriceRow(NamedTuple):
    price: int
    publish_time: int
    cumulative: int
    updates: int


class ProxyRow(NamedTuple):
    implementation: bytes
    admin: bytes
    upgraded_block: int


class OperationRow(NamedTuple):
    salt: bytes
    executable_at: int
    expires_at: int
    status: str
    scheduled_block: int
    scheduled_tx: bytes
    closed_block: int | None
    closed_tx: bytes | None


class CandleRow(NamedTuple):
    open: int
    high: int
    low: int
    close: int
    volume_lots: int
    volume_quote: int
    trades: int


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table for writers that go past the ORM. Values are in column order, key columns first."""

    name: str
    columns: tuple[str, ...]
    key_width: int
    uints: tuple[int, ...]
    booleans: tuple[int, ...]

    def encode(self, values: Sequence[Any]) -> list[Any]:
        """Values with every Uint as its 32 bytes: what SQLite stores, and what undo images hold everywhere."""
        encoded = list(values)
        for index in self.uints:
            if encoded[index] is not None:
                encoded[index] = encode_uint(encoded[index])
        return encoded

    def decode(self, values: Sequence[Any]) -> list[Any]:
        """The inverse of `encode`; also reads what either database returns (Decimal, memoryview, 0 and 1)."""
        decoded = [bytes(value) if isinstance(value, memoryview) else value for value in values]
        for index in self.uints:
            value = decoded[index]
            if value is not None:
                decoded[index] = int.from_bytes(value, "big") if isinstance(value, bytes) else int(value)
        for index in self.booleans:
            if decoded[index] is not None:
                decoded[index] = bool(decoded[index])
        return decoded


def table_spec(model: type[SQLModel]) -> TableSpec:
    table = model.__table__  # type: ignore[attr-defined]
    columns = list(table.columns)
    keys = [column.primary_key for column in columns]
    if keys != sorted(keys, reverse=True):
        raise TypeError(f"{table.name}: key columns come first")
    return TableSpec(
        name=table.name,
        columns=tuple(column.name for column in columns),
        key_width=sum(keys),
        uints=tuple(index for index, column in enumerate(columns) if isinstance(column.type, Uint)),
        booleans=tuple(index for index, column in enumerate(columns) if str(column.type) == "BOOLEAN"),
    )


@dataclass(frozen=True, slots=True)
class StateSpec:
    """A state table: what `undo` can bring back."""

    table: TableSpec
    row: Any  # the NamedTuple class


def _state_specs(pairs: Iterable[tuple[type[SQLModel], Any]]) -> tuple[StateSpec, ...]:
    specs = tuple(StateSpec(table_spec(model), row) for model, row in pairs)
    for spec in specs:
        if spec.table.columns[spec.table.key_width :] != spec.row._fields:
            raise TypeError(f"{spec.row.__name__} does not have the columns of {spec.table.name}")
    return specs


# The order is part of the undo format: append, never reorder (or raise PROJECTION_VERSION).
STATE_SPECS = _state_specs(
    (
        (tables.AccountBalance, BalanceRow),
        (tables.AnnouncedBalance, AnnouncedRow),
        (tables.AccountState, EpochRow),
        (tables.Lane, LaneRow),
        (tables.LaneCancel, LaneCancelRow),
        (tables.OrderFill, OrderFillRow),
        (tables.SessionKey, SessionRow),
        (tables.Withdrawal, WithdrawalRow),
        (tables.SynthAsset, SynthRow),
        (tables.MarketListing, MarketRow),
        (tables.Candle, CandleRow),
        (tables.DebtPosition, DebtRow),
        (tables.DebtAsset, DebtAssetRow),
        (tables.Redemption, RedemptionRow),
        (tables.OraclePrice, PriceRow),
        (tables.ExchangeValue, ValueRow),
        (tables.Proxy, ProxyRow),
        (tables.TimelockOperation, OperationRow),
    )
)

CHAIN_BLOCK = table_spec(tables.ChainBlock)
RAW_LOG = table_spec(tables.RawLog)
SETTLED_FILL = table_spec(tables.SettledFill)
LEDGER_ENTRY = table_spec(tables.LedgerEntry)
FEE_MOVEMENT = table_spec(tables.FeeMovement)
PRICE_UPDATE = table_spec(tables.PriceUpdate)
LIQUIDATION = table_spec(tables.Liquidation)
TIMELOCK_CALL = table_spec(tables.TimelockCall)
OPERATOR_NOTICE = table_spec(tables.OperatorNotice)

HISTORY_SPECS = (
    SETTLED_FILL,
    LEDGER_ENTRY,
    FEE_MOVEMENT,
    PRICE_UPDATE,
    LIQUIDATION,
    TIMELOCK_CALL,
    OPERATOR_NOTICE,
)
