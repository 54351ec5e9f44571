"""Who holds what on a fresh exchange, read back from the chain, and whether anybody holds more than they should.

Promises: every address that a contract names, both slots of each Proxy, the Timelock's delay, the reporters and their
          quorum, the caps, and what the deployer keeps are compared with what was wanted. All that differs is named
          together, and what is nowhere in the table of `scripts.wiring` counts as wrong.
Never:    sends a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cxdex.eip712 import to_checksum
from cxdex.problem import Problem
from scripts.artifacts import load_artifacts
from scripts.chain import Contract
from scripts.keys import REPORTERS
from scripts.wiring import ADMIN_SLOT, IMPLEMENTATION_SLOT, PROXIED, Settings, expected

MIN_UPGRADE_DELAY = 24 * 3600  # seconds; users need up to 20 hours to leave, see docs/security.md
LOCKED = 2**256 - 1  # version that a bare implementation counts as initialised with
BLUEPRINT_PREAMBLE = bytes.fromhex("fe7100")  # ERC-5202
FIRST_SYNTH = 2
NOBODY = bytes(20)
HOUR = 3600


@dataclass(frozen=True)
class Subject:
    """What is looked at, and what it should be.

    `roles` and `implementations` are addresses by name; without implementations any that is locked will do.
    """

    contracts: Mapping[str, Contract]
    roles: Mapping[str, bytes]
    deployer: bytes
    settings: Settings
    implementations: Mapping[str, bytes]

    @property
    def at(self) -> dict[str, bytes]:
        return {name: contract.address for name, contract in self.contracts.items()}


@dataclass(frozen=True)
class Fact:
    """One answer of the chain. `found` and `wanted` are addresses, numbers or words."""

    subject: str
    found: object
    wanted: object

    @property
    def fault(self) -> str | None:
        if self.found == self.wanted:
            return None
        return f"{self.subject} is {_show(self.found)} and should be {_show(self.wanted)}"


def self_check(subject: Subject) -> list[str]:
    """Lines that say who holds what. Raises Problem WIRING_WRONG naming everything that is not as wanted."""
    for name, contract in subject.contracts.items():
        if not contract.chain.code(contract.address):
            raise Problem("WIRING_WRONG", f"there is no {name} at {to_checksum(contract.address)}")
    facts = list(read_facts(subject))
    faults = [fact.fault for fact in facts if fact.fault] + list(excesses(subject))
    if faults:
        raise Problem("WIRING_WRONG", "; ".join(faults))
    return [*holders(subject, facts), *_settings_lines(subject, len(facts))]


def read_facts(subject: Subject) -> Iterator[Fact]:
    contracts, settings = subject.contracts, subject.settings
    for name, getter, wanted in expected(subject.at, subject.roles, settings):
        yield Fact(f"{name}.{getter}", contracts[name].call(getter), wanted)
    for name in PROXIED:
        yield from _proxy_facts(subject, name)
    yield from _part_facts(subject)
    yield Fact("code at SynthFactory.BLUEPRINT", _blueprint(contracts["SynthFactory"]), "the Synth's")
    yield from _oracle_facts(subject)
    yield from _cap_facts(contracts, settings.caps)
    yield Fact("CORE's first beat", "sent" if contracts["Settlement"].call("lastBeat") else "not sent", "sent")


def excesses(subject: Subject) -> Iterator[str]:
    """Sentences about keys and contracts that have too much."""
    if subject.settings.upgrade_delay < MIN_UPGRADE_DELAY:
        yield f"the upgrade delay of {subject.settings.upgrade_delay} seconds is less than {MIN_UPGRADE_DELAY}"
    people = [*subject.roles.items(), ("deployer", subject.deployer)]
    for index, (role, key) in enumerate(people):
        if key == NOBODY:
            yield f"{role} has no key"
        for other, same in people[:index]:
            if key == same:
                yield f"{role} and {other} have the same key, {to_checksum(key)}"
    yield from _unaccounted(subject)
    yield from _kept_by(subject, "deployer", subject.deployer)


def holders(subject: Subject, facts: Sequence[Fact]) -> list[str]:
    """A line for each role and for the Timelock: its address and everywhere that it is named."""
    people = {**subject.roles, "Timelock": subject.at["Timelock"]}
    return [
        f"{name:10} {to_checksum(address)}  {', '.join(fact.subject for fact in facts if fact.found == address)}"
        for name, address in people.items()
    ]


def _settings_lines(subject: Subject, count: int) -> Iterator[str]:
    settings = subject.settings
    caps = ", ".join(f"{symbol} {cap // 10**18:,}" for symbol, cap in settings.caps.items())
    yield f"{'deployer':10} {to_checksum(subject.deployer)}  nothing"
    yield f"an upgrade waits {settings.upgrade_delay / HOUR:g} hours, a withdrawal {settings.withdrawal_delay} seconds"
    yield f"{settings.oracle_quorum} of {len(REPORTERS)} reporters make a price; most that may be minted: {caps}"
    yield f"{count} addresses, roles and settings read back from the chain"


def _proxy_facts(subject: Subject, name: str) -> Iterator[Fact]:
    contract = subject.contracts[name]
    chain = contract.chain
    implementation = chain.storage(contract.address, IMPLEMENTATION_SLOT)[12:]
    admin = chain.storage(contract.address, ADMIN_SLOT)[12:]
    yield Fact(f"admin slot of {name}", admin, subject.at["Timelock"])
    wanted = subject.implementations.get(name, implementation)
    yield Fact(f"implementation slot of {name}", implementation, wanted)
    bare = Contract(chain, name, implementation, contract.abi)
    yield Fact(f"initialised version of {name}", contract.call("initializedVersion"), 0)
    if implementation == wanted:
        yield Fact(f"initialised version of {name}'s implementation", bare.call("initializedVersion"), LOCKED)


def _part_facts(subject: Subject) -> Iterator[Fact]:
    """Where Settlement hands the calls of traders."""
    found = subject.contracts["Settlement"].call("CONTROLS")
    yield Fact("Settlement.CONTROLS", found, subject.implementations.get("TraderControls", found))


def _blueprint(factory: Contract) -> str:
    code = factory.chain.code(factory.call("BLUEPRINT"))
    return "the Synth's" if code == BLUEPRINT_PREAMBLE + load_artifacts()["Synth"].init_code else "another"


def _oracle_facts(subject: Subject) -> Iterator[Fact]:
    """Exactly our reporters: each of them, and as many."""
    oracle = subject.contracts["Oracle"]
    for name in REPORTERS:
        key = subject.roles[name]
        yield Fact(f"{name} in Oracle.reporters", key if oracle.call("isReporter", key) else NOBODY, key)
    yield Fact("number of reporters", oracle.call("reporterCount"), len(REPORTERS))


def _cap_facts(contracts: Mapping[str, Contract], caps: Mapping[str, int]) -> Iterator[Fact]:
    """The caps that were asked for, and none for any other synth."""
    for symbol, cap in caps.items():
        asset = contracts["Vault"].call("assetOf", contracts["SynthFactory"].call("synthOf", symbol))
        yield Fact(f"cap of {symbol}", contracts["SynthEngine"].call("assets", asset)[1], cap)
    yield Fact("number of synths", contracts["Vault"].call("synthCount"), len(caps))


def _unaccounted(subject: Subject) -> Iterator[str]:
    """Addresses that a contract of ours names and that the table does not know."""
    known = {(name, getter) for name, getter, _ in expected(subject.at, subject.roles, subject.settings)}
    known |= {("SynthFactory", "BLUEPRINT"), ("Settlement", "CONTROLS")}
    for name, contract in subject.contracts.items():
        for getter in _address_getters(contract) if name != "USDC" else ():
            if (name, getter) not in known:
                yield f"nobody knows who should be {name}.{getter}"


def _address_getters(contract: Contract) -> Iterator[str]:
    for entry in contract.abi:
        if entry["type"] != "function" or entry["inputs"]:
            continue
        if [output["type"] for output in entry["outputs"]] == ["address"]:
            yield entry["name"]


def _kept_by(subject: Subject, name: str, account: bytes) -> Iterator[str]:
    """What somebody who should hold nothing holds: a role in a list, or a balance inside."""
    contracts = subject.contracts
    if contracts["Oracle"].call("isReporter", account):
        yield f"{name} is a reporter"
    if contracts["CXPT"].call("balanceOf", account):
        yield f"{name} has CXPT in its wallet"
    for asset in range(FIRST_SYNTH + contracts["Vault"].call("synthCount")):
        if contracts["Vault"].call("balanceOf", account, asset):
            yield f"{name} has a trading balance in asset {asset}"


def _show(value: object) -> str:
    return to_checksum(value) if isinstance(value, bytes) and len(value) == 20 else str(value)
