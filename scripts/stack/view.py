"""What the person at the terminal sees: the steps while starting, then one small live panel.

Never: decides anything. Every figure comes from the public API, so what it shows is what a trader would get.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from scripts.stack.layout import PEOPLE, Layout, StackError, demo_address
from scripts.stack.run import Stack

FETCH_TIMEOUT_SECONDS = 2.0
NOTE_SECONDS = 30.0


class Steps:
    """The start, one line a step: a spinner while it runs, its time when it is done."""

    def __init__(self, console: Console, stopping: threading.Event) -> None:
        self._console = console
        self._stopping = stopping
        self._status = console.status("")
        self._title = ""
        self._began = 0.0

    def __enter__(self) -> Steps:
        self._status.start()
        return self

    def __call__(self, title: str) -> None:
        """Announces the next step. Raises StackError when the person has asked to stop."""
        self._finish("[green]ok[/]")
        if self._stopping.is_set():
            raise StackError("interrupted while starting; nothing is left running")
        self._title, self._began = title, time.monotonic()
        self._status.update(title)

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._finish("[green]ok[/]" if kind is None else "[red]no[/]")
        self._status.stop()

    def _finish(self, mark: str) -> None:
        if self._title:
            self._console.print(f"  {mark}  {self._title} [dim]({time.monotonic() - self._began:.1f} s)[/]")
        self._title = ""


class Dashboard:
    """Live figures of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._api = stack.layout.api_url
        self._note = ""
        self._note_until = 0.0

    def note(self, text: str) -> None:
        """Shows a message below the panel for a while."""
        self._note, self._note_until = text, time.monotonic() + NOTE_SECONDS

    def render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for name, value in self._figures():
            table.add_row(Text(name, style="dim"), value)
        parts: list[Any] = [table]
        if self._note and time.monotonic() < self._note_until:
            parts.append(Text(self._note, style="yellow"))
        parts.append(Text("Ctrl-C stops it and keeps the state", style="dim"))
        return Group(*parts)

    def line(self) -> str:
        """The same on one line, where there is no terminal."""
        return "  ".join(f"{name} {value}" for name, value in self._figures())

    def _figures(self) -> list[tuple[str, str]]:
        processes = ", ".join(child.name if child.running else f"{child.name}(down)" for child in self._stack.children)
        rows = [("running", processes)]
        status = self._get("/v1/status")
        if status is None:
            return [*rows, ("API", "not answering")]
        rows.append(("chain", f"block {status['indexer']['block']}, indexer {status['indexer']['lag']} behind"))
        for market in self._data("/v1/markets"):
            rows.append((market["symbol"], self._market_line(market["symbol"])))
        batches = self._data("/v1/settlements?limit=1")
        if batches:
            last = batches[0]
            gas = f", {int(last['gasUsed']) // max(1, last['fills']):,} gas a fill" if last.get("gasUsed") else ""
            rows.append(("last batch", f"#{last['id']} {last['status'].lower()}, {last['fills']} fills{gas}"))
        return rows

    def _market_line(self, symbol: str) -> str:
        book = self._get(f"/v1/book/{symbol}?depth=1") or {}
        trades = self._data(f"/v1/trades/{symbol}?limit=1")
        bid = book["bids"][0][0] if book.get("bids") else "-"
        ask = book["asks"][0][0] if book.get("asks") else "-"
        last = trades[0]["price"] if trades else "-"
        count = f", {int(trades[0]['sequence']) + 1} trades" if trades else ""
        return f"bid {bid}  ask {ask}  last {last}{count}"

    def _data(self, path: str) -> list[Any]:
        answer = self._get(path)
        return answer["data"] if answer else []

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(self._api + path, timeout=FETCH_TIMEOUT_SECONDS) as response:  # noqa: S310
                answer: dict[str, Any] = json.load(response)
                return answer
        except (urllib.error.URLError, OSError, ValueError):
            return None


def welcome(layout: Layout) -> Group:
    """Where everything is, and the demo accounts."""
    table = Table.grid(padding=(0, 2))
    rows: list[tuple[str, str]] = [
        ("API", f"{layout.api_url}/v1/status   {layout.api_url}/docs"),
        ("WebSocket", f"ws://127.0.0.1:{layout.api_port}/v1/ws"),
        ("node", layout.rpc_url),
        ("contracts", str(layout.deployment)),
        ("logs", str(layout.logs)),
        *((person, f"{demo_address(layout.keys[person])}  key {layout.keys[person]}") for person in PEOPLE),
    ]
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    return Group(Text(), table, Text("the demo keys are public: never send them anything of value\n", style="dim"))
