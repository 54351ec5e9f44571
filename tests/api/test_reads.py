"""Read models over rows as the settler and the indexer write them: settlement status, candles, withdrawals, paging."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlmodel import SQLModel

from tests.api.conftest import wait_for

SYMBOL = "sBTC-USDC"
TX = b"\x07" * 32
NOTHING_MINED = {"block": None, "transaction": None}


@pytest.fixture
def chain_rows(exchange: Any) -> Any:
    """Writes rows of the settler and the indexer, and takes them away again."""
    written: set[str] = set()

    def write(name: str, **values: Any) -> None:
        written.add(name)
        with exchange.database.begin() as connection:
            connection.execute(insert(SQLModel.metadata.tables[name]).values(**values))

    yield write
    with exchange.database.begin() as connection:
        for name in written:
            connection.execute(delete(SQLModel.metadata.tables[name]))


@pytest.fixture
def fill(exchange: Any) -> dict[str, Any]:
    """One new match, as its taker sees it."""
    maker, taker = exchange.person(), exchange.person()
    exchange.place(maker, limitPrice="63000")
    exchange.place(taker, side="SELL", limitPrice="63000", timeInForce="IOC")
    found: dict[str, Any] = first_fill(exchange, taker.address)
    return {**found, "account": taker.address}


def first_fill(exchange: Any, address: str) -> Any:

    fills = wait_for("the projector", lambda: exchange.get(f"/v1/accounts/{address}/fills").json()["data"])
    return fills[0]


def batch_row(fill: dict[str, Any], status: str, block: int | None = None) -> dict[str, Any]:
    match_id = int(fill["matchId"])
    return {
        "id": 5,
        "first_match_id": match_id,
        "last_match_id": match_id,
        "fills": 1,
        "nonce": 3,
        "tx_hash": TX,
        "raw_transaction": b"\x02",
        "status": status,
        "attempts": 1,
        "block": block,
        "gas_used": 66_525 if block else None,
        "created_ms": 1,
        "updated_ms": 2,
    }


def settled_row(fill: dict[str, Any], block: int, reason: int | None = None) -> dict[str, Any]:
    return {
        "block": block,
        "log_index": 0,
        "sequence": int(fill["sequence"]),
        "market": SYMBOL,
        "tx_hash": TX,
        "timestamp": 1,
        "reason": reason,
    }


def checkpoint_row(block: int, final: int = 0) -> dict[str, Any]:
    return {
        "id": 1,
        "block": block,
        "hash": b"\x0b" * 32,
        "timestamp": 1,
        "emitted_block": block,
        "head": block,
        "undo_floor": final,
        "chain_id": 31337,
        "settlement": b"\x01" * 20,
        "projection_version": 1,
    }


def settlement_of(exchange: Any, fill: dict[str, Any]) -> dict[str, Any]:
    settlement: dict[str, Any] = first_fill(exchange, fill["account"])["settlement"]
    return settlement


def test_a_fill_walks_from_matched_to_final(exchange: Any, fill: dict[str, Any], chain_rows: Any) -> None:
    assert settlement_of(exchange, fill) == {"status": "matched", "batch": None, "reason": None, **NOTHING_MINED}

    chain_rows("batch", **batch_row(fill, "SENT"))
    sequence = int(fill["sequence"])
    chain_rows("batch_span", batch_id=5, market=SYMBOL, first_sequence=sequence, last_sequence=sequence)
    submitted = settlement_of(exchange, fill)
    assert (submitted["status"], submitted["transaction"], submitted["batch"]) == ("submitted", "0x" + TX.hex(), 5)

    chain_rows("checkpoint", **checkpoint_row(101))
    chain_rows("settled_fill", **settled_row(fill, 100))
    mined = settlement_of(exchange, fill)
    assert (mined["status"], mined["block"]) == ("mined", 100)

    with exchange.database.begin() as connection:
        connection.execute(update(SQLModel.metadata.tables["checkpoint"]).values(undo_floor=100))
    assert settlement_of(exchange, fill)["status"] == "final"


@pytest.mark.parametrize("other", ["maker_order", "taker_order", "price", "quantity"])
def test_a_number_that_others_used_up_did_not_settle_the_match(
    exchange: Any, chain_rows: Any, fill: dict[str, Any], other: str
) -> None:
    """Whoever settles while the exchange is silent takes the market's next number for a fill of their own."""
    (ours,) = (row for row in exchange.rows("trade") if str(row.match_id) == fill["matchId"])
    same = {name: getattr(ours, name) for name in ("maker_order", "taker_order", "price", "quantity")}
    chain_rows("checkpoint", **checkpoint_row(100, 99))
    chain_rows("settled_fill", **settled_row(fill, 100), **same)
    assert settlement_of(exchange, fill)["status"] == "mined"
    change = {other: 1 if other in ("price", "quantity") else b"o" * 32}
    with exchange.database.begin() as connection:
        connection.execute(update(SQLModel.metadata.tables["settled_fill"]).values(**change))
    settlement = settlement_of(exchange, fill)
    assert (settlement["status"], settlement["reason"]) == ("skipped", "VOIDED")


@pytest.mark.parametrize(("reason", "word"), [(1, "MAKER_CANCELLED"), (5, "BUYER_BALANCE"), (255, "VOIDED")])
def test_a_skipped_fill_says_why(exchange: Any, fill: dict[str, Any], chain_rows: Any, reason: int, word: str) -> None:
    chain_rows("settled_fill", **settled_row(fill, 100, reason))
    settlement = settlement_of(exchange, fill)
    assert (settlement["status"], settlement["reason"]) == ("skipped", word)


@pytest.mark.parametrize(("status", "shown"), [("PREPARED", "matched"), ("FAILED", "matched"), ("MINED", "submitted")])
def test_a_batch_counts_from_when_it_was_sent(
    exchange: Any, fill: dict[str, Any], chain_rows: Any, status: str, shown: str
) -> None:
    sequence = int(fill["sequence"])
    chain_rows("batch", **batch_row(fill, status, block=9 if status == "MINED" else None))
    chain_rows("batch_span", batch_id=5, market=SYMBOL, first_sequence=sequence, last_sequence=sequence)
    assert settlement_of(exchange, fill)["status"] == shown


def test_a_batch_that_reverted_shows_until_the_next_one_is_sent(
    exchange: Any, fill: dict[str, Any], chain_rows: Any
) -> None:
    sequence = int(fill["sequence"])
    span = {"market": SYMBOL, "first_sequence": sequence, "last_sequence": sequence}
    chain_rows("batch", **batch_row(fill, "FAILED", block=9))
    chain_rows("batch_span", batch_id=5, **span)
    reverted = settlement_of(exchange, fill)
    assert (reverted["status"], reverted["transaction"], reverted["block"]) == ("reverted", "0x" + TX.hex(), 9)
    chain_rows("batch", **{**batch_row(fill, "SENT"), "id": 6})
    chain_rows("batch_span", batch_id=6, **span)
    assert settlement_of(exchange, fill)["status"] == "submitted"


def test_a_batch_lists_its_matches(exchange: Any, fill: dict[str, Any], chain_rows: Any) -> None:
    sequence = int(fill["sequence"])
    chain_rows("batch", **batch_row(fill, "MINED", block=100))
    chain_rows("batch_span", batch_id=5, market=SYMBOL, first_sequence=sequence, last_sequence=sequence)
    (listed,) = exchange.get("/v1/settlements").json()["data"]
    assert (listed["id"], listed["status"], listed["gasUsed"], listed["fills"]) == (5, "MINED", "66525", 1)
    detail = exchange.get("/v1/settlements/5").json()
    assert [trade["matchId"] for trade in detail["trades"]] == [fill["matchId"]]


def test_candles_come_in_decimals_and_pages(exchange: Any, chain_rows: Any) -> None:
    for minute in range(0, 300, 60):
        chain_rows(
            "candle_1m",
            market=SYMBOL,
            minute=minute,
            open=600_000,
            high=600_010,
            low=599_990,
            close=600_001,
            volume_lots=1_234,
            volume_quote=7_404_000_000,
            trades=3,
        )
    page = exchange.get(f"/v1/candles/{SYMBOL}?limit=2&from=60000&to=240000").json()
    assert page["data"][0] == {
        "time": 240_000,
        "open": "60000",
        "high": "60001",
        "low": "59999",
        "close": "60000.1",
        "volume": "0.1234",
        "volumeQuote": "7404",
        "trades": 3,
    }
    rest = exchange.get(f"/v1/candles/{SYMBOL}?limit=2&from=60000&to=240000&cursor={page['next']}").json()
    assert [candle["time"] for candle in page["data"] + rest["data"]] == [240_000, 180_000, 120_000, 60_000]
    assert rest["next"] is None


def test_withdrawals_show_their_stage(exchange: Any, chain_rows: Any) -> None:
    alice = exchange.person()
    common = {"account": alice.account, "as_cxpt": False, "claimable_at": 1_790_000_000, "requested_block": 4}
    common |= {"recipient": b"\x0a" * 20, "requested_at": 1_789_990_000, "redirects": 1}
    chain_rows("withdrawal", **common, id=1, asset=0, amount=25_500_000, status="REQUESTED", requested_tx=TX)
    closed = {"status": "CLAIMED", "paid": 10**16, "closed_block": 9, "closed_tx": TX}
    chain_rows("withdrawal", **common, **closed, id=2, asset=2, amount=10**17, requested_tx=TX)
    chain_rows("checkpoint", **checkpoint_row(12, final=9))
    reply = exchange.get(f"/v1/accounts/{alice.address}/withdrawals").json()
    newest, oldest = reply["data"]
    assert (newest["id"], newest["symbol"], newest["amount"], newest["status"]) == ("2", "sBTC", "0.1", "CLAIMED")
    assert (oldest["symbol"], oldest["amount"], oldest["claimableAt"]) == ("USDC", "25.5", 1_790_000_000_000)
    assert (oldest["closedTransaction"], oldest["paid"], newest["paid"]) == (None, None, "0.01")
    assert (newest["recipient"], newest["requestedAt"]) == (
        "0x0A0A0a0a0a0a0a0A0a0a0A0a0A0A0A0a0a0a0a0a",
        1_789_990_000_000,
    )
    assert reply["asOf"] == {"block": 12, "blockHash": "0x" + "0b" * 32, "finalized": 9}


def test_balances_put_the_engine_beside_the_chain(exchange: Any, chain_rows: Any) -> None:
    alice = exchange.person()
    exchange.place(alice, limitPrice="1000")
    chain_rows("account_balance", account=alice.account, asset=0, amount=100_000_000_001, block=3)
    chain_rows("account_balance", account=alice.account, asset=1, amount=7, block=3)
    cash, cxpt, coin = exchange.get(f"/v1/accounts/{alice.address}/balances", exchange.login(alice)).json()["data"]
    assert cash == {
        "asset": 0,
        "symbol": "USDC",
        "total": "100000",
        "reserved": "10.05",
        "available": "99989.95",
        "settled": "100000.000001",
        "leaving": "0",
    }
    assert (cxpt["symbol"], cxpt["total"], cxpt["settled"]) == ("CXPT", "0", "0.000007")
    assert (coin["symbol"], coin["available"], coin["settled"]) == ("sBTC", "10", "0")


def test_fills_page_without_repeating(exchange: Any) -> None:
    maker, taker = exchange.person(), exchange.person()
    for _ in range(5):
        exchange.place(maker, limitPrice="64000")
        exchange.place(taker, side="SELL", limitPrice="64000", timeInForce="IOC")

    path = f"/v1/accounts/{maker.address}/fills?limit=2"
    wait_for("all fills", lambda: len(exchange.get(path.replace("=2", "=9")).json()["data"]) == 5)
    first = exchange.get(path).json()
    exchange.place(maker, limitPrice="64000")
    exchange.place(taker, side="SELL", limitPrice="64000", timeInForce="IOC")
    wait_for("the sixth", lambda: len(exchange.get(path.replace("=2", "=9")).json()["data"]) == 6)
    second = exchange.get(f"{path}&cursor={first['next']}").json()
    third = exchange.get(f"{path}&cursor={second['next']}").json()
    numbers = [int(row["matchId"]) for page in (first, second, third) for row in page["data"]]
    assert numbers == sorted(set(numbers), reverse=True)
    assert len(numbers) == 5
    assert {(row["role"], row["side"]) for row in first["data"]} == {("MAKER", "BUY")}
    foreign = exchange.get(f"/v1/accounts/{taker.address}/fills?cursor={first['next']}")
    assert foreign.json()["code"] == "FIELD_INVALID"


def test_status_names_every_part(exchange: Any, chain_rows: Any) -> None:
    chain_rows("checkpoint", **checkpoint_row(0))
    status = exchange.get("/v1/status").json()
    assert (status["mode"], status["chainId"]) == ("normal", 31337)
    assert status["engine"]["up"] is True
    assert status["engine"]["epoch"]
    assert status["indexer"]["block"] == 0
    assert status["indexer"]["lag"] == status["node"]["block"]
    assert status["domain"]["verifyingContract"] == status["contracts"]["Settlement"]
    assert status["domain"]["separator"] == "0x" + exchange.deployment.domain.separator.hex()


def test_the_index_links_to_pages_that_exist(exchange: Any) -> None:
    links = exchange.get("/").json()
    for name in ("status", "markets", "documentation", "openapi", "errors"):
        assert exchange.get(links[name]).status_code == 200
