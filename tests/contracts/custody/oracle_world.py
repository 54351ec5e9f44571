"""An Oracle and nothing else, on an EVM in process: reporters who sign, second sources that do as they are told."""

from __future__ import annotations

from typing import Any

from custody_evm import CHAIN_ID, Evm, Refused, _reason
from eth_abi.abi import encode

from cxdex.eip712 import Domain
from cxdex.keccak import keccak
from cxdex.price_report import PriceReport, SignedReport, SubmittedReport, sign_report, submitted
from cxdex.signature import address_of
from scripts.artifacts import load_artifacts
from scripts.chain import Contract, constructor_arguments

ASSET, OTHER_ASSET = 2, 3
STALENESS = 300
HEARTBEAT = 3600
DAY = 86_400
MAX_AGE = 25 * 3600
PRICE = 60_000 * 10**6

# By address, so that the n-th reporter's signature is the n-th of a submission.
REPORTERS = sorted((keccak(f"reporter {number}".encode()) for number in range(9)), key=address_of)
STRANGERS_KEY = keccak(b"stranger")
TIMELOCK, GUARDIAN, STRANGER = (address_of(keccak(name)) for name in (b"timelock", b"guardian", b"stranger"))
CREATOR = address_of(keccak(b"creator"))

GOOD, REVERTS, BURNS_GAS, SHORT, BOMB, BURNS_GAS_IN_DECIMALS, REVERTS_IN_DECIMALS = range(7)


class OracleWorld:
    """Three reporters of whom two must sign, unless said otherwise."""

    def __init__(self, reporters: int = 3, quorum: int = 2, staleness: int = STALENESS, evm: Evm | None = None) -> None:
        self.evm = evm or Evm()
        self.artifacts = load_artifacts()
        self.oracle = self.create(
            "Oracle",
            quorum,
            staleness,
            [address_of(key) for key in REPORTERS[:reporters]],
            TIMELOCK,
            GUARDIAN,
        )
        self.domain = Domain(CHAIN_ID, self.oracle.address)

    def twin(self) -> OracleWorld:
        """Another Oracle with the same reporters on the same chain."""
        return OracleWorld(evm=self.evm)

    def create(self, name: str, *arguments: Any) -> Contract:
        artifact = self.artifacts[name]
        code = artifact.init_code + constructor_arguments(artifact.abi, arguments)
        return Contract(self.evm, name, self.evm.create(CREATOR, code), artifact.abi)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ reports

    def sign(
        self, reporter: int, price: int, age: int = 0, *, asset: int = ASSET, domain: Domain | None = None
    ) -> SignedReport:
        return sign_report(REPORTERS[reporter], domain or self.domain, PriceReport(asset, price, self.evm.now - age))

    def reports(self, *told: tuple[int, int, int]) -> list[SubmittedReport]:
        """Of (reporter, price, age)."""
        return submitted(self.sign(*one) for one in told)

    def submit(self, reports: list[SubmittedReport], asset: int = ASSET) -> list[Any]:
        """By a stranger: who sends it makes no difference."""
        return self.oracle.send(STRANGER, "submit", asset, reports)  # type: ignore[return-value]

    def report(self, *prices: int, age: int = 0) -> list[Any]:
        """The first reporters, a price each."""
        return self.submit(self.reports(*((n, price, age) for n, price in enumerate(prices))))

    def agree(self, price: int, age: int = 0) -> list[Any]:
        """Two reporters, one price."""
        return self.report(price, price, age=age)

    def price(self, asset: int = ASSET) -> int:
        return self.oracle.call("price", asset)

    def history(self) -> list[tuple[int, int]]:
        """(publishTime, price) of every checkpoint."""
        count = self.oracle.call("checkpointCount", ASSET)
        entries = [self.oracle.call("checkpoint", ASSET, index) for index in range(count)]
        return [(time, price) for price, time, _ in entries]

    # ------------------------------------------------------------------ second source

    def add_source(self, price: int | None = None, decimals: int = 8, heartbeat: int = HEARTBEAT) -> Contract:
        """An aggregator for ASSET that says `price`, 1e-6 USDC, from now on."""
        aggregator = self.create("MockAggregator", decimals)
        self.oracle.send(TIMELOCK, "setSource", ASSET, aggregator.address, heartbeat)
        if price is not None:
            self.answer(aggregator, price * 10**decimals // 10**6)
        return aggregator

    def answer(self, aggregator: Contract, answer: int, age: int = 0) -> None:
        aggregator.send(STRANGER, "set", answer, self.evm.now - age)

    # ------------------------------------------------------------------ little gas

    def ask_with(self, gas: int, function: str, *arguments: Any) -> bytes | str:
        """What a view answers to a caller that gives it `gas`; when it reverts, the error code, "" for out of gas."""
        return self._call_with(gas, function, arguments, is_static=True)

    def send_with(self, gas: int, function: str, *arguments: Any) -> bytes | str:
        """The same of a call that may change something; the answer of submit is empty."""
        return self._call_with(gas, function, arguments, is_static=False)

    def _call_with(self, gas: int, function: str, arguments: tuple[Any, ...], *, is_static: bool) -> bytes | str:
        people = ("0x" + STRANGER.hex(), "0x" + self.oracle.address.hex())
        data = self.oracle.encode(function, *arguments)
        try:
            return bytes(self.evm._evm.message_call(*people, data, gas=gas, is_static=is_static))
        except RuntimeError as error:
            return _reason(str(error))

    def snapshot(self) -> Any:
        return self.evm._evm.snapshot()

    def restore(self, snapshot: Any) -> None:
        self.evm._evm.revert(snapshot)


def code_of(call: Any) -> str:
    """The error code that a call reverts with, or "" when it does not."""
    try:
        call()
    except Refused as refused:
        return refused.code
    return ""


def topic(event: str) -> bytes:
    return keccak(event.encode())


def words(*values: int) -> bytes:
    return encode(["uint256"] * len(values), values)
