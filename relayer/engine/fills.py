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
    *_signer        the session key that signed the order; empty when the account itself did
    charged         (maker, taker) fees that the chain took, when they are not those of the match
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
    maker_signer: bytes = b""
    taker_signer: bytes = b""
    charged: tuple[int, int] | None = None

    @property
    def fees(self) -> tuple[int, int]:
        """(maker, taker) as they count in the balances now."""
        return self.charged if self.charged is not None else (self.maker_fee, self.taker_fee)
