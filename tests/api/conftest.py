"""A real engine process and a real API process over one state folder; chain facts are written as the indexer would."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, select
from sqlmodel import SQLModel

import indexer.tables  # noqa: F401 - registers its tables
import relayer.tables  # noqa: F401
from cxdex import facts
from cxdex.deployment import CONTRACTS, Deployment, load_deployment
from cxdex.eip712 import login_digest, order_digest, to_checksum
from cxdex.keccak import keccak
from cxdex.market import MarketKind, MarketStatus, MarketTerms
from cxdex.order import Order, OrderType, SelfTrade, Side, TimeInForce
from cxdex.signature import address_of, sign_digest
from cxdex.storage import open_database
from cxdex.units import parse_price, parse_quantity
from scripts.stack.layout import free_port

REPOSITORY = Path(__file__).parents[2]
CHAIN_ID = 31337
SYMBOL = "sBTC-USDC"
TERMS = MarketTerms(SYMBOL, 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 10, 25, 25)
PATIENCE_SECONDS = 60.0
CASH, COINS = 100_000_000_000, 10**19
PEOPLE_AT_ONCE = 16


@dataclass
class Person:
    """A wallet: it signs what the API asks for."""

    key: bytes
    deployment: Deployment
    account: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.account = address_of(self.key)

    @property
    def address(self) -> str:
        return to_checksum(self.account)

    def order(self, free_nonce: int, **changes: Any) -> dict[str, Any]:
        """The JSON of an order with these fields changed."""
        fields: dict[str, Any] = {
            "account": self.address,
            "market": SYMBOL,
            "side": "BUY",
            "orderType": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "limitPrice": "60000",
            "maxFeeBps": "50",
            "maxCollateral": "0",
            "selfTrade": "CANCEL_TAKER",
            "reduceOnly": False,
            "expiry": str(int(time.time()) + 3600),
            "nonce": str(free_nonce),
        }
        return {**fields, **changes}

    def signed(self, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The body of POST /v1/orders."""
        signature = "0x" + sign_digest(self.key, self.digest(order)).hex()
        return {"order": order, "signature": signature, "chainId": CHAIN_ID, **changes}

    def digest(self, order: dict[str, Any]) -> bytes:
        return order_digest(self.deployment.domain, as_order(order))

    def login_body(self, expires_at: int) -> dict[str, Any]:
        digest = login_digest(self.deployment.domain, self.account, expires_at)
        return {
            "account": self.address,
            "expiresAt": str(expires_at),
            "signature": "0x" + sign_digest(self.key, digest).hex(),
        }


def as_order(fields: dict[str, Any]) -> Order:
    return Order(
        account=bytes.fromhex(fields["account"][2:]),
        market=fields["market"],
        side=Side[fields["side"]],
        order_type=OrderType[fields["orderType"]],
        time_in_force=TimeInForce[fields["timeInForce"]],
        quantity=parse_quantity(TERMS, fields["quantity"]),
        limit_price=parse_price(TERMS, fields["limitPrice"]),
        max_fee_bps=int(fields["maxFeeBps"]),
        expiry=int(fields["expiry"]),
        nonce=int(fields["nonce"]),
        self_trade=SelfTrade[fields["selfTrade"]],
        reduce_only=fields["reduceOnly"],
    )


class Chain:
    """Writes outbox rows, as the indexer does when it sees events."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        self._numbers = itertools.count(1)

    def say(self, *said: facts.AnyFact) -> None:
        outbox = SQLModel.metadata.tables["outbox"]
        with self.database.begin() as connection:
            for fact in said:
                number = next(self._numbers)
                place = {"block": number, "log_index": 0, "block_hash": number.to_bytes(32, "big")}
                row = {"seq": number, **place, "reverted": False}
                connection.execute(insert(outbox).values(**row, payload=facts.encode_fact(fact)))


class Exchange:
    """One state folder with its processes."""

    def __init__(self, state: Path, rpc_url: str) -> None:
        self.state = state
        self.database_url = f"sqlite:///{state / 'exchange.db'}"
        self.rpc_url = rpc_url
        names = {name: "0x" + keccak(name.encode())[12:].hex() for name in CONTRACTS}
        described = {"chainId": CHAIN_ID, "deployedBlock": 1, "contracts": names, "roles": {}}
        (state / "deployment.json").write_text(json.dumps(described))
        self.deployment = load_deployment(state / "deployment.json")
        self.database = open_database(self.database_url)
        SQLModel.metadata.create_all(self.database)
        self.chain = Chain(self.database)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS)  # a client of its own costs 20 ms
        self.engine: subprocess.Popen[str] | None = None
        self.api: subprocess.Popen[str] | None = None
        self._keys = itertools.count(1)
        self._strangers: list[Person] = []  # they have money, and nobody has met them
        self._met: list[Person] = []

    def start_engine(self, *options: str) -> None:
        place = ("--state", str(self.state), "--database", self.database_url)
        self.engine = spawn("relayer", "engine", *place, *options)

    def start_api(self) -> None:
        self.api = spawn("api", "--port", str(self.port), "--state", str(self.state), "--rpc", self.rpc_url)

    def stop(self) -> None:
        for process in (self.api, self.engine):
            if process is not None:
                process.terminate()
                process.wait(PATIENCE_SECONDS)
        self.http.close()
        self.database.dispose()

    def person(self, cash: int = CASH, coins: int = COINS) -> Person:
        """A new account with `cash` 1e-6 USDC and `coins` 1e-18 sBTC in the ledger, known to the engine."""
        if (cash, coins) != (CASH, COINS):
            (person,) = self._deposit(1, cash, coins)
        else:  # the engine looks for deposits five times a second: many at once wait for it once
            self._strangers = self._strangers or self._deposit(PEOPLE_AT_ONCE, cash, coins)
            person = self._strangers.pop()
        self._met.append(person)
        return person

    def _deposit(self, people: int, cash: int, coins: int) -> list[Person]:
        new = [
            Person(keccak(f"person {next(self._keys)} {self.state}".encode()), self.deployment) for _ in range(people)
        ]
        self.chain.say(
            *(
                fact
                for one in new
                for fact in (facts.Credited(one.account, 0, cash), facts.Credited(one.account, 2, coins))
            )
        )
        token, path = self.login(new[-1]), f"/v1/accounts/{new[-1].address}/balances"

        def has_come() -> bool:
            return [one["total"] for one in self.get(path, token).json()["data"]].count("0") == 0

        wait_for("the deposit", has_come)
        return new

    def cancel_everything(self) -> None:
        """Of those whom a test has met, so that the next one finds empty books."""
        book = self.get(f"/v1/book/{SYMBOL}").json()
        for person in self._met if book.get("bids") or book.get("asks") else ():
            self.delete("/v1/orders", self.login(person)).raise_for_status()
        self._met.clear()

    def login(self, person: Person) -> str:
        body = person.login_body(int(time.time()) + 3600)
        token: str = self.post("/v1/auth/login", body).json()["token"]
        return token

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        return self.http.get(path, headers=bearer(token))

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def delete(self, path: str, token: str | None = None) -> httpx.Response:
        return self.http.delete(path, headers=bearer(token))

    def nonce(self, person: Person) -> int:
        return int(self.get(f"/v1/accounts/{person.address}/nonce").json()["nonces"][0])

    def place(self, person: Person, **changes: Any) -> dict[str, Any]:
        """Places an order and returns the answer, which must be an acceptance."""
        order = person.order(self.nonce(person), **changes)
        reply = self.post("/v1/orders", person.signed(order))
        assert reply.status_code == 200, reply.text
        placed: dict[str, Any] = reply.json()
        return placed

    def rows(self, name: str) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.execute(select(SQLModel.metadata.tables[name])))


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def spawn(*command: str) -> subprocess.Popen[str]:
    """Starts `python -m ...` and returns when it says that it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.strip() == "ready", f"{command} said {line!r}"
    return process


def wait_for(what: str, condition: Any) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    return pytest.fail(f"{what} did not come within {PATIENCE_SECONDS:.0f} s")


def list_market(exchange: Exchange, terms: MarketTerms, status: MarketStatus = MarketStatus.ACTIVE) -> None:
    exchange.chain.say(
        facts.MarketListed(
            terms.symbol,
            terms.index,
            int(terms.kind),
            terms.base_asset,
            terms.base_symbol,
            terms.lot_exponent,
            terms.quote_per_lot_tick,
            terms.min_lots,
            terms.maker_fee_bps,
            terms.taker_fee_bps,
        ),
        facts.MarketStatusChanged(terms.symbol, int(status), int(MarketStatus.PAUSED)),
    )


@pytest.fixture(scope="session")
def node_url() -> Iterator[str]:
    """A real node with nothing on it but what a test puts there."""
    port = free_port()
    binary = REPOSITORY / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    node = subprocess.Popen([str(binary), "--port", str(port), "--silent"])
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
            return httpx.post(url, json=body).is_success
        except httpx.HTTPError:
            return False

    wait_for("the node", answers)
    yield url
    node.terminate()
    node.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory, node_url: str) -> Iterator[Exchange]:
    """Shared by all tests that do not stop a process; each uses accounts of its own."""
    running = Exchange(tmp_path_factory.mktemp("exchange"), node_url)
    running.start_engine()
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _tests_find_empty_books(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "exchange" in request.fixturenames:
        request.getfixturevalue("exchange").cancel_everything()


def market_status(exchange: Exchange) -> str | None:
    reply = exchange.get(f"/v1/markets/{SYMBOL}")
    return reply.json()["status"] if reply.is_success else None
