"""Tables that only the settler's side knows: how late settlement is, and fills that may never settle."""

from __future__ import annotations

from sqlalchemy import Column
from sqlmodel import Field, SQLModel

from cxdex.storage import Big


class SettlerStateRow(SQLModel, table=True):
    """How far settlement is, in one row. Writer: the settler, each second. Reader: the engine (see `state`).

    oldest_ms   when the oldest fill that could settle, and has not, was matched; NULL if there is none
    waiting     fills matched and not settled, those of paused and held markets included
    promise_ms  how old a fill may become before new orders are refused
    last_beat   unix time of CORE's last sign of life on chain; 0: never
    error       why nothing moves, NULL while it does
    """

    __tablename__ = "settler_state"

    id: int = Field(default=1, primary_key=True)
    updated_ms: int = Field(sa_column=Column(Big, nullable=False))
    oldest_ms: int | None = Field(default=None, sa_column=Column(Big))
    waiting: int = 0
    promise_ms: int = Field(sa_column=Column(Big, nullable=False))
    last_beat: int = Field(sa_column=Column(Big, nullable=False))
    node: str = ""
    error: str | None = None


class DeadLetterRow(SQLModel, table=True):
    """A fill that the contract refuses. Writers: the settler, and for `decision` the operator's command.

    status    HELD      its market waits, because the refusal may pass; at `until_ms` it is given up
              VOIDED    its sequence number is used up, or about to be: it can never settle
              RELEASED  the contract takes it after all
              CLOSED    VOIDED, and an operator has seen it
    decision  RETRY or DROP, until the settler has done so; NULL otherwise
    """

    __tablename__ = "dead_letter"

    match_id: int = Field(sa_column=Column(Big, primary_key=True, autoincrement=False))
    market: str
    sequence: int = Field(sa_column=Column(Big, nullable=False))
    reason: str
    status: str = Field(index=True)
    decision: str | None = None
    created_ms: int = Field(sa_column=Column(Big, nullable=False))
    updated_ms: int = Field(sa_column=Column(Big, nullable=False))
    until_ms: int = Field(sa_column=Column(Big, nullable=False))
