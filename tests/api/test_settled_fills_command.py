"""`cxdex fills --settled`: what the chain has, as a person reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, insert
from sqlmodel import SQLModel

from cxdex.order_word import order_word
from tests.api.conftest import SYMBOL

BLOCK, SEQUENCE = 7, 1_000_000


@contextmanager
def settled(exchange: Any, maker: bytes, taker: bytes) -> Iterator[None]:
    """A fill as the indexer writes it, of orders that the exchange has never seen."""
    orders = {"maker_order": order_word(maker, 5, b"\xaa" * 32), "taker_order": order_word(taker, 6, b"\xbb" * 32)}
    row = {"block": BLOCK, "log_index": 0, "sequence": SEQUENCE, "market": SYMBOL, "tx_hash": b"\xcc" * 32}
    row |= {"timestamp": 1_790_000_000, "maker": maker, "taker": taker, "price": 600_000, "quantity": 100, **orders}
    table = SQLModel.metadata.tables["settled_fill"]
    with exchange.database.begin() as connection:
        connection.execute(insert(table).values(**row, taker_is_buyer=True, maker_fee=1, taker_fee=150_000))
    try:
        yield
    finally:
        with exchange.database.begin() as connection:
            connection.execute(delete(table).where(table.c.sequence == SEQUENCE))


def test_fills_that_only_the_chain_knows_are_listed(exchange: Any) -> None:
    maker, taker = exchange.person(), exchange.person()

    def cxdex(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cxdex", *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"CXDEX_API": exchange.url, "CXDEX_PRIVATE_KEY": taker.key.hex()},
            check=False,
            timeout=120,
        )

    assert cxdex("fills", "--settled").stdout.strip() == "nothing has settled yet"
    with settled(exchange, maker.account, taker.account):
        shown = cxdex("fills", "--settled").stdout
        (fill,) = json.loads(cxdex("--json", "fills", "--settled").stdout)
    assert "BUY" in shown
    assert "0x" + "cc" * 32 in shown
    assert "nonce 6, id ends in bbbbbbbb" in shown
    assert (fill["side"], fill["orderId"], fill["digestTail"], fill["block"]) == ("BUY", None, "0xbbbbbbbb", BLOCK)
    both = cxdex("fills", "--settled", "--follow")
    assert (both.returncode, both.stderr.split()[0]) == (1, "OPTION_INVALID")
