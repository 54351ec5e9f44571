"""The quick start's examples, run in their order as they stand (only folder and ports differ)."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from cxdex import AsyncExchange, Exchange, LocalWallet
from cxdex.client.replies import Order
from scripts.stack.layout import Layout
from scripts.stack.run import Stack
from tests.e2e.test_spine import wait_for
from tests.relayer.service.running_engine import until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/quickstart.md").read_text()
MARKET = "sBTC-USDC"


def block(heading: str, language: str = "") -> str:
    """The first example of that language below a heading."""
    section = re.split(r"^## ", PAGE.split(f"## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    pairs = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(next(text for word, text in pairs if word == language))


def shell(script: str, layout: Layout) -> str:
    settings = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "CXDEX_API": layout.api_url,
        "CXDEX_PRIVATE_KEY": layout.keys["alice"],
        "CXDEX_RPC_URL": layout.rpc_url,
    }
    command = f'cxdex() {{ "{sys.executable}" -m cxdex "$@"; }}\n{script}'
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", command],
        env=settings, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_first_hour_on_the_command_line(stack: Stack, layout: Layout) -> None:
    script = block("Trade from the command line")
    assert ".state/keys/alice.key" in script
    assert "http://127.0.0.1:8545" in script
    said = shell(script.replace(".state/", f"{layout.state}/").replace("http://127.0.0.1:8545", layout.rpc_url), layout)
    assert "0 of 0.01" in said, "the first one rests"
    assert "0.01 of 0.01" in said, "the second one does not"
    assert re.search(r"(mined|final)", said)
    assert re.search(r"cancelled 1\b", said)


def test_an_order_is_lowered_and_replaced(stack: Stack, layout: Layout) -> None:
    said = shell(block("Change an order"), layout)
    assert said.count("OPEN") == 2
    assert "at 57001" in said
    with Exchange(layout.api_url, LocalWallet(layout.keys["alice"])) as exchange:

        def replacement() -> Order | None:
            return next((order for order in exchange.orders(MARKET) if order.limit_price == "57001"), None)

        left = wait_for("the tables", replacement)
        assert [order.id for order in exchange.orders(MARKET)] == [left.id]
        assert (left.quantity, left.remaining) == ("0.02", "0.02")
        exchange.cancel(left)


def test_many_steps_in_python(stack: Stack, layout: Layout) -> None:
    with Exchange(layout.api_url, LocalWallet(layout.keys["alice"])) as exchange:
        order, first, second, third = (exchange.buy(MARKET, "0.02", str(56_000 + step)) for step in range(4))
        names = {"exchange": exchange, "order": order, "first": first, "second": second, "third": third}
        code = block("Change an order", "python")
        replaced = code.replace("exchange.replace(order, ", "order = exchange.replace(order, ", 1)  # as a reader would
        exec(compile(replaced, "quickstart", "exec"), names)
        outcomes = names["outcomes"]
        assert [one.outcome for one in outcomes[:3]] == ["accepted"] * 3  # type: ignore[attr-defined]
        assert exchange.order(second.id).remaining == "0.01"
        exchange.cancel_all(MARKET)


def test_a_silent_bots_orders_and_names(stack: Stack, layout: Layout) -> None:
    said = shell(block("When your bot falls silent"), layout)
    assert "all orders are cancelled in 60 s" in said
    assert "cancelled 1\ncancelled 0" in said
    shell("cxdex deadman 0", layout)


def test_orders_over_one_socket_go_with_it(stack: Stack, layout: Layout) -> None:
    lines = block("Orders over one WebSocket", "python")
    code = "async def trade(url, wallet):\n" + textwrap.indent(lines, "    ") + "    return orders\n"
    names: dict[str, object] = {"asyncio": asyncio, "AsyncExchange": AsyncExchange}
    exec(compile(code, "quickstart", "exec"), names)
    wallet = LocalWallet(layout.keys["alice"])

    async def run() -> list[Order]:
        placed: list[Order] = await names["trade"](layout.api_url, wallet)  # type: ignore[operator]
        async with AsyncExchange(layout.api_url, wallet) as exchange:

            async def are_closed() -> list[Order] | None:
                now = [await exchange.order(order.id) for order in placed]
                return None if "OPEN" in {order.status for order in now} else now

            return await until("the cancels", are_closed) or []

    orders = asyncio.run(run())
    assert len({order.id for order in orders}) == 20
    assert [order.reason for order in orders] == ["USER"] + ["DISCONNECTED"] * 19


def test_which_of_ones_own_orders_gives_way_is_said_on_the_command_line(stack: Stack, layout: Layout) -> None:
    with Exchange(layout.api_url, LocalWallet(layout.keys["alice"])) as exchange:
        (ask, _) = exchange.book(MARKET).asks[0]
        between = str(Decimal(ask) - 1)  # the market maker's spread is wider
        resting = exchange.buy(MARKET, "0.01", between)
        said = shell(f"cxdex order {MARKET} sell 0.02 --price {between} --self-trade CANCEL_BOTH", layout)
        assert "CANCELLED (SELF_TRADE)" in said
        assert exchange.order(resting.id).reason == "SELF_TRADE"
