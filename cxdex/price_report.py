"""What a reporter of prices signs, and the transaction that brings several signed reports to the Oracle.

Owns:     the type `Price`, its digest, the calldata of `Oracle.submit`.
Promises: the digest is the one that the Oracle computes; a test holds it to eth-account. The calldata has the reports
          in the order that the Oracle wants, whoever signed first.
Never:    keeps a key or talks to a network. Where the price comes from is for the reporter to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode

from cxdex.eip712 import Domain, typed_data
from cxdex.keccak import keccak
from cxdex.problem import Problem
from cxdex.signature import address_of, sign_digest, to_compact

PRICE_TYPE = "Price(uint256 asset,uint256 price,uint256 publishTime)"
PRICE_TYPEHASH = keccak(PRICE_TYPE.encode())
MAX_PRICE = 2**80 - 1
MAX_REPORTERS = 9
SUBMIT_TYPES = ("uint256", "(uint256,uint256,uint256,uint256)[]")
SUBMIT_SELECTOR = keccak(f"submit({','.join(SUBMIT_TYPES)})".encode())[:4]

# price, publishTime, r, vs
SubmittedReport = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class PriceReport:
    """`price` in 1e-6 USDC per whole synth; `publish_time` in unix seconds."""

    asset: int
    price: int
    publish_time: int


@dataclass(frozen=True, slots=True)
class SignedReport:
    """`signature` is r, s, v; `signer` the address that it recovers to."""

    report: PriceReport
    signer: bytes
    signature: bytes


def price_digest(domain: Domain, report: PriceReport) -> bytes:
    """The 32 bytes that are signed. The domain's contract is the Oracle. Raises Problem PRICE_INVALID."""
    if not 0 < report.price <= MAX_PRICE:
        raise Problem(
            "PRICE_INVALID", "the price does not fit the oracle", given=str(report.price), allowed="1..2^80-1"
        )
    words = (report.asset, report.price, report.publish_time)
    return domain.digest(keccak(PRICE_TYPEHASH + b"".join(word.to_bytes(32, "big") for word in words)))


def sign_report(private_key: bytes, domain: Domain, report: PriceReport) -> SignedReport:
    return SignedReport(report, address_of(private_key), sign_digest(private_key, price_digest(domain, report)))


def signed_reports(domain: Domain, private_keys: Iterable[str], report: PriceReport) -> list[SubmittedReport]:
    """One report, signed with each of the keys (0x hex), as the second argument of `Oracle.submit`."""
    return submitted(sign_report(bytes.fromhex(key.removeprefix("0x")), domain, report) for key in private_keys)


def submitted(signed: Iterable[SignedReport]) -> list[SubmittedReport]:
    """The second argument of `Oracle.submit`. Raises Problem REPORTS_INVALID for reports that cannot go together."""
    ordered = sorted(signed, key=lambda one: one.signer)
    if len({one.signer for one in ordered}) != len(ordered) or len({one.report.asset for one in ordered}) > 1:
        raise Problem("REPORTS_INVALID", "the reports of one submission are of one asset and of different reporters")
    return [(one.report.price, one.report.publish_time, *to_compact(one.signature)) for one in ordered]


def encode_submit(asset: int, reports: list[SubmittedReport]) -> bytes:
    """Calldata of `Oracle.submit`."""
    return SUBMIT_SELECTOR + encode(SUBMIT_TYPES, (asset, reports))


def price_typed_data(domain: Domain, report: PriceReport) -> dict[str, Any]:
    """The report as a wallet that is not ours signs it (`eth_signTypedData_v4`)."""
    message = {"asset": str(report.asset), "price": str(report.price), "publishTime": str(report.publish_time)}
    return typed_data(domain, PRICE_TYPE, message)
