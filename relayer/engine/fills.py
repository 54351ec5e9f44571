"""Matched fills until the chain has said what became of them, and a while longer in case a reorg takes it back.

Never: moves money; it only remembers what was moved, exactly, so that it can be undone and redone.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cxdex.fees import BPS, MAX_TOTAL_FEE_BPS
from cxdex.market import USDC_ASSET
from cxdex.order_word import order_word


class FillRecord(msgspec.Struct, array_like=True):
    """One match. base: 1e-18 units; notional and fees: 1e-6 USDC.

    resolved_block  block whose batch settled or skipped it; None while it is on its way
    skip_reason     why the chain passed over it; None unless it is voided
    is_foreign      the engine learnt of it from the chain (a lost journal, or somebody else settled); match_id is 0
                    then, and of the digests only the last 4 bytes are there
    *_signer        the session key that signed the order; empty when the account itself did
    charged         (maker, taker) fees that the chain took, when they are not those of the match
    time_ms         of the match; 0 when it is foreign
    """

    match_id: int
    market: str
    sequence: int
    maker: bytes
    taker: bytes
    maker_digest: bytes
    taker_digest: bytes
    maker_nonce: int
    taker_nonce: int
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
    time_ms: int = 0

    @property
    def orders(self) -> tuple[bytes, bytes]:
        """(maker, taker) as the chain names them."""
        return (
            order_word(self.maker, self.maker_nonce, self.maker_digest),
            order_word(self.taker, self.taker_nonce, self.taker_digest),
        )

    @property
    def fees(self) -> tuple[int, int]:
        """(maker, taker) as they count in the balances now."""
        return self.charged if self.charged is not None else (self.maker_fee, self.taker_fee)


def held_back(fill: FillRecord) -> Iterator[tuple[bytes, int, int]]:
    """(account, asset, amount): what has to stay in the exchange while the fill is on its way, beside what is reserved.

    What the fill brings is not on chain yet, so it cannot pay for anything there; and the buyer's fee may become
    dearer by then, if CXPT has left.
    """
    buyer, seller = (fill.taker, fill.maker) if fill.taker_is_buyer else (fill.maker, fill.taker)
    yield buyer, fill.base_asset, fill.base
    yield buyer, USDC_ASSET, -(-fill.notional * MAX_TOTAL_FEE_BPS // BPS)
    yield seller, USDC_ASSET, fill.notional
