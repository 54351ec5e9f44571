"""How the command shows things: tables for people, one JSON document for programs, one line for a problem."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from cxdex.client.replies import Book, Fill, Order, SettledFill
from cxdex.client.settlements import FillChange
from cxdex.problem import Problem

NUMBER_COLUMNS = frozenset(
    [
        "price",
        "quantity",
        "filled",
        "fee",
        "total",
        "available",
        "reserved",
        "settled",
        "leaving",
        "amount",
        "paid",
        "tick",
        "lot",
        "left",
    ]
)

FOLDED_COLUMNS = ("id", "transaction", "order")
PIPE_WIDTH = 250  # a pipe sees whole ids, one row a line

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def show_json(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show_json_line(value: Any) -> None:
    print(msgspec.json.encode(value).decode(), flush=True)


def show_fill_change(change: FillChange) -> None:
    settlement = change.settlement
    told = settlement.status if settlement.reason is None else f"{settlement.status} {settlement.reason}"
    text = f"{moment(change.time)}  match {change.match_id}  {side(change.side)} {change.quantity} {change.market}"
    text += f" at {change.price}  [bold]{told}[/]"
    if settlement.transaction is not None:
        text += f"  [dim]{settlement.transaction}[/]"
    console.print(text if settlement.block is None else f"{text}  block {settlement.block}")


def show_problem(problem: Problem, as_json: bool) -> None:
    """One clear line: the code, what is wrong, what would be right."""
    if as_json:
        names = ("code", "detail", "field", "given", "allowed")
        show_json({name: getattr(problem, name) for name in names if getattr(problem, name) is not None})
        return
    text = f"[bold red]{problem.code}[/] {escape(problem.detail)}"
    hints = [f"[dim]given:[/] {escape(problem.given)}"] if problem.given is not None else []
    if problem.allowed is not None:
        hints.append(f"[green]allowed: {escape(problem.allowed)}[/]")
    if hints:
        text += f" ({'; '.join(hints)})"
    errors.print(text)


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    if not rows:
        console.print(f"[dim]{empty}[/]")
        return
    table = Table(title=title or None, box=None, header_style="dim", title_justify="left", pad_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column in NUMBER_COLUMNS else "left"
        table.add_column(column, justify=justify, no_wrap=column not in FOLDED_COLUMNS, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def show_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    for name, value in pairs:
        if value is not None:
            table.add_row(name, str(value))
    console.print(table)


def show_order(order: Order) -> None:
    status = order.status if order.reason in (None, order.status) else f"{order.status} ({order.reason})"
    show_pairs(
        [
            ("id", order.id),
            ("order", f"{side(order.side)} {order.quantity} {order.market} at {order.limit_price}"),
            ("type", f"{order.order_type} {order.time_in_force}"),
            ("status", status),
            ("waits for", order.condition and f"{order.condition.trigger} {order.condition.trigger_price}"),
            ("shows", order.display_quantity),
            ("filled", f"{order.filled} of {order.quantity}"),
            ("open", order.remaining if order.status in ("OPEN", "PENDING") else None),
            ("expires", moment(int(order.expiry) * 1_000)),
        ]
    )


def show_orders(orders: Sequence[Order]) -> None:
    show_rows(
        "",
        ("time", "market", "side", "quantity", "price", "filled", "status", "id"),
        [
            (moment(o.created_at), o.market, side(o.side), o.quantity, o.limit_price, o.filled, o.status, o.id)
            for o in orders
        ],
        "no orders",
    )


def show_fills(fills: Sequence[Fill]) -> None:
    show_rows(
        "",
        ("time", "market", "side", "quantity", "price", "fee", "role", "settlement", "transaction"),
        [
            (
                *(moment(f.time), f.market, side(f.side), f.quantity, f.price, f.fee, f.role),
                f.settlement.status if f.settlement.reason is None else f"{f.settlement.status} {f.settlement.reason}",
                f.settlement.transaction,
            )
            for f in fills
        ],
        "no fills yet",
    )


def show_settled_fills(fills: Sequence[SettledFill]) -> None:
    show_rows(
        "",
        ("time", "market", "side", "quantity", "price", "fee", "role", "block", "transaction", "order"),
        [
            (
                *(moment(f.time), f.market, side(f.side), f.quantity, f.price, f.fee, f.role, f.block, f.transaction),
                f.order_id or f"nonce {f.nonce}, id ends in {f.digest_tail[2:]}",
            )
            for f in fills
        ],
        "nothing has settled yet",
    )


def show_book(market: str, book: Book) -> None:
    """Asks above bids, the spread between them, as traders read it."""
    table = Table(title=market, box=None, header_style="dim", title_justify="left", pad_edge=False)
    table.add_column("price", justify="right")
    table.add_column("quantity", justify="right")
    for price, quantity in reversed(book.asks):
        table.add_row(f"[red]{price}[/]", quantity)
    table.add_row("[dim]·[/]", "")
    for price, quantity in book.bids:
        table.add_row(f"[green]{price}[/]", quantity)
    console.print(table)


def side(word: str) -> str:
    return f"[green]{word}[/]" if word == "BUY" else f"[red]{word}[/]"


def moment(milliseconds: int) -> str:
    """Local time, to the second."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
