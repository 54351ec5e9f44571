"""What a reporter signs, against eth-account's reading of the standard, and what brings it to the Oracle."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.abi import load_abi
from cxdex.eip712 import Domain
from cxdex.keccak import keccak
from cxdex.price_report import (
    MAX_PRICE,
    SUBMIT_SELECTOR,
    SUBMIT_TYPES,
    PriceReport,
    encode_submit,
    price_digest,
    price_typed_data,
    sign_report,
    signed_reports,
    submitted,
)
from cxdex.problem import Problem
from cxdex.signature import address_of, recover
from cxdex.wallet import LocalWallet

KEYS = [keccak(f"reporter {number}".encode()) for number in range(5)]
DOMAIN = Domain(31337, bytes(range(20)))
REPORT = PriceReport(2, 60_000_000_000, 1_800_000_000)

reports = st.builds(
    PriceReport,
    asset=st.integers(0, 2**256 - 1),
    price=st.integers(1, MAX_PRICE),
    publish_time=st.integers(0, 2**256 - 1),
)


def reference_digest(message: dict[str, Any]) -> bytes:
    return bytes(_hash_eip191_message(encode_typed_data(full_message=message)))


@settings(max_examples=50, deadline=None)
@given(reports, st.integers(1, 2**64 - 1), st.binary(min_size=20, max_size=20))
def test_the_digest_equals_eth_account(report: PriceReport, chain_id: int, oracle: bytes) -> None:
    domain = Domain(chain_id, oracle)
    assert price_digest(domain, report) == reference_digest(price_typed_data(domain, report))


def test_the_signature_equals_eth_account() -> None:
    theirs = Account.sign_typed_data(KEYS[0], full_message=price_typed_data(DOMAIN, REPORT))
    ours = sign_report(KEYS[0], DOMAIN, REPORT)
    assert ours.signature == bytes(theirs.signature)
    assert recover(price_digest(DOMAIN, REPORT), ours.signature) == ours.signer == address_of(KEYS[0])
    assert LocalWallet(KEYS[0]).sign_price(DOMAIN, REPORT) == ours


@pytest.mark.parametrize("price", [0, -1, MAX_PRICE + 1])
def test_a_price_that_the_oracle_refuses_is_not_signed(price: int) -> None:
    with pytest.raises(Problem, match="PRICE_INVALID"):
        sign_report(KEYS[0], DOMAIN, PriceReport(2, price, 0))


def test_the_reports_are_in_the_order_of_their_signers() -> None:
    signed = [sign_report(key, DOMAIN, PriceReport(2, 100 + n, 50 + n)) for n, key in enumerate(KEYS)]
    told = submitted(signed)
    assert told == submitted(reversed(signed))
    by_signer = sorted(signed, key=lambda one: one.signer)
    assert [(price, time) for price, time, _, _ in told] == [(s.report.price, s.report.publish_time) for s in by_signer]
    assert signed_reports(DOMAIN, ["0x" + key.hex() for key in KEYS], REPORT) == submitted(
        sign_report(key, DOMAIN, REPORT) for key in KEYS
    )


def test_reports_that_cannot_go_together_are_refused() -> None:
    one, other_asset = sign_report(KEYS[0], DOMAIN, REPORT), sign_report(KEYS[1], DOMAIN, PriceReport(3, 1, 0))
    for pair in ([one, one], [one, other_asset]):
        with pytest.raises(Problem, match="REPORTS_INVALID"):
            submitted(pair)


def test_the_calldata_is_that_of_the_oracles_function() -> None:
    told = signed_reports(DOMAIN, [key.hex() for key in KEYS], REPORT)
    data = encode_submit(REPORT.asset, told)
    assert decode(SUBMIT_TYPES, data[4:]) == (REPORT.asset, tuple(told))
    entry = next(one for one in load_abi("Oracle") if one.get("name") == "submit")
    words = [item["type"] for item in entry["inputs"][1]["components"]]
    assert [item["type"] for item in entry["inputs"]] == ["uint256", "tuple[]"]
    assert ("uint256", f"({','.join(words)})[]") == SUBMIT_TYPES
    assert data[:4] == SUBMIT_SELECTOR
