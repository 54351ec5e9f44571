"""The order word and its inverse, and that it is the number of the event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxdex.order_word import order_word, unpack_order_word

accounts, digests = st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)


@given(accounts, st.integers(0, 2**64 - 1), digests)
def test_a_word_says_whose_order_which_nonce_and_how_the_digest_ends(account: bytes, nonce: int, digest: bytes) -> None:
    word = order_word(account, nonce, digest)
    assert unpack_order_word(word) == (account, nonce, digest[28:])
    assert order_word(*unpack_order_word(word)) == word
    tail = int.from_bytes(digest, "big") & 2**32 - 1
    assert int.from_bytes(word, "big") == int.from_bytes(account, "big") << 96 | nonce << 32 | tail


@given(digests)
def test_every_word_reads_back(word: bytes) -> None:
    assert order_word(*unpack_order_word(word)) == word


@pytest.mark.parametrize(("account", "digest"), [(bytes(19), bytes(32)), (bytes(21), bytes(32)), (bytes(20), bytes(3))])
def test_other_lengths_are_refused(account: bytes, digest: bytes) -> None:
    with pytest.raises(ValueError, match="20 bytes and a digest of 4"):
        order_word(account, 1, digest)


def test_a_nonce_beyond_64_bits_and_a_word_of_another_length_are_refused() -> None:
    with pytest.raises(OverflowError):
        order_word(bytes(20), 2**64, bytes(32))
    with pytest.raises(ValueError, match="32 bytes, this one 31"):
        unpack_order_word(bytes(31))
