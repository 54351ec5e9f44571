"""A savings bank behind a Proxy behind a Timelock, on an EVM in process."""

from __future__ import annotations

from typing import Any

from custody_evm import Evm
from custody_world import read_event

from cxdex.keccak import keccak
from scripts.artifacts import load_artifacts
from scripts.chain import Contract, address_of
from scripts.exchange import creation_code

DELAY = 24 * 3600
SALT = bytes(31) + b"\x01"
MOTTO = b"thrift".ljust(32, b"\0")
CREATOR, ADMIN, GUARDIAN, STRANGER, OTHER = (
    address_of("0x" + keccak(name).hex()) for name in (b"creator", b"admin", b"guardian", b"stranger", b"other")
)

Call = tuple[str, int, bytes]  # target, wei, calldata
Event = tuple[str, dict[str, Any]]


class BankWorld:
    """`bank` and `upgraded` are the Proxy as its users see it, before and after the upgrade to `second`."""

    def __init__(self) -> None:
        self.evm = Evm()
        self.artifacts = load_artifacts()
        self.timelock = self.create("Timelock", ADMIN, GUARDIAN, DELAY)
        self.first = self.create("SavingsOne")
        self.second = self.create("SavingsTwo")
        data = self.first.encode("initialize", ADMIN)
        self.proxy = self.create("Proxy", self.first.address, self.timelock.address, data)
        self.created_with = [read_event(log) for log in self.evm.last_logs()]
        self.bank = self.at("SavingsOne", self.proxy.address)
        self.upgraded = self.at("SavingsTwo", self.proxy.address)
        for account in (ADMIN, STRANGER, OTHER):
            self.evm.give_ether(account, 10**18)

    def create(self, name: str, *arguments: Any) -> Contract:
        return self.at(name, self.evm.create(CREATOR, creation_code(self.artifacts[name], arguments)))

    def at(self, name: str, address: bytes) -> Contract:
        return Contract(self.evm, name, address, self.artifacts[name].abi)  # type: ignore[arg-type]

    def send(self, sender: bytes, contract: Contract, function: str, *arguments: Any, value: int = 0) -> list[Event]:
        """The events of a call, with ether."""
        data = contract.encode(function, *arguments)
        return [read_event(log) for log in self.evm.send(sender, contract.address, data, value)]

    def upgrade(self, implementation: Contract, data: bytes = b"") -> list[Call]:
        """The calls of an operation that upgrades the Proxy."""
        return [self.call(self.proxy, "upgradeToAndCall", implementation.address, data)]

    def call(self, target: Contract, function: str, *arguments: Any, value: int = 0) -> Call:
        return text(target.address), value, target.encode(function, *arguments)

    def motto(self, motto: bytes = MOTTO) -> bytes:
        """The initialiser of the second version."""
        return self.second.encode("initializeMotto", motto)

    def schedule(self, calls: list[Call], salt: bytes = SALT, sender: bytes = ADMIN) -> list[Event]:
        return self.send(sender, self.timelock, "schedule", calls, salt)

    def execute(self, calls: list[Call], salt: bytes = SALT, sender: bytes = STRANGER, value: int = 0) -> list[Event]:
        return self.send(sender, self.timelock, "execute", calls, salt, value=value)


def text(address: bytes) -> str:
    return "0x" + address.hex()


def named(events: list[Event], name: str) -> list[dict[str, Any]]:
    """The fields of each event of a name."""
    return [fields for found, fields in events if found == name]
