"""The whole exchange on an EVM in process, wired exactly as the deploy script wires it, and its people."""

from __future__ import annotations

from typing import Any

from custody_evm import Evm
from eth_abi.abi import decode
from eth_account import Account

from cxdex.abi import load_abi
from cxdex.deployment import CONTRACTS
from cxdex.keccak import keccak
from scripts.artifacts import Artifact, load_artifacts
from scripts.chain import Contract, address_of, create_address
from scripts.exchange import SYNTHS, Options, blueprint_code, constructors, creation_code, role_addresses
from scripts.markets import activate_market, create_synth, list_market

USDC, CXPT, SBTC, SETH = 0, 1, 2, 3
ONE_USDC = 10**6
ONE_SYNTH = 10**18
DELAY = 3600
STALENESS = 300
PRICES = {SBTC: 60_000 * ONE_USDC, SETH: 3_000 * ONE_USDC}

KEYS = {
    name: "0x" + keccak(name.encode()).hex()
    for name in (
        "deployer",
        "admin",
        "guardian",
        "core",
        "gateway",
        "reporter",
        "alice",
        "bob",
        "carol",
        "stranger",
    )
}
ADDRESSES = {name: address_of(key) for name, key in KEYS.items()}
ADMIN, GUARDIAN, CORE, GATEWAY, REPORTER, ALICE, BOB, CAROL, STRANGER = (
    ADDRESSES[name]
    for name in ("admin", "guardian", "core", "gateway", "reporter", "alice", "bob", "carol", "stranger")
)


class World:
    """`world.vault.send(ALICE, "deposit", 5)`; each contract is an attribute."""

    def __init__(self, token: str = "MockUSDC", **options: Any) -> None:
        self.evm = Evm()
        self.artifacts = load_artifacts()
        self.options = Options(
            **{"withdrawal_delay": DELAY, "oracle_quorum": 1, "oracle_staleness": STALENESS, **options}
        )
        self.addresses = self._create(token)
        self.contracts = {
            name: self.contract(token if name == "USDC" else name, address) for name, address in self.addresses.items()
        }
        self.usdc, self.vault, self.settlement = self._of("USDC"), self._of("Vault"), self._of("Settlement")
        self.registry, self.factory = self._of("MarketRegistry"), self._of("SynthFactory")
        self.engine, self.oracle, self.cxpt = self._of("SynthEngine"), self._of("Oracle"), self._of("CXPT")
        self.synths: dict[int, Contract] = {}

    def open_markets(self) -> World:
        """Both synths, both markets, first prices."""
        for synth in SYNTHS:
            address, asset = create_synth(self.contracts, GATEWAY, synth.name, synth.symbol)  # type: ignore[arg-type]
            market = list_market(self.contracts, GATEWAY, asset, synth.listing)  # type: ignore[arg-type]
            activate_market(self.contracts, ADMIN, market)  # type: ignore[arg-type]
            self.synths[asset] = self.contract("Synth", address)
            self.report(asset, PRICES[asset])
        return self

    def report(self, asset: int, price: int, reporter: bytes = REPORTER) -> None:
        self.oracle.send(reporter, "report", asset, price, self.evm.now)

    def deposit(self, account: bytes, amount: int) -> None:
        """Fresh USDC into the wallet and from there into the Vault."""
        self.usdc.send(account, "mint", account, amount)
        self.usdc.send(account, "approve", self.vault.address, amount)
        self.vault.send(account, "deposit", amount)

    def cash(self, account: bytes) -> int:
        return self.vault.call("balanceOf", account, USDC)

    def contract(self, name: str, address: bytes) -> Contract:
        abi = self.artifacts[name].abi if name in self.artifacts else load_abi(name)
        return Contract(self.evm, name, address, abi)  # type: ignore[arg-type]

    def create(self, name: str, *arguments: Any) -> Contract:
        """One more contract, by a stranger."""
        code = creation_code(self.artifacts, name, arguments)
        return self.contract(name, self.evm.create(STRANGER, code))

    def events(self, logs: list[Any]) -> list[tuple[str, dict[str, Any]]]:
        """The logs of the exchange's own contracts as (event name, fields)."""
        return [read_event(self.artifacts, log) for log in logs]

    def _of(self, name: str) -> Contract:
        return self.contracts[name]

    def _create(self, token: str) -> dict[str, bytes]:
        deployer = ADDRESSES["deployer"]
        order = (*CONTRACTS, "Blueprint")
        first = self.evm.nonce(deployer)
        at = {name: create_address(deployer, first + index) for index, name in enumerate(order)}
        synth = self.artifacts["Synth"].init_code
        arguments = constructors(at, role_addresses(KEYS), self.options, keccak(synth))
        for name in order:
            if name == "Blueprint":
                code = blueprint_code(synth)
            elif name == "USDC":
                code = self.artifacts[token].init_code
            else:
                code = creation_code(self.artifacts, name, arguments[name])
            assert self.evm.create(deployer, code) == at[name]
        return {name: at[name] for name in CONTRACTS}


def read_event(artifacts: dict[str, Artifact], log: Any) -> tuple[str, dict[str, Any]]:
    topics, data = log.data
    entry = next(
        entry
        for artifact in artifacts.values()
        for entry in artifact.abi
        if entry["type"] == "event"
        and keccak(f"{entry['name']}({','.join(i['type'] for i in entry['inputs'])})".encode()) == topics[0]
    )
    indexed = [item for item in entry["inputs"] if item["indexed"]]
    plain = [item for item in entry["inputs"] if not item["indexed"]]
    values = [decode([item["type"]], topic)[0] for item, topic in zip(indexed, topics[1:], strict=True)]
    fields = dict(zip((item["name"] for item in indexed), values, strict=True))
    rest = decode([item["type"] for item in plain], data)
    return entry["name"], {**fields, **dict(zip((item["name"] for item in plain), rest, strict=True))}


def sign_permit(key: str, token: Contract, spender: bytes, amount: int, deadline: int) -> tuple[int, bytes, bytes]:
    """(v, r, s) of an EIP-2612 permit, hashed by an implementation that is not ours."""
    owner = Account.from_key(key).address
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {
            "name": token.call("name"),
            "version": token.call("version"),
            "chainId": token.chain.chain_id,
            "verifyingContract": "0x" + token.address.hex(),
        },
        "message": {
            "owner": owner,
            "spender": "0x" + spender.hex(),
            "value": amount,
            "nonce": token.call("nonces", bytes.fromhex(owner[2:])),
            "deadline": deadline,
        },
    }
    signed = Account.sign_typed_data(key, full_message=typed)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
