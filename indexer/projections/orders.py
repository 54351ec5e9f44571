"""What orders may still do: nonces and epochs cancelled on chain, session keys, and the beat of the relayer.

A cancel on chain counts some minutes after its event. Until then fills of the order still settle, so a lane keeps what
has been filled, and the cancel stands beside it; `effective_lane` puts the two together.
"""

from __future__ import annotations

from cxdex import facts
from indexer.events import EpochRaised, Heartbeat, NonceRaised, Position, SessionRevoked, SessionSet, SessionUsed
from indexer.halt import Halt
from indexer.projections.ledger import LAST_BEAT, Ledger
from indexer.rows import EpochRow, LaneCancelRow, LaneRow, SessionRow, ValueRow

ALL_MARKETS = bytes(32)


def nonce_raised(ledger: Ledger, event: NonceRaised, at: Position) -> None:
    key = (event.account, event.lane)
    state = ledger.state
    # An earlier cancel that counts by now becomes part of the lane itself.
    seq, filled = effective_lane(state.lanes.get(key), state.lane_cancels.get(key), at.timestamp)
    state.lanes.put(key, LaneRow(seq, filled, True))
    state.lane_cancels.put(key, LaneCancelRow(event.seq, event.effective_at))
    ledger.fact(at, facts.NonceRaised(event.account, event.lane, event.seq, event.effective_at))


def effective_lane(lane: LaneRow | None, cancel: LaneCancelRow | None, time: int) -> tuple[int, int]:
    """(seq, filled) of a lane at a unix time: a cancel that counts leaves its own seq, with nothing filled."""
    if lane is None:
        return 0, 0
    if cancel is not None and lane.is_cancel_announced and time >= cancel.effective_at:
        return cancel.seq, 0
    return lane.seq, lane.filled


def epoch_raised(ledger: Ledger, event: EpochRaised, at: Position) -> None:
    ledger.state.epochs.put((event.account,), EpochRow(event.epoch, event.effective_at))
    ledger.fact(at, facts.EpochRaised(event.account, event.epoch, event.effective_at))


def session_set(ledger: Ledger, event: SessionSet, at: Position) -> None:
    symbol = None if event.market == ALL_MARKETS else ledger.market_by_hash(event.market, at)[0]
    row = SessionRow(symbol, event.notional, event.notional, event.expiry, False, at.block, at.tx_hash)
    ledger.state.sessions.put((event.account, event.key), row)
    ledger.fact(at, facts.SessionSet(event.account, event.key, symbol, event.notional, event.expiry))


def session_revoked(ledger: Ledger, event: SessionRevoked, at: Position) -> None:
    _change_session(ledger, event.account, event.key, at, is_revoked=True)
    ledger.fact(at, facts.SessionRevoked(event.account, event.key))


def session_used(ledger: Ledger, event: SessionUsed, at: Position) -> None:
    _change_session(ledger, event.account, event.key, at, notional_left=event.notional_left)
    ledger.fact(at, facts.SessionUsed(event.account, event.key, event.notional_left))


def heartbeat(ledger: Ledger, event: Heartbeat, _at: Position) -> None:
    ledger.state.values.put((LAST_BEAT,), ValueRow(event.time))


def _change_session(ledger: Ledger, account: bytes, key: bytes, at: Position, **changes: int | bool) -> None:
    row = ledger.state.sessions.get((account, key))
    if row is None or row.is_revoked:
        raise Halt(
            "SESSION_UNKNOWN",
            f"block {at.block}, log {at.log_index}: 0x{key.hex()} is no session key of 0x{account.hex()}",
        )
    ledger.state.sessions.put((account, key), row._replace(**changes))
