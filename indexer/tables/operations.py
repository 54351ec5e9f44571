"""The exchange as a whole: its pockets, and what its operators do and announce.

Units and rules as in `indexer.tables`.
"""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Text
from sqlmodel import Field, SQLModel

from cxdex.storage import Big, Uint
from indexer.tables.clustered import CLUSTERED


class ExchangeValue(SQLModel, table=True):
    """One number of the exchange as a whole, after the last event that changed it.

    FEE_POCKET, COLLATERAL, CXPT_RESERVE: what the Vault holds for each, 1e-6 USDC. LAST_BEAT: unix seconds.
    """

    __tablename__ = "exchange_value"

    name: str = Field(primary_key=True)
    value: int = Field(sa_column=Column(Uint, nullable=False))


class FeeMovement(SQLModel, table=True):
    """USDC in and out of the fee pocket. kind: COLLECTED (from `market`), WITHDRAWN and REBATE (to `account`).

    `pocket` is what stood in it afterwards.
    """

    __tablename__ = "fee_movement"
    __table_args__ = (CLUSTERED,)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    kind: str
    market: str | None
    account: bytes | None = Field(default=None, sa_column=Column(LargeBinary(20)))
    amount: int = Field(sa_column=Column(Uint, nullable=False))
    pocket: int = Field(sa_column=Column(Uint, nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class Proxy(SQLModel, table=True):
    """The code behind an address that never changes, and who may replace it. Named by the contract."""

    __tablename__ = "proxy"

    name: str = Field(primary_key=True)
    implementation: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    admin: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    upgraded_block: int = Field(sa_column=Column(Big, nullable=False))


class TimelockOperation(SQLModel, table=True):
    """What ADMIN has announced. status: SCHEDULED, then CANCELLED or EXECUTED; it may be announced again after that.

    Its calls: `timelock_call` with the same id. It can be executed from `executable_at` to `expires_at`.
    """

    __tablename__ = "timelock_operation"

    id: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    salt: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    executable_at: int = Field(sa_column=Column(Big, nullable=False))
    expires_at: int = Field(sa_column=Column(Big, nullable=False))
    status: str
    scheduled_block: int = Field(sa_column=Column(Big, nullable=False))
    scheduled_tx: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    closed_block: int | None = Field(default=None, sa_column=Column(Big))
    closed_tx: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32)))


class TimelockCall(SQLModel, table=True):
    """One call of an announced operation. Code hashes are zeros where there is nothing to bind."""

    __tablename__ = "timelock_call"
    __table_args__ = (CLUSTERED,)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    operation: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    place: int
    target: bytes = Field(sa_column=Column(LargeBinary(20), nullable=False))
    value: int = Field(sa_column=Column(Uint, nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    target_code_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    current_code_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    upgrade_code_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))


class OperatorNotice(SQLModel, table=True):
    """Anything else that a contract said and an operator should read: upgrades, pauses, parameters, the breaker.

    `detail` is a JSON object of the event's values; integers are decimal strings, addresses and hashes hex.
    """

    __tablename__ = "operator_notice"
    __table_args__ = (CLUSTERED,)

    block: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    log_index: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    contract: str
    name: str
    detail: str = Field(sa_column=Column(Text, nullable=False))
    timestamp: int = Field(sa_column=Column(Big, nullable=False))
    tx_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
