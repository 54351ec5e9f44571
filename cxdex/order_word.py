"""The order word: the 32 bytes by which the chain's events name an order.

    account 20 bytes | nonce 8 bytes | the last 4 bytes of the order's digest

The chain knows an order by account and nonce: its fill count lives there. The digest's tail tells apart the orders that
share a nonce: amendments, and the two legs of a pair. Off chain an order's id stays its whole digest; the word is how
one finds it in a Fill event, and what a trade's id is computed from.
"""

from __future__ import annotations

from typing import NamedTuple

WORD_BYTES = 32
TAIL_BYTES = 4
_NONCE_END = WORD_BYTES - TAIL_BYTES
_ACCOUNT_END = 20


class OrderWord(NamedTuple):
    """What an order word says. account: 20 bytes; tail: the last 4 bytes of the digest."""

    account: bytes
    nonce: int
    tail: bytes


def order_word(account: bytes, nonce: int, digest: bytes) -> bytes:
    """The word of an order, as a Fill event has it (there it is the uint256 of these bytes).

    `account` is 20 bytes, `digest` the order's id or its last 4 bytes. Raises ValueError for other lengths, and
    OverflowError for a nonce of more than 64 bits.
    """
    if len(account) != _ACCOUNT_END or len(digest) < TAIL_BYTES:
        raise ValueError("an order word takes an account of 20 bytes and a digest of 4 bytes or more")
    return account + nonce.to_bytes(_NONCE_END - _ACCOUNT_END, "big") + digest[-TAIL_BYTES:]


def unpack_order_word(word: bytes) -> OrderWord:
    """The inverse: whose order, its nonce, and how its digest ends. Raises ValueError unless it is 32 bytes."""
    if len(word) != WORD_BYTES:
        raise ValueError(f"an order word has {WORD_BYTES} bytes, this one {len(word)}")
    return OrderWord(word[:_ACCOUNT_END], int.from_bytes(word[_ACCOUNT_END:_NONCE_END], "big"), word[_NONCE_END:])
