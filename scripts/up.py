"""`make up`: runs the whole exchange on this machine until Ctrl-C, and shows how it is doing.

Exit code 0 after Ctrl-C, 2 when it could not start or had to stop; the reason is one message with a remedy.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from rich.console import Console
from rich.live import Live

from scripts.stack.layout import USUAL_NODE_PORT, Layout, StackError, usual_or_free_port
from scripts.stack.run import Stack, only_one
from scripts.stack.view import Dashboard, Steps, welcome

REFRESH_SECONDS = 1.0
PLAIN_REFRESH_SECONDS = 15.0


def main() -> int:
    arguments = parse_arguments()
    arguments.state = arguments.state.resolve()  # the children run from the repository
    console = Console(highlight=False)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with only_one(arguments.state):
            return run(layout_from(arguments), console, stopping)
    except StackError as problem:
        console.print(f"\n[bold red]stopped[/]  {problem}", soft_wrap=True)
        return 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="up", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".state"), help="folder of the exchange's state")
    parser.add_argument("--api-port", type=int, default=8000)
    parser.add_argument("--node-port", type=int, help="port of the local Ethereum node (default: 8545, or a free one)")
    parser.add_argument("--settle-seconds", type=float, default=2.0, help="longest wait before a batch is sent")
    parser.add_argument(
        "--prices", type=Path, help="CSV of timestamp,price for the market maker instead of a random walk"
    )
    parser.add_argument("--no-bots", action="store_true", help="no market maker, taker and price reporter")
    return parser.parse_args()


def layout_from(arguments: argparse.Namespace) -> Layout:
    if arguments.prices is not None and not arguments.prices.is_file():
        raise StackError(f"--prices {arguments.prices}: no such file")
    return Layout(
        state=arguments.state,
        api_port=arguments.api_port,
        node_port=arguments.node_port or usual_or_free_port(USUAL_NODE_PORT),
        settle_seconds=arguments.settle_seconds,
        bots=not arguments.no_bots,
        prices=arguments.prices,
    )


def run(layout: Layout, console: Console, stopping: threading.Event) -> int:
    stack = Stack(layout)
    with Steps(console, stopping) as steps:
        stack.start(steps)
    console.print(welcome(layout))
    dashboard = Dashboard(stack)
    try:
        if console.is_terminal:
            with Live(dashboard.render(), console=console, refresh_per_second=4, transient=True) as live:
                while not stopping.wait(REFRESH_SECONDS):
                    stack.heal(dashboard.note)
                    live.update(dashboard.render())
        else:
            while not stopping.wait(PLAIN_REFRESH_SECONDS):
                stack.heal(console.print)
                console.print(dashboard.line())
    finally:
        console.print("\nstopping: bots, API, settler, engine, indexer, node")
        stack.stop()
    console.print(f"stopped; the state is kept in {layout.state}. `make up` goes on from here, `make reset` wipes it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
