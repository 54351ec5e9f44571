"""The oracle that a desk's conditional orders are judged by: the real one, with reporters who sign what a test says.

Promises: Oracle and Triggers are the compiled contracts; prices come in as signed reports, like anybody's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from eth_abi import encode

from cxdex.eip712 import Domain
from cxdex.keccak import keccak
from cxdex.price_report import PriceReport, encode_submit, sign_report, submitted
from cxdex.signature import address_of
from scripts.artifacts import load_artifacts

REPORTERS = [keccak(f"index reporter {number}".encode()) for number in range(3)]
QUORUM = 2
STALENESS = 25 * 3600  # the longest that there is: a test may report late
TIMELOCK, GUARDIAN, CREATOR = ("0x" + keccak(name)[12:].hex() for name in (b"timelock", b"guardian", b"index creator"))


class IndexPrices:
    """`triggers`: the address for Settlement. Works on whatever EVM has `deploy` and `message_call`."""

    def __init__(self, evm: Any, chain_id: int) -> None:
        self._evm = evm
        reporters = ["0x" + address_of(key).hex() for key in REPORTERS]
        kinds = ["uint256", "uint256", "address[]", "address", "address"]
        arguments = encode(kinds, [QUORUM, STALENESS, reporters, TIMELOCK, GUARDIAN])
        self.oracle: str = evm.deploy(CREATOR, creation_code("Oracle") + arguments)
        self.triggers: str = evm.deploy(CREATOR, creation_code("Triggers") + encode(["address"], [self.oracle]))
        self._domain = Domain(chain_id, bytes.fromhex(self.oracle[2:]))

    def publication(self, asset: int, price: int, time: int) -> bytes:
        """Calldata for the oracle, by anyone. A good price is at most 20 % from the one before, and 25 hours old."""
        report = PriceReport(asset, price, time)
        reports = submitted(sign_report(key, self._domain, report) for key in REPORTERS[:QUORUM])
        return encode_submit(asset, reports)

    def publish(self, asset: int, price: int, time: int) -> None:
        """`price`: 1e-6 USDC a whole synth."""
        self._evm.message_call(CREATOR, self.oracle, calldata=self.publication(asset, price, time))


@cache
def creation_code(name: str) -> bytes:
    return load_artifacts()[name].init_code
