"""Signatures: accepted here exactly when the contract would accept them."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.signature import CURVE_ORDER, SignatureProblem, address_of, recover, sign_digest, to_compact
from tests.cxdex.order_strategies import ACCOUNT, KEY

DIGEST = bytes(range(32))
GOOD = sign_digest(KEY, DIGEST)

keys = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


@settings(max_examples=50, deadline=None)
@given(keys, st.binary(min_size=32, max_size=32))
def test_what_a_key_signs_is_recovered_as_its_address(key: bytes, digest: bytes) -> None:
    signature = sign_digest(key, digest)
    assert recover(digest, signature) == address_of(key)
    assert int.from_bytes(signature[32:64], "big") <= CURVE_ORDER // 2


@settings(max_examples=20, deadline=None)
@given(keys)
def test_addresses_equal_eth_account(key: bytes) -> None:
    assert "0x" + address_of(key).hex() == Account.from_key(key).address.lower()


@given(st.binary(min_size=32, max_size=32).filter(lambda digest: digest != DIGEST))
def test_another_message_is_another_signer(digest: bytes) -> None:
    assert recover(digest, GOOD) != ACCOUNT


def test_the_high_s_twin_is_refused() -> None:
    s = CURVE_ORDER - int.from_bytes(GOOD[32:64], "big")
    twin = GOOD[:32] + s.to_bytes(32, "big") + bytes((55 - GOOD[64],))
    with pytest.raises(SignatureProblem, match="upper half"):
        recover(DIGEST, twin)


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        GOOD[:64],
        GOOD + b"\x00",
        GOOD[:64] + b"\x00",
        GOOD[:64] + b"\x1d",
        bytes(32) + GOOD[32:],
        GOOD[:32] + bytes(32) + GOOD[64:],
        CURVE_ORDER.to_bytes(32, "big") + GOOD[32:],
        b"\xff" * 32 + GOOD[32:],
    ],
)
def test_malformed_signatures_are_refused(malformed: bytes) -> None:
    with pytest.raises(SignatureProblem) as caught:
        recover(DIGEST, malformed)
    assert caught.value.code == "SIGNATURE_MALFORMED"


@settings(max_examples=30, deadline=None)
@given(keys, st.binary(min_size=32, max_size=32))
def test_the_compact_form_keeps_r_s_and_parity(key: bytes, digest: bytes) -> None:
    signature = sign_digest(key, digest)
    r, vs = to_compact(signature)
    back = r.to_bytes(32, "big") + (vs & 2**255 - 1).to_bytes(32, "big") + bytes((27 + (vs >> 255),))
    assert back == signature
