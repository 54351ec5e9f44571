"""The whole exchange on an EVM in process, wired exactly as the deploy script wires it, and its people."""

from __future__ import annotations

from functools import cache
from typing import Any

from custody_evm import Evm
from eth_abi.abi import decode
from eth_account import Account

from cxdex.abi import load_abi
from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.deployment import CONTRACTS
from cxdex.eip712 import Domain, market_hash, order_digest
from cxdex.keccak import keccak
from cxdex.nonce import pack_nonce
from cxdex.order import Order, OrderType, Side, SignedOrder, TimeInForce
from cxdex.price_report import PriceReport, signed_reports
from cxdex.signature import sign_digest
from scripts.artifacts import load_artifacts
from scripts.chain import Contract, address_of
from scripts.exchange import SYNTHS, Options, creation_code, creations, implementations_of, role_addresses
from scripts.keys import REPORTERS
from scripts.markets import activate_market, create_synth, list_market, open_asset

USDC, CXPT, SBTC, SETH = 0, 1, 2, 3
ONE_USDC = 10**6
ONE_SYNTH = 10**18
DELAY = 3600
MAX_FEE_BPS = 50  # what every order here signs
FOR_EVER = 2**40 - 1
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
        *REPORTERS,
        "cosigner",
        "alice",
        "bob",
        "carol",
        "stranger",
    )
}
ADDRESSES = {name: address_of(key) for name, key in KEYS.items()}
NAMES = {address: name for name, address in ADDRESSES.items()}
DEPLOYER, ADMIN, GUARDIAN, CORE, GATEWAY, REPORTER, _, _, COSIGNER, ALICE, BOB, CAROL, STRANGER = ADDRESSES.values()


class World:
    """`world.vault.send(ALICE, "deposit", 5)`; each contract is an attribute."""

    def __init__(self, token: str = "MockUSDC", **options: Any) -> None:
        self.evm = Evm()
        self._seen: list[Any] = []
        self.artifacts = load_artifacts()
        self.options = Options(**{"withdrawal_delay": DELAY, "oracle_staleness": STALENESS, **options})
        self.addresses = self._create(token)
        self.evm.watch = self._seen.append
        self.contracts = {
            name: self.contract(token if name == "USDC" else name, address) for name, address in self.addresses.items()
        }
        self.usdc, self.vault, self.settlement = self._of("USDC"), self._of("Vault"), self._of("Settlement")
        self.registry, self.factory = self._of("MarketRegistry"), self._of("SynthFactory")
        self.engine, self.oracle, self.cxpt = self._of("SynthEngine"), self._of("Oracle"), self._of("CXPT")
        self.timelock = self._of("Timelock")
        self.synths: dict[int, Contract] = {}
        self._leaves = 0
        self._orders = 0

    def open_markets(self) -> World:
        """Both synths, both markets, first prices."""
        for synth in SYNTHS:
            address, asset = create_synth(self.contracts, GATEWAY, synth.name, synth.symbol)  # type: ignore[arg-type]
            open_asset(self.contracts, GATEWAY, asset, synth.cap)  # type: ignore[arg-type]
            market = list_market(self.contracts, GATEWAY, asset, synth.listing)  # type: ignore[arg-type]
            activate_market(self.contracts, ADMIN, market)  # type: ignore[arg-type]
            self.synths[asset] = self.contract("Synth", address)
            self.report(asset, PRICES[asset])
        return self

    def report(self, asset: int, price: int, reporters: tuple[str, ...] = REPORTERS) -> None:
        """A price that all reporters sign, or these. A jump is believed when they say it again, a second later."""
        self._submit(asset, price, reporters)
        if self.oracle.call("reported", asset)[2]:
            self.evm.advance(1)
            self._submit(asset, price, reporters)

    def give(self, account: bytes, amount: int) -> None:
        """Fresh USDC into the wallet, with an allowance to the Vault for exactly as much."""
        self.usdc.send(account, "mint", account, amount)
        self.usdc.send(account, "approve", self.vault.address, amount)

    def deposit(self, account: bytes, amount: int) -> None:
        """Fresh USDC into the wallet and from there into the Vault."""
        self.give(account, amount)
        self.vault.send(account, "deposit", amount)

    def borrow(self, account: bytes, asset: int, amount: int, collateral: int) -> None:
        """Synths into the trading balance against fresh USDC of the wallet."""
        self.give(account, collateral)
        self.engine.send(account, "mint", asset, amount, collateral)

    def leave(self, account: bytes, asset: int, amount: int, **changed: Any) -> list[Any]:
        """A withdrawal at once, with COSIGNER's signature. `changed`: as_cxpt, recipient, nonce, deadline, signer."""
        given = {"as_cxpt": False, "recipient": account, "deadline": self.evm.now, "signer": "cosigner", **changed}
        terms = (asset, amount, given["as_cxpt"], given["recipient"], changed.get("nonce", self._nonce()))
        signature = sign_leave(KEYS[given["signer"]], self.vault, account, *terms, given["deadline"])
        return self.vault.send(account, "withdraw", *terms, given["deadline"], *signature)

    def to_wallet(self, account: bytes, asset: int, amount: int) -> None:
        """Takes tokens out at once and lets the Vault take them in again."""
        self.leave(account, asset, amount)
        token = {USDC: self.usdc, CXPT: self.cxpt, **self.synths}[asset]
        token.send(account, "approve", self.vault.address, amount)

    def order(
        self,
        account: bytes,
        symbol: str,
        side: Side,
        lots: int,
        ticks: int,
        *,
        key: str = "",
        nonce: int | None = None,
        max_collateral: int = 0,
    ) -> SignedOrder:
        """An order, in a fresh nonce of one of five lanes unless said otherwise. `key`: another signer's name."""
        if nonce is None:
            self._orders += 1
            nonce = pack_nonce(0, self._orders % 5, self._orders)
        order = Order(
            account,
            symbol,
            side,
            OrderType.LIMIT,
            TimeInForce.GTC,
            lots,
            ticks,
            MAX_FEE_BPS,
            FOR_EVER,
            nonce,
            max_collateral,
        )
        digest = order_digest(Domain(self.evm.chain_id, self.settlement.address), order)
        signer = KEYS[key or NAMES[account]]
        return SignedOrder(order, sign_digest(bytes.fromhex(signer[2:]), digest), digest)

    def settle(
        self, maker: SignedOrder, taker: SignedOrder, lots: int, sender: bytes = CORE, late: int = 0
    ) -> list[Any]:
        """One fill at the market's next sequence number, or `late` numbers after it."""
        symbol = taker.order.market
        sequence = self.settlement.call("sequenceOf", market_hash(symbol)) + late
        batch = encode_settle_batch([MatchedFill(symbol, sequence, maker, taker, lots)])
        return self.evm.send(sender, self.settlement.address, batch)

    def cash(self, account: bytes) -> int:
        return self.vault.call("balanceOf", account, USDC)

    def contract(self, name: str, address: bytes) -> Contract:
        abi = self.artifacts[name].abi if name in self.artifacts else load_abi(name)
        return Contract(self.evm, name, address, abi)  # type: ignore[arg-type]

    def create(self, name: str, *arguments: Any) -> Contract:
        """One more contract, by a stranger."""
        code = creation_code(self.artifacts[name], arguments)
        return self.contract(name, self.evm.create(STRANGER, code))

    def events(self, logs: list[Any]) -> list[tuple[str, dict[str, Any]]]:
        """The logs of the exchange's own contracts as (event name, fields)."""
        return [read_event(log) for log in logs]

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """Events since the last call of this function."""
        logs, self._seen[:] = list(self._seen), []
        return self.events([log for logs_of_call in logs for log in logs_of_call])

    def _nonce(self) -> int:
        """Another one at each call, not in a row."""
        self._leaves += 1
        return self._leaves * 2**128 // 7

    def _submit(self, asset: int, price: int, reporters: tuple[str, ...]) -> None:
        domain = Domain(self.evm.chain_id, self.oracle.address)
        reports = signed_reports(domain, [KEYS[name] for name in reporters], PriceReport(asset, price, self.evm.now))
        self.oracle.send(STRANGER, "submit", asset, reports)

    def _of(self, name: str) -> Contract:
        return self.contracts[name]

    def _create(self, token: str) -> dict[str, bytes]:
        deployer = ADDRESSES["deployer"]
        roles = role_addresses(KEYS)
        at: dict[str, bytes] = {}
        for one in creations(self.artifacts, deployer, self.evm.nonce(deployer), roles, self.options, token):
            at[one.name] = self.evm.create(deployer, one.code)
            assert at[one.name] == one.address
        self.implementations = implementations_of(at)
        return {name: at[name] for name in CONTRACTS}


@cache
def event_entries() -> dict[bytes, dict[str, Any]]:
    """By first topic, every event that a contract of ours can emit."""
    entries = [entry for artifact in load_artifacts().values() for entry in artifact.abi if entry["type"] == "event"]
    return {
        keccak(f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})".encode()): entry
        for entry in entries
    }


def read_event(log: Any) -> tuple[str, dict[str, Any]]:
    topics, data = log.data
    entry = event_entries()[topics[0]]
    indexed = [item for item in entry["inputs"] if item["indexed"]]
    plain = [item for item in entry["inputs"] if not item["indexed"]]
    values = [decode([item["type"]], topic)[0] for item, topic in zip(indexed, topics[1:], strict=True)]
    fields = dict(zip((item["name"] for item in indexed), values, strict=True))
    rest = decode([item["type"] for item in plain], data)
    return entry["name"], {**fields, **dict(zip((item["name"] for item in plain), rest, strict=True))}


def read(contract: Contract, function: str, *arguments: bytes | int) -> Any:
    """A view whose arguments and answer are numbers and addresses: like `contract.call`, and several times as fast.
    Addresses are answered as numbers; what reads a hundred balances after each step can tell the difference."""
    kinds = ",".join("address" if isinstance(one, bytes) else "uint256" for one in arguments)
    words = b"".join(one.rjust(32, b"\0") if isinstance(one, bytes) else one.to_bytes(32, "big") for one in arguments)
    answer = contract.chain.call(contract.address, selector(f"{function}({kinds})") + words)
    values = [int.from_bytes(answer[at : at + 32], "big") for at in range(0, len(answer), 32)]
    return values[0] if len(values) == 1 else tuple(values)


@cache
def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def sign_typed(key: str, domain: dict[str, Any], kind: str, fields: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """(v, r, s) of an EIP-712 message, hashed by an implementation that is not ours. `fields` as in its type string."""
    pairs = [field.split() for field in fields.split(",")]
    message = {
        name: "0x" + value.hex() if type_ == "address" and isinstance(value, bytes) else value
        for (type_, name), value in zip(pairs, values, strict=True)
    }
    typed = {
        "types": {"EIP712Domain": DOMAIN_FIELDS, kind: [{"name": name, "type": type_} for type_, name in pairs]},
        "primaryType": kind,
        "domain": domain,
        "message": message,
    }
    signed = Account.sign_typed_data(key, full_message=typed)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def token_domain(token: Contract) -> dict[str, Any]:
    return {
        "name": token.call("name"),
        "version": token.call("version"),
        "chainId": token.chain.chain_id,
        "verifyingContract": "0x" + token.address.hex(),
    }


def sign_permit(key: str, token: Contract, spender: bytes, amount: int, deadline: int) -> tuple[Any, ...]:
    """(v, r, s) of an EIP-2612 permit with the owner's present nonce."""
    owner = address_of(key)
    fields = "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline"
    values = (owner, spender, amount, token.call("nonces", owner), deadline)
    return sign_typed(key, token_domain(token), "Permit", fields, values)


def sign_authorization(
    key: str, token: Contract, to: bytes, amount: int, nonce: bytes, *, window: tuple[int, int], kind: str = "Receive"
) -> tuple[Any, ...]:
    """(v, r, s) of an EIP-3009 authorization. `window`: good after the first second and before the second."""
    fields = "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce"
    values = (address_of(key), to, amount, *window, nonce)
    return sign_typed(key, token_domain(token), f"{kind}WithAuthorization", fields, values)


def sign_leave(key: str, vault: Contract, account: bytes, *terms: Any, **domain: Any) -> tuple[bytes, bytes]:
    """(r, vs) of a cosignature. `terms`: asset, amount, asCxpt, recipient, nonce, deadline."""
    fields = "address account,uint256 asset,uint256 amount,bool asCxpt,address recipient,uint256 nonce,uint256 deadline"
    usual = {
        "name": "Cxmpute DEX",
        "version": "1",
        "chainId": vault.chain.chain_id,
        "verifyingContract": "0x" + vault.address.hex(),
    }
    v, r, s = sign_typed(key, {**usual, **domain}, "InstantWithdrawal", fields, (account, *terms))
    return r, (int.from_bytes(s, "big") | (v - 27) << 255).to_bytes(32, "big")
