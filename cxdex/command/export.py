"""`cxdex export`: an account's whole history as CSV, every page of it.

Owns:     the columns: the fields of a reply in their order, those of what is inside one named `settlement.status`.
Promises: one row each, newest first, none left out and none twice; values as the exchange gave them, times in unix
          milliseconds. A file is there whole, or as it was before.
Never:    rounds, converts or guesses.
"""

from __future__ import annotations

import csv
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer

from cxdex.client.exchange import Exchange
from cxdex.client.replies import Fill, Order, SettledFill, Withdrawal
from cxdex.command import view
from cxdex.command.context import Settings
from cxdex.problem import Problem

Kind = tuple[type[msgspec.Struct], Callable[[Exchange], Sequence[msgspec.Struct]]]
KINDS: Mapping[str, Kind] = {
    "fills": (Fill, lambda exchange: exchange.fills(None)),
    "settled-fills": (SettledFill, lambda exchange: exchange.settled_fills(None)),
    "orders": (Order, lambda exchange: exchange.orders(status=None)),
    "withdrawals": (Withdrawal, lambda exchange: exchange.withdrawals(None)),
}


PLACEMENT_ONLY = "fills"  # of an order: what placing it matched at once; the list of orders has none


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    out: Annotated[Path | None, typer.Option(help="a file; without it, to the screen")] = None,
) -> None:
    """All your fills, orders or withdrawals as CSV: cxdex export fills --out fills.csv"""
    settings: Settings = context.obj
    if what not in KINDS:
        raise Problem("OPTION_INVALID", "there is no such history", given=what, allowed=", ".join(KINDS))
    kind, read = KINDS[what]
    with settings.exchange() as exchange:
        rows = read(exchange)
    if out is None:
        write_csv(sys.stdout, kind, rows)
        return
    beside = out.with_name(out.name + ".part")
    try:
        with beside.open("w", newline="") as file:
            write_csv(file, kind, rows)
        beside.replace(out)
    except OSError as error:
        raise Problem("OPTION_INVALID", f"the file cannot be written: {error.strerror}", given=str(out)) from None
    view.show_json({"rows": len(rows)}) if settings.as_json else view.console.print(f"{len(rows)} rows in {out}")


def write_csv(out: TextIO, kind: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> None:
    names = list(columns(kind))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(cells(row)) for row in rows)


def columns(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        inner = _struct_in(hints[field.name])
        if field.name == PLACEMENT_ONLY:
            continue
        if inner is None:
            yield prefix + field.encode_name
        else:
            yield from columns(inner, f"{prefix}{field.encode_name}.")


def cells(row: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(row):
        value = getattr(row, field.name)
        if field.name == PLACEMENT_ONLY:
            continue
        if isinstance(value, msgspec.Struct):
            yield from cells(value, f"{prefix}{field.encode_name}.")
        elif isinstance(value, list):
            yield prefix + field.encode_name, json.dumps(value)
        elif isinstance(value, bool):
            yield prefix + field.encode_name, str(value).lower()
        elif value is not None:
            yield prefix + field.encode_name, value


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """Of `Settlement` and of `Settlement | None`: Settlement."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    found = [one for one in choices if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return found[0] if found else None
