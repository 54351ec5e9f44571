"""Fills as the chain has them: of orders that the exchange knows, and of those that only the chain does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert
from sqlmodel import SQLModel

import relayer.tables  # noqa: F401 - registers its tables
from api.database import Reader
from api.reads.settled_fills import list_settled_fills
from cxdex.batch import MatchedFill, encode_settle_batch, trade_id, unpack_fill
from cxdex.keccak import keccak
from cxdex.market import MarketKind, MarketTerms
from cxdex.order import Side, SignedOrder
from cxdex.order_word import order_word
from tests.indexer.indexing import Indexing
from tests.indexer.live_exchange import BTC, KEYS, LiveExchange, local_node

SILENCE_SECONDS = 6 * 3600
FILL = "0x" + keccak(b"Fill(uint256,uint256,uint256)").hex()
TERMS = MarketTerms(BTC, 1, MarketKind.SPOT, 2, "sBTC", 14, 10, 10, 25, 25)


def shown(database: Engine, account: bytes, limit: int = 10) -> list[dict[str, Any]]:
    """All pages together."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with database.connect() as connection:
        while True:
            rows, cursor = list_settled_fills(Reader(connection), lambda _: TERMS, account, limit, cursor)
            found += rows
            if cursor is None:
                return found


def accept(database: Engine, signed: SignedOrder, accepted: int) -> None:
    """The row that the relayer writes for an order."""
    order = signed.order
    row = {name: getattr(order, name) for name in order.__slots__ if name != "condition"}
    row |= {"digest": signed.digest, "accepted": accepted, "signature": signed.signature, "status": "OPEN", "filled": 0}
    row |= {"proof_first": 0, "proof_second": 0, "remaining": order.quantity, "version": 1}
    row |= {"created_ms": 1, "updated_ms": 1}
    with database.begin() as connection:
        connection.execute(insert(SQLModel.metadata.tables["order"]).values(**row))


def match(database: Engine, number: int, maker: SignedOrder, taker: SignedOrder) -> None:
    sides = {"maker": maker.order.account, "taker": taker.order.account, "taker_is_buyer": True}
    sides |= {"maker_digest": maker.digest, "taker_digest": taker.digest, "maker_order": word(maker)}
    row = {"match_id": number + 1, "market": BTC, "sequence": number, "price": maker.order.limit_price, "quantity": 3}
    with database.begin() as connection:
        rest = {"maker_fee": 0, "taker_fee": 0, "time_ms": 1, "voided": False, "taker_order": word(taker)}
        connection.execute(insert(SQLModel.metadata.tables["trade"]).values(**row, **sides, **rest))


def word(signed: SignedOrder) -> bytes:
    return order_word(signed.order.account, signed.order.nonce, signed.digest)


def test_what_anybody_settles_while_the_relayer_is_silent_is_shown_by_what_the_chain_knows(tmp_path: Path) -> None:
    with local_node() as node:
        exchange = LiveExchange(node, tmp_path)
        exchange.send("core", "Settlement", "beat")
        ours = exchange.order("maker", Side.SELL, 3), exchange.order("taker", Side.BUY, 3)
        exchange.settle((*ours, 3))
        exchange.pass_time(SILENCE_SECONDS + 60)
        exchange.mine()
        lapsed = exchange.order("maker", Side.SELL, 3, 7), exchange.order("taker", Side.BUY, 3, 7)
        anybody, address = KEYS["alice"], exchange.contracts["Settlement"].address
        exchange.chain.send(anybody, address, encode_settle_batch([MatchedFill(BTC, exchange.sequence(), *lapsed, 3)]))
        indexing = Indexing(exchange, tmp_path / "exchange.db")
        indexing.catch_up()
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": "0x" + address.hex(), "topics": [FILL]}
        logs = exchange.chain.rpc("eth_getLogs", query)
    database = indexing.engine
    SQLModel.metadata.create_all(database)
    accept(database, ours[0], 1)
    accept(database, ours[1], 2)
    match(database, 0, *ours)
    accept(database, lapsed[0], 3)  # the maker's order rested in the book; the taker's was never sent to the relayer

    maker, taker = (signed.order.account for signed in ours)
    for who, role, side, orders, ids in (
        (maker, "MAKER", "SELL", (lapsed[0], ours[0]), (lapsed[0].digest, ours[0].digest)),
        (taker, "TAKER", "BUY", (lapsed[1], ours[1]), (None, ours[1].digest)),
    ):
        rows = shown(database, who)
        assert rows == shown(database, who, limit=1)
        assert [(row["role"], row["side"], row["quantity"]) for row in rows] == [(role, side, "0.0003")] * 2
        assert [row["orderId"] for row in rows] == [one and "0x" + one.hex() for one in ids]
        assert [row["matchId"] for row in rows] == [None, "1"]
        assert [row["nonce"] for row in rows] == [str(signed.order.nonce) for signed in orders]
        assert [row["digestTail"] for row in rows] == ["0x" + signed.digest[-4:].hex() for signed in orders]
        assert [row["tradeId"] for row in rows] == [trade_of(log) for log in reversed(logs)]
        assert [row["transaction"] for row in rows] == [log["transactionHash"] for log in reversed(logs)]


def trade_of(log: dict[str, Any]) -> str:
    """The trade's id from the event alone; the taker buys."""
    data = bytes.fromhex(log["data"][2:])
    terms = unpack_fill(int.from_bytes(data[64:96], "big"))
    return "0x" + trade_id(BTC, data[32:64], data[:32], terms.sequence, terms.price, terms.quantity).hex()
