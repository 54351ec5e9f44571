"""What the bots' command lines share: keys, stopping, and going on when something is away."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from cxdex.client.transport import DEFAULT_API
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet

WAIT_SECONDS = 1.0


class Bot:
    """Runs a turn again and again until SIGTERM or Ctrl-C. What a turn cannot do now, the next one tries again."""

    def __init__(self, name: str) -> None:
        logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO, stream=sys.stderr)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.log = logging.getLogger(name)
        self.stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())

    def wait_for(self, what: str, attempt: Callable[[], object]) -> bool:
        """Until `attempt` succeeds, then says "ready". False when the bot was told to stop first."""
        while not self.stopping.is_set():
            try:
                attempt()
            except Problem as problem:
                self.log.warning("waiting for %s: %s", what, problem)
                self.stopping.wait(WAIT_SECONDS)
            else:
                print("ready", flush=True)
                return True
        return False

    def repeat(self, turn: Callable[[], str], pause: Callable[[], float]) -> None:
        """One status line a turn; `pause` in seconds."""
        while not self.stopping.is_set():
            try:
                self.log.info("%s", turn())
            except Problem as problem:
                self.log.warning("%s", problem)
            self.stopping.wait(pause())


def add_exchange_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--api", default=os.environ.get("CXDEX_API", DEFAULT_API), help="URL of the exchange")
    parser.add_argument("--markets", default="sBTC-USDC,sETH-USDC", help="comma-separated")
    add_key_argument(parser)


def add_key_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key-file", type=Path, required=True, help="file with the private key, or a keystore")


def add_price_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the random walk; the same seed is the same price")
    parser.add_argument("--prices", type=Path, help="CSV of timestamp,price[,market] instead of the random walk")


def wallet_of(arguments: argparse.Namespace) -> LocalWallet:
    return LocalWallet.from_file(arguments.key_file, os.environ.get("CXDEX_KEYSTORE_PASSWORD"))


def run_command(main: Callable[[], None]) -> int:
    """Exit code 2 and one line for what the person who started it can put right."""
    try:
        main()
    except Problem as problem:
        hint = f" (allowed: {problem.allowed})" if problem.allowed else ""
        print(f"{problem}{hint}", file=sys.stderr)
        return 2
    return 0
