"""The Python client and the command line change open orders on a real exchange."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from cxdex import Amend, ApiProblem, AsyncExchange, Cancel, CancelAndPlace, Exchange, LocalWallet, Replace, Ticket
from tests.api.conftest import wait_for

LOW = Ticket("sBTC-USDC", "BUY", "0.05", "1000", client_order_id="low")


def test_every_amendment_by_the_blocking_client(exchange: Any) -> None:
    alice = exchange.person()
    with Exchange(exchange.url, LocalWallet(alice.key)) as client:
        first = client.place(LOW)
        assert client.amend(first, "0.04").remaining == "0.04"
        second = client.replace(first, price="1001")
        assert (second.replaces, second.quantity, second.limit_price) == (first.id, "0.05", "1001")
        third = client.replace(second.id, quantity="0.03", time_in_force="POST_ONLY", client_order_id="third")
        assert (third.status, third.client_order_id, third.limit_price) == ("OPEN", "third", "1001")
        with pytest.raises(ApiProblem, match="ORDER_NOT_OPEN"):
            client.replace(second, price="1002")
        moved = client.cancel_and_place(Cancel(client_order_id="third"), LOW)
        assert [order.id for order in moved.cancelled] == [third.id]
        with pytest.raises(ApiProblem, match="ORDER_NOT_OPEN"):
            client.cancel_and_place(third, LOW)
        again = client.cancel_and_place(third, LOW, if_not_cancelled="PLACE")
        wait_for("the tables", lambda: {o.id for o in client.orders()} == {moved.order.id, again.order.id})
        outcomes = client.batch(
            [
                Replace(again.order, price="1003"),
                Amend(moved.order, "0.01"),
                Ticket("sBTC-USDC", "BUY", "0.02", "1004"),
                Cancel(first),
                CancelAndPlace(Cancel(moved.order), LOW, if_refused="CANCEL"),
            ]
        )
        assert [outcome.outcome for outcome in outcomes] == ["accepted"] * 3 + ["rejected", "accepted"]
        assert [order.id for order in outcomes[0].cancelled] == [again.order.id]
        wait_for("the tables", lambda: {o.limit_price for o in client.orders()} == {"1003", "1004", "1000"})
        assert client.cancel_all() == 3


@pytest.mark.parametrize("over_socket", [False, True])
async def test_the_awaited_client_does_the_same(exchange: Any, over_socket: bool) -> None:
    alice = exchange.person()
    async with AsyncExchange(exchange.url, LocalWallet(alice.key), order_socket=over_socket) as client:
        first = await client.place(LOW)
        second = await client.replace(await client.amend(first.id, "0.04"), quantity="0.02")
        (outcome,) = await client.batch([Amend(second, "0.01")])
        assert outcome.order is not None
        assert outcome.order.remaining == "0.01"
        assert len((await client.cancel_and_place(second, LOW)).cancelled) == 1


def test_the_command_line_amends_and_replaces(exchange: Any) -> None:
    alice = exchange.person()
    with Exchange(exchange.url, LocalWallet(alice.key)) as client:
        order = client.place(LOW)

    def cxdex(*arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "cxdex", "--json", *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"CXDEX_API": exchange.url, "CXDEX_PRIVATE_KEY": alice.key.hex()},
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    assert cxdex("amend", order.id, "0.04")["remaining"] == "0.04"
    new = cxdex(
        "replace", order.id, "--price", "1001", "--tif", "POST_ONLY", "--expires-in", "3600", "--client-id", "x"
    )
    assert (new["replaces"], new["limitPrice"], new["clientOrderId"]) == (order.id, "1001", "x")
