"""`cxdex export` against the running exchange: every row once, as a spreadsheet reads it."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.api.conftest import wait_for

ORDERS = 130  # more than a page of the client's


def export(exchange: Any, person: Any, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CXDEX_")}
    done = subprocess.run(
        [sys.executable, "-m", "cxdex", "export", *arguments], capture_output=True, text=True, check=False, timeout=60,
        env=clean | {"CXDEX_API": exchange.url, "CXDEX_PRIVATE_KEY": person.key.hex()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_order_and_fill_is_in_the_file_once(exchange: Any, tmp_path: Path) -> None:
    alice, bob = exchange.person(), exchange.person()
    nonces = iter(
        nonce
        for _ in range(-(-ORDERS // 50))
        for nonce in exchange.get(f"/v1/accounts/{alice.address}/nonce?count=50").json()["nonces"]
    )
    bodies = [alice.signed(alice.order(int(nonce), limitPrice="1000", timeInForce="IOC")) for nonce in nonces][:ORDERS]
    for first in range(0, ORDERS, 50):
        exchange.post("/v1/orders/batch", {"orders": bodies[first : first + 50]}).raise_for_status()
    resting = exchange.place(alice, limitPrice="61000.1")
    exchange.place(bob, side="SELL", limitPrice="61000.1", timeInForce="IOC")
    wanted = {"0x" + alice.digest(body["order"]).hex() for body in bodies} | {resting["id"]}
    found: list[dict[str, str]] = []

    def has_come() -> bool:
        found[:] = rows(export(exchange, alice, "orders"))
        return {row["id"] for row in found} == wanted and found[0]["status"] == "FILLED"

    wait_for("the tables", has_come)
    assert len(found) == len(wanted)
    assert {row["reason"] for row in found[1:]} == {"IOC"}
    assert (found[0]["condition.trigger"], found[0]["reduceOnly"]) == ("", "false")

    path = tmp_path / "fills.csv"
    assert "1 rows in" in export(exchange, alice, "fills", "--out", str(path)).replace("\n", " ")
    (fill,) = rows(path.read_text())
    assert (fill["orderId"], fill["price"], fill["role"]) == (resting["id"], "61000.1", "MAKER")
    assert fill["settlement.status"] == "matched"
    assert list(tmp_path.iterdir()) == [path]


def test_a_history_without_a_row_still_has_its_columns(exchange: Any) -> None:
    nobody = exchange.person()
    for what in ("withdrawals", "settled-fills"):
        text = export(exchange, nobody, what)
        assert text.count("\n") == 1
        assert "amount" in text or "tradeId" in text
