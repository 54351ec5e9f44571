"""The exchange's contracts on a chain: created, connected, with two synths and their markets open.

Contracts name one another in their constructors and cannot be changed afterwards. So their addresses are computed
from the deployer's next nonces first, and each is compared with where the contract really landed. Those of PROXIED are
implementations behind a Proxy that the Timelock owns, and everybody is given the address of the Proxy.

Promises: a deployment file exists only for a complete, checked exchange; where one exists and its contracts have
          code, nothing is done.
Never:    deploys the mock USDC outside development chains.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxdex.deployment import CONTRACTS, Deployment, load_deployment
from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak
from cxdex.problem import Problem
from scripts.artifacts import PARTS, Artifact, load_artifacts
from scripts.chain import Chain, Contract, address_of, constructor_arguments, create_address
from scripts.demo_funds import fund, give_ether
from scripts.keys import DEPLOY_ROLES, REPORTERS
from scripts.markets import Listing, activate_market, create_synth, list_market, open_asset
from scripts.price_reporter import submit_prices
from scripts.self_check import BLUEPRINT_PREAMBLE, Subject, self_check
from scripts.wiring import PROXIED, Settings, open_contracts

DEVELOPMENT_CHAINS = (31337, 1337)
LEAST_PUBLIC_DELAY = 600  # seconds; cancels on chain wait 300 for the same reason
DAY = 24 * 3600  # seconds
WHOLE = 10**18  # units of a synth

Progress = Callable[[str], object]


@dataclass(frozen=True)
class Synth:
    """A synth, its market, the first price (1e-6 USDC per whole synth), and the most that may be minted (1e-18)."""

    name: str
    symbol: str
    listing: Listing
    price: int
    cap: int


SYNTHS = (
    Synth("Synthetic Bitcoin", "sBTC", Listing("sBTC-USDC", 14, 10), 60_000_000_000, 1_000 * WHOLE),
    Synth("Synthetic Ether", "sETH", Listing("sETH-USDC", 15, 10), 3_000_000_000, 20_000 * WHOLE),
)


@dataclass(frozen=True)
class Options:
    """What a deployment can choose. Seconds; `usdc` None deploys the mock."""

    withdrawal_delay: int = 3600
    upgrade_delay: int = DAY
    oracle_quorum: int = 2
    oracle_staleness: int = 300
    usdc: bytes | None = None
    demo: bool = False  # ether, USDC and synths for the demo accounts
    synths: tuple[Synth, ...] = field(default=SYNTHS)

    @property
    def settings(self) -> Settings:
        return Settings(
            self.upgrade_delay,
            self.withdrawal_delay,
            self.oracle_quorum,
            self.oracle_staleness,
            {synth.symbol: synth.cap for synth in self.synths},
        )


def deploy(
    rpc_url: str,
    keys: Mapping[str, str],
    out_path: Path,
    options: Options = Options(),
    progress: Progress = lambda _line: None,
) -> Deployment:
    """Deploys unless it is done. `keys`: name to private key, at least those of `scripts.keys.DEPLOY_ROLES`.

    Raises Problem: bad wiring, a refused transaction, a node that is away.
    """
    chain = Chain(rpc_url)
    found = existing(chain, out_path)
    if found is not None:
        progress(f"contracts are there already: {out_path}")
        return found
    if chain.chain_id not in DEVELOPMENT_CHAINS:
        require_public(chain.chain_id, options)

    roles = role_addresses(keys)
    first_block = chain.block_number() + 1
    created = create_contracts(chain, keys["deployer"], roles, options, progress)
    deployment = Deployment(chain.chain_id, first_block, {name: created[name] for name in CONTRACTS})
    contracts = open_contracts(chain, deployment)
    if options.demo:
        give_ether(chain, keys)
    contracts["Settlement"].send(keys["core"], "beat")  # until the first one nobody else may ever settle
    prices = open_markets(contracts, keys, options, progress)
    if options.demo:
        progress("money for the demo accounts")
        fund(contracts, keys, prices)

    implementations = implementations_of(created)
    deployer = address_of(keys["deployer"])
    for line in self_check(Subject(contracts, roles, deployer, options.settings, implementations)):
        progress(line)
    write(out_path, deployment, roles)
    return deployment


def existing(chain: Chain, path: Path) -> Deployment | None:
    """The deployment in the file, if the node has it."""
    if not path.exists():
        return None
    deployment = load_deployment(path)
    if deployment.chain_id != chain.chain_id:
        raise Problem("DEPLOYMENT_INVALID", f"{path} is for chain {deployment.chain_id}, not {chain.chain_id}")
    return deployment if all(chain.code(address) for address in deployment.contracts.values()) else None


def require_public(chain_id: int, options: Options) -> None:
    """What only a development chain may do without. Raises Problem."""
    if options.usdc is None:
        raise Problem("USDC_MISSING", f"chain {chain_id} needs the address of its USDC", allowed="pass --usdc")
    if options.withdrawal_delay < LEAST_PUBLIC_DELAY:
        raise Problem(
            "DELAY_TOO_SHORT",
            f"a withdrawal that waits {options.withdrawal_delay} seconds could leave before a matched fill is settled",
            allowed=f"at least {LEAST_PUBLIC_DELAY} seconds on chain {chain_id}",
        )


def role_addresses(keys: Mapping[str, str]) -> dict[str, bytes]:
    """Who holds what."""
    return {name: address_of(keys[name]) for name in DEPLOY_ROLES if name != "deployer"}


def create_contracts(
    chain: Chain, deployer_key: str, roles: Mapping[str, bytes], options: Options, progress: Progress
) -> dict[str, bytes]:
    """Name to address, implementations too. Raises Problem ADDRESS_WRONG when one landed elsewhere (the deployer key
    was used meanwhile).
    """
    deployer = address_of(deployer_key)
    plan = creations(load_artifacts(), deployer, chain.nonce(deployer), roles, options)
    for creation in plan:
        progress(f"contract {creation.name}")
        receipt = chain.send(deployer_key, None, creation.code)
        landed = bytes.fromhex(receipt["contractAddress"][2:])
        if landed != creation.address:
            wanted = to_checksum(creation.address)
            raise Problem("ADDRESS_WRONG", f"{creation.name} is at {to_checksum(landed)}", allowed=wanted)
    at = {creation.name: creation.address for creation in plan}
    if options.usdc is not None:
        at["USDC"] = options.usdc
    return at


@dataclass(frozen=True)
class Creation:
    """One transaction of the deployer. `code` with the constructor's arguments."""

    name: str
    address: bytes
    code: bytes


def creations(
    artifacts: Mapping[str, Artifact],
    deployer: bytes,
    nonce: int,
    roles: Mapping[str, bytes],
    options: Options,
    usdc_artifact: str = "MockUSDC",
) -> list[Creation]:
    """What the deployer creates, in order, from its next nonce on. `usdc_artifact` plays USDC."""
    names = [name for name in (*CONTRACTS, "Blueprint") if name != "USDC" or options.usdc is None]
    order = [one for name in names for one in created_for(name)]
    at = {name: create_address(deployer, nonce + index) for index, name in enumerate(order)}
    if options.usdc is not None:
        at["USDC"] = options.usdc

    synth = artifacts["Synth"].init_code
    arguments = constructors(at, roles, options, keccak(synth))
    codes = {name: creation_code(artifacts[name], given) for name, given in arguments.items()}
    for name in PROXIED:
        codes[implementation_of(name)] = codes[name]
        given = (at[implementation_of(name)], at["Timelock"], b"")
        codes[name] = creation_code(artifacts["Proxy"], given)
    codes |= {"USDC": artifacts[usdc_artifact].init_code, "Blueprint": blueprint_code(synth)}
    return [Creation(name, at[name], codes[name]) for name in order]


def created_for(name: str) -> tuple[str, ...]:
    """In the order of their transactions: who hands calls on looks for code there first."""
    if name not in PROXIED:
        return (name,)
    part = (PARTS[name],) if name in PARTS else ()
    return (*part, implementation_of(name), name)


def implementation_of(name: str) -> str:
    return f"{name} implementation"


def implementations_of(created: Mapping[str, bytes]) -> dict[str, bytes]:
    """By contract, of everything that users do not call at its own address."""
    return {name: created[implementation_of(name)] for name in PROXIED} | {
        part: created[part] for part in PARTS.values()
    }


def constructors(
    at: Mapping[str, bytes], roles: Mapping[str, bytes], options: Options, synth_hash: bytes
) -> dict[str, tuple[Any, ...]]:
    """Constructor arguments by contract."""
    four = (roles["admin"], roles["guardian"], roles["core"], roles["gateway"])
    return {
        "Vault": (
            at["USDC"],
            at["CXPT"],
            at["Settlement"],
            at["SynthFactory"],
            at["SynthEngine"],
            roles["admin"],
            roles["guardian"],
            roles["cosigner"],
            options.withdrawal_delay,
        ),
        "Timelock": (roles["admin"], roles["guardian"], options.upgrade_delay),
        "Settlement": (
            roles["core"],
            at["Vault"],
            at["MarketRegistry"],
            at["SynthEngine"],
            at["TraderControls"],
            at["Triggers"],
        ),
        "TraderControls": (),
        "MarketRegistry": (at["Settlement"], at["Vault"], at["Timelock"], *four),
        "SynthFactory": (at["Vault"], at["Blueprint"], synth_hash, *four),
        "SynthEngine": (
            at["Vault"],
            at["Oracle"],
            at["Settlement"],
            roles["gateway"],
            roles["guardian"],
            at["Timelock"],
        ),
        "Oracle": (
            options.oracle_quorum,
            options.oracle_staleness,
            [roles[name] for name in REPORTERS],
            at["Timelock"],
            roles["guardian"],
        ),
        "CXPT": (at["Vault"],),
        "Triggers": (at["Oracle"],),
    }


def creation_code(artifact: Artifact, arguments: tuple[Any, ...]) -> bytes:
    return artifact.init_code + constructor_arguments(artifact.abi, arguments)


def blueprint_code(init_code: bytes) -> bytes:
    """Init code that leaves an ERC-5202 blueprint: PUSH2 length, RETURNDATASIZE, DUP2, PUSH1 10, ..., RETURN."""
    body = BLUEPRINT_PREAMBLE + init_code
    return b"\x61" + len(body).to_bytes(2, "big") + bytes.fromhex("3d81600a3d39f3") + body


def open_markets(
    contracts: Mapping[str, Contract], keys: Mapping[str, str], options: Options, progress: Progress
) -> dict[int, int]:
    """Creates synths, lists and opens their markets, reports first prices. Returns price by asset number."""
    prices = {}
    chain = contracts["Oracle"].chain
    for synth in options.synths:
        progress(f"market {synth.listing.symbol}")
        _, asset = create_synth(contracts, keys["gateway"], synth.name, synth.symbol)
        open_asset(contracts, keys["gateway"], asset, synth.cap)
        market = list_market(contracts, keys["gateway"], asset, synth.listing)
        activate_market(contracts, keys["admin"], market)
        submit_prices(contracts, [keys[name] for name in REPORTERS], asset, synth.price, chain.timestamp())
        prices[asset] = synth.price
    return prices


def write(path: Path, deployment: Deployment, roles: Mapping[str, bytes]) -> None:
    """Whole or not at all: a reader never sees half a file."""
    content = {
        "chainId": deployment.chain_id,
        "deployedBlock": deployment.deployed_block,
        "contracts": {name: to_checksum(address) for name, address in deployment.contracts.items()},
        "roles": {name: to_checksum(address) for name, address in roles.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
