"""A nonce is three numbers in 64 bits, and keeps their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxdex.nonce import pack_nonce, unpack_nonce

parts = st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1))


@given(parts)
def test_packing_is_reversible(numbers: tuple[int, int, int]) -> None:
    assert unpack_nonce(pack_nonce(*numbers)) == numbers


@given(st.integers(0, 2**64 - 1))
def test_every_64_bit_number_is_one_nonce(number: int) -> None:
    assert pack_nonce(*unpack_nonce(number)) == number


@given(parts, parts)
def test_nonces_sort_as_their_parts(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (pack_nonce(*one) < pack_nonce(*other)) == (one < other)


@pytest.mark.parametrize("numbers", [(2**16, 0, 0), (0, 2**24, 0), (0, 0, 2**24), (-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_parts_that_do_not_fit_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        pack_nonce(*numbers)
