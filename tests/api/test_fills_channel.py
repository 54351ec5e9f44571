"""The channels `fills` and `settlements`: every change of a fill's settlement, once and in order, whatever restarts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlmodel import SQLModel

from relayer.settlement_log.keeper import Keeper
from relayer.settler.plan import Span
from relayer.settler.state import SettlerState
from relayer.settler.store import Draft, Store
from relayer.settler.wallet import SignedTransaction
from tests.api.conftest import SYMBOL, TERMS, Exchange, list_market, market_status, spawn, wait_for
from tests.api.test_streams import Client


class Settling:
    """The settler's rows and the indexer's, and the real keeper of the log in a thread."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.store = Store(exchange.database)
        self._numbers = itertools.count(1)
        self.block = 0
        self._stop = Event()
        self._thread = Thread(target=self._keeper().run, args=[self._stop])

    def _keeper(self) -> Keeper:
        return Keeper(self.exchange.database, lambda: time.time_ns() // 10**6)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def send(self, first: int, last: int) -> tuple[int, str]:
        """(batch, its transaction)"""
        signed = SignedTransaction(b"raw", next(self._numbers).to_bytes(32, "big"))
        draft = Draft(1, 1, 1, int.from_bytes(signed.tx_hash, "big"), signed, [Span(SYMBOL, first, last)])
        batch = self.store.prepare(draft, 1)
        self.store.mark_sent(batch.id, 2)
        return batch.id, "0x" + signed.tx_hash.hex()

    def mine(self, first: int, last: int, transaction: str, reason: int | None = None) -> int:
        self.block += 1
        tables = SQLModel.metadata.tables
        with self.exchange.database.begin() as connection:
            for sequence in range(first, last + 1):
                row = {"block": self.block, "log_index": sequence, "sequence": sequence, "timestamp": 1}
                row |= {"market": SYMBOL, "tx_hash": bytes.fromhex(transaction[2:]), "reason": reason}
                connection.execute(insert(tables["settled_fill"]).values(**row))
        self._say_head()
        return self.block

    def reorg(self) -> None:
        fills = SQLModel.metadata.tables["settled_fill"]
        with self.exchange.database.begin() as connection:
            connection.execute(delete(fills).where(fills.c.block == self.block))
        self.block -= 1
        self._say_head()

    def finalize(self) -> None:
        with self.exchange.database.begin() as connection:
            connection.execute(update(SQLModel.metadata.tables["checkpoint"]).values(undo_floor=self.block))

    def _say_head(self) -> None:
        table = SQLModel.metadata.tables["checkpoint"]
        now = {"block": self.block, "hash": next(self._numbers).to_bytes(32, "big"), "head": self.block}
        with self.exchange.database.begin() as connection:
            if connection.execute(update(table).values(**now)).rowcount == 0:
                rest = {"id": 1, "timestamp": 1, "emitted_block": 0, "chain_id": 1, "settlement": bytes(20)}
                connection.execute(insert(table).values(**now, **rest, projection_version=1, undo_floor=0))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory, node_url: str) -> Iterator[Exchange]:
    """One of this file's own: its processes are killed."""
    running = Exchange(tmp_path_factory.mktemp("fills"), node_url)
    running.start_engine()
    running.start_api()
    list_market(running, TERMS)
    wait_for("the market", lambda: market_status(running) == "ACTIVE")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def settling(exchange: Exchange) -> Iterator[Settling]:
    settler = Settling(exchange)
    settler.start()
    yield settler
    settler.stop()


@pytest.fixture
def people(exchange: Exchange) -> tuple[Any, Any]:
    return exchange.person(), exchange.person()


def trade(exchange: Exchange, people: tuple[Any, Any], count: int = 1) -> list[int]:
    """The second takes what the first offers. Returns the numbers of the fills."""
    found = []
    for _ in range(count):
        exchange.place(people[0], side="SELL", limitPrice="60000")
        taken = exchange.place(people[1], limitPrice="60000", timeInForce="IOC")
        found += [int(fill["sequence"]) for fill in taken["fills"]]
    wait_for("the matches in the table", lambda: any(row.sequence == found[-1] for row in exchange.rows("trade")))
    return found


def follower(exchange: Exchange, person: Any, **resume: Any) -> Client:
    client = Client(exchange)
    client.sign_in(exchange, person)
    client.subscribe("fills", **({"resume": resume} if resume else {}))
    return client


def event(client: Client) -> dict[str, Any]:
    return client.next(ch="fills", type="event")


def told(message: dict[str, Any]) -> tuple[str, list[int]]:
    data = message["data"]
    return data["status"], [int(fill["sequence"]) for fill in data["fills"]]


def test_the_way_of_a_fill_is_told_to_both_sides(
    exchange: Exchange, settling: Settling, people: tuple[Any, Any]
) -> None:
    clients = [follower(exchange, person) for person in people]
    starts = [client.next(ch="fills", type="snapshot") for client in clients]
    assert [start["data"] for start in starts] == [[], []]
    (sequence,) = trade(exchange, people)
    matched = [event(client) for client in clients]
    _, transaction = settling.send(sequence, sequence)
    submitted = [event(client) for client in clients]
    block = settling.mine(sequence, sequence, transaction)
    mined = [event(client) for client in clients]
    settling.finalize()
    final = [event(client) for client in clients]
    for start, *messages in zip(starts, matched, submitted, mined, final, strict=True):
        assert [told(message)[0] for message in messages] == ["matched", "submitted", "mined", "final"]
        assert [message["prev"] for message in messages] == [start["seq"] + n for n in range(4)]
        assert [message["seq"] for message in messages] == [start["seq"] + n + 1 for n in range(4)]
        assert {message["epoch"] for message in messages} == {start["epoch"]}
        assert [message["data"]["transaction"] for message in messages] == [None, *[transaction] * 3]
        assert [message["data"]["block"] for message in messages] == [None, None, block, block]
    seller, buyer = (messages["data"]["fills"][0] for messages in matched)
    shown = [exchange.get(f"/v1/accounts/{person.address}/fills").json()["data"][0] for person in people]
    for fill, in_rest in zip((seller, buyer), shown, strict=True):
        assert fill == {name: in_rest[name] for name in fill}
        assert in_rest["settlement"]["status"] == "final"
    assert (seller["role"], seller["side"], buyer["role"], buyer["side"]) == ("MAKER", "SELL", "TAKER", "BUY")


def test_who_comes_late_gets_the_open_fills(exchange: Exchange, settling: Settling, people: tuple[Any, Any]) -> None:
    early = follower(exchange, people[0])
    first, second = trade(exchange, people, 2)
    _, transaction = settling.send(first, first)
    while told(event(early))[0] != "submitted":
        pass
    late = follower(exchange, people[1]).next(ch="fills", type="snapshot")
    shown = {(entry["status"], entry["transaction"]): entry["fills"] for entry in late["data"]}
    assert [int(fill["sequence"]) for fill in shown["submitted", transaction]] == [first]
    assert [int(fill["sequence"]) for fill in shown["matched", None]] == [second]


def test_a_reorg_and_a_skip(exchange: Exchange, settling: Settling, people: tuple[Any, Any]) -> None:
    client = follower(exchange, people[0])
    sequence, passed_over = trade(exchange, people, 2)
    batch, transaction = settling.send(sequence, passed_over)
    settling.mine(sequence, sequence, transaction)
    until(client, "mined", sequence)
    settling.reorg()
    assert until(client, "submitted", sequence)["data"]["transaction"] == transaction
    other = SignedTransaction(b"raw", b"\x77" * 32)
    settling.store.replace(settling.store.unresolved()[-1], other, 3)
    assert settling.store.unresolved()[-1].id == batch
    until(client, "submitted", sequence, "0x" + "77" * 32)
    settling.mine(sequence, sequence, "0x" + "77" * 32)
    settling.mine(passed_over, passed_over, "0x" + "77" * 32, reason=5)
    assert until(client, "mined", sequence)["data"]["transaction"] == "0x" + "77" * 32
    assert until(client, "skipped", passed_over)["data"]["reason"] == "BUYER_BALANCE"


def until(client: Client, status: str, sequence: int, transaction: str | None = None) -> dict[str, Any]:
    """The next message that says so of this fill."""
    while True:
        message = event(client)
        is_it = told(message)[0] == status and sequence in told(message)[1]
        if is_it and transaction in (None, message["data"]["transaction"]):
            return message


def test_a_killed_api_repeats_nothing_and_loses_nothing(
    exchange: Exchange, settling: Settling, people: tuple[Any, Any]
) -> None:
    client = follower(exchange, people[0])
    start = client.next(ch="fills", type="snapshot")
    first = trade(exchange, people)[0]
    seen = event(client)
    assert exchange.api is not None
    exchange.api.kill()
    exchange.api.wait()
    _, transaction = settling.send(first, first)
    settling.mine(first, first, transaction)
    exchange.start_api()
    wait_for("the market", lambda: market_status(exchange) == "ACTIVE")
    again = follower(exchange, people[0], epoch=seen["epoch"], seq=seen["seq"])
    messages = [event(again) for _ in range(2)]
    settling.finalize()
    messages.append(event(again))
    assert [told(message) for message in messages] == [(word, [first]) for word in ("submitted", "mined", "final")]
    assert [message["prev"] for message in [seen, *messages]] == [start["seq"] + n for n in range(4)]
    # Another connection, from the very beginning: the same messages.
    whole = follower(exchange, people[0], epoch=start["epoch"], seq=start["seq"])
    assert [event(whole) for _ in range(4)] == [seen, *messages]


def test_a_killed_engine_does_not_interrupt_it(exchange: Exchange, settling: Settling, people: tuple[Any, Any]) -> None:
    client = follower(exchange, people[0])
    start = client.next(ch="fills", type="snapshot")
    first = trade(exchange, people)[0]
    matched = event(client)
    assert exchange.engine is not None
    exchange.engine.kill()
    exchange.engine.wait()
    _, transaction = settling.send(first, first)
    submitted = event(client)
    exchange.engine = spawn("relayer", "engine", "--state", str(exchange.state), "--database", exchange.database_url)
    settling.mine(first, first, transaction)
    mined = event(client)
    assert [message["seq"] - start["seq"] for message in (matched, submitted, mined)] == [1, 2, 3]
    client.send(op="ping")
    client.next(op="pong")
    assert not [message for message in client._kept if message.get("ch") == "fills"]
    wait_for("the engine", lambda: market_status(exchange) == "ACTIVE")


@pytest.mark.parametrize("resume", [{"epoch": "0000", "seq": 1}, {"epoch": None, "seq": 10**9}])
def test_what_cannot_be_resumed_gets_reset_and_snapshot(
    exchange: Exchange, settling: Settling, people: tuple[Any, Any], resume: dict[str, Any]
) -> None:
    epoch = follower(exchange, people[0]).next(ch="fills", type="snapshot")["epoch"]
    client = follower(exchange, people[0], **{**resume, "epoch": resume["epoch"] or epoch})
    assert [client.next(ch="fills")["type"] for _ in range(2)] == ["reset", "snapshot"]


def test_many_subscribers_of_one_account_and_of_the_market_get_the_same(
    exchange: Exchange, settling: Settling, people: tuple[Any, Any]
) -> None:
    own = [follower(exchange, people[0]) for _ in range(12)]
    public = [Client(exchange) for _ in range(4)]
    for client in public:
        client.subscribe("settlements", SYMBOL)
    starts = [client.next(ch="settlements", type="snapshot") for client in public]
    for client in own:
        client.next(ch="fills", type="snapshot")
    numbers = trade(exchange, people, 3)
    _, transaction = settling.send(numbers[0], numbers[-1])
    told_to_each = [until(client, "submitted", numbers[-1]) for client in own]
    assert all(message == told_to_each[0] for message in told_to_each)
    for client, start in zip(public, starts, strict=True):
        seq = start["seq"]
        while True:
            message = client.next(ch="settlements", type="event")
            assert (message["prev"], message["seq"]) == (seq, seq + 1)
            seq += 1
            if message["data"]["transaction"] == transaction:
                break
        assert message["data"]["status"] == "submitted"
        assert (message["data"]["firstSequence"], message["data"]["lastSequence"]) == (
            str(numbers[0]),
            str(numbers[-1]),
        )
        assert "fills" not in message["data"]


def test_the_public_channel_resumes_too(exchange: Exchange, settling: Settling, people: tuple[Any, Any]) -> None:
    client = Client(exchange)
    client.subscribe("settlements", SYMBOL)
    start = client.next(ch="settlements", type="snapshot")
    client.socket.close()
    numbers = trade(exchange, people, 2)
    wait_for("the log", lambda: any(row.last_sequence == numbers[-1] for row in exchange.rows("settlement_change")))
    again = Client(exchange)
    again.subscribe("settlements", SYMBOL, resume={"epoch": start["epoch"], "seq": start["seq"]})
    missed = again.next(ch="settlements")
    assert (missed["type"], missed["prev"], missed["data"]["status"]) == ("event", start["seq"], "matched")
    fresh = Client(exchange)
    fresh.subscribe("settlements", SYMBOL)
    runs = fresh.next(ch="settlements", type="snapshot")["data"]
    assert max(int(run["lastSequence"]) for run in runs) == numbers[-1]


def test_it_is_the_accounts_own(exchange: Exchange, settling: Settling, people: tuple[Any, Any]) -> None:
    client = Client(exchange)
    client.send(op="subscribe", ch="fills")
    assert client.next(op="error")["code"] == "AUTH_REQUIRED"
    client.sign_in(exchange, people[0])
    client.send(op="subscribe", ch="fills", key=people[1].address)
    assert client.next(op="error")["code"] == "AUTH_INVALID"


def test_heartbeats_say_how_far_it_is(exchange: Exchange, settling: Settling, people: tuple[Any, Any]) -> None:
    client = follower(exchange, people[0])
    start = client.next(ch="fills", type="snapshot")
    (place,) = client.next(op="heartbeat")["channels"]
    assert (place["ch"], place["seq"], place["epoch"]) == ("fills", start["seq"], start["epoch"])


def test_how_old_it_is_shows_in_heartbeats_and_in_the_status(
    exchange: Exchange, settling: Settling, people: tuple[Any, Any]
) -> None:
    told = exchange.get("/v1/status").json()["settler"]
    assert told == {"up": False, "asOf": None, "waiting": None, "oldestMatch": None}
    client = follower(exchange, people[0])
    assert client.next(op="heartbeat")["settler"] is None
    long_ago = time.time_ns() // 10**6 - 60_000
    try:
        settling.store.write_state(SettlerState(long_ago, long_ago, 3, 10**9, 0))
        told = exchange.get("/v1/status").json()["settler"]
        assert told == {"up": False, "asOf": long_ago, "waiting": 3, "oldestMatch": long_ago}
        wait_for("the heartbeat", lambda: client.next(op="heartbeat")["settler"] == long_ago)
        settling.store.write_state(SettlerState(time.time_ns() // 10**6, None, 0, 10**9, 0))
        assert exchange.get("/v1/status").json()["settler"]["up"]
    finally:
        with exchange.database.begin() as connection:
            connection.execute(delete(SQLModel.metadata.tables["settler_state"]))


def test_without_a_settler_it_says_so_and_begins_when_one_comes(tmp_path: Path, node_url: str) -> None:
    alone = Exchange(tmp_path, node_url)
    alone.start_engine()
    alone.start_api()
    try:
        list_market(alone, TERMS)
        wait_for("the market", lambda: market_status(alone) == "ACTIVE")
        client = follower(alone, alone.person())
        assert client.next(op="error")["code"] == "SETTLEMENT_UNKNOWN"
        Keeper(alone.database, lambda: 1).look()
        assert client.next(ch="fills")["type"] == "snapshot"
    finally:
        alone.stop()
