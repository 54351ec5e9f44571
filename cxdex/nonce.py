"""Nonces: what makes two orders of one account different, and what cancels them cheaply.

A nonce is 64 bits: epoch 16 | lane 24 | seq 24.

- The chain keeps one (seq, filled) pair per lane. An order is alive if its seq equals the stored one (its
  fills add up to the stored total) or is newer (it starts at zero and takes the lane over).
- Cancelling an order on chain stores seq + 1, cancelling everything raises the account's epoch; fills matched
  before the cancel still settle for CANCEL_DELAY_SECONDS, so that nobody can undo a match by cancelling.
- Two orders with the same nonce are amendments of one another: together they never fill more than one
  quantity. Orders that rest at the same time therefore use different lanes.

Never: keeps state. Who may use which lane next is the relayer's bookkeeping.
"""

from __future__ import annotations

from typing import NamedTuple

EPOCH_BITS = 16
LANE_BITS = 24
SEQ_BITS = 24
CANCEL_DELAY_SECONDS = 300  # from a cancel on chain until the contract refuses the order
MAX_LANE = 2**LANE_BITS - 1
MAX_SEQ = 2**SEQ_BITS - 1


class Nonce(NamedTuple):
    epoch: int
    lane: int
    seq: int


def pack_nonce(epoch: int, lane: int, seq: int) -> int:
    """The 64-bit nonce. Raises ValueError when a part does not fit."""
    if not (0 <= epoch < 2**EPOCH_BITS and 0 <= lane <= MAX_LANE and 0 <= seq <= MAX_SEQ):
        raise ValueError(f"nonce parts out of range: epoch {epoch}, lane {lane}, seq {seq}")
    return epoch << (LANE_BITS + SEQ_BITS) | lane << SEQ_BITS | seq


def lane_of(nonce: int) -> int:
    lane: int = nonce >> SEQ_BITS & MAX_LANE
    return lane


def unpack_nonce(nonce: int) -> Nonce:
    return Nonce(nonce >> (LANE_BITS + SEQ_BITS), (nonce >> SEQ_BITS) & MAX_LANE, nonce & MAX_SEQ)
