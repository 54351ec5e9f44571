"""Matched fills until the chain has said what became of them, and a while longer in case a reorg takes it back.

Never: moves money; it only remembers what was moved, exactly, so that it can be undone and redone.
"""

from __future__ import annotations

import msgspec


class FillRecord(msgspec.Struct, array_like=True):
    """One match. base: 1e-18 units; notional and fees: 1e-6 USDC.

    resolved_block  block whose batch settled or skipped it; None while it is on its way
    skip_reason     why the chain passed over it; None unless it is voided
    is_foreign      the engine learnt of it from the chain (a lost journal, or somebody else settled); match_id is 0
    """

    match_id: int
    market: str
    sequence: int
    maker: bytes
    taker: bytes
    maker_digest: bytes
    taker_digest: bytes
    maker_lane: int
    taker_lane: int
    taker_is_buyer: bool
    base_asset: int
    base: int
    notional: int
    maker_fee: int
    taker_fee: int
    resolved_block: int | None = None
    skip_reason: int | None = None
    is_foreign: bool = False
