"""The order in which the exchange starts and stops, and what is done when a part of it dies.

Start:  node, contracts, indexer, engine, settler, API, then the bots (each only when the one before serves).
Stop:   the other way round, so that nothing is asked of a part that has gone.
Crash:  a service is started again, with a pause that doubles; a dead node stops the exchange, because only a
        person can say whether its state is still the one the others know.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cxdex.problem import Problem
from scripts.keys import REPORTERS
from scripts.stack.layout import Layout, StackError, require_free_port
from scripts.stack.node import node_process, responds, rpc_call
from scripts.stack.processes import MARKER, Child, python, stop_leftovers

MAX_RESTARTS = 5
RESTART_PAUSE_SECONDS = 1.0
HEALTHY_SECONDS = 60.0

Progress = Callable[[str], object]


@dataclass
class Stack:
    """A running exchange. `children` in start order."""

    layout: Layout
    children: list[Child] = field(default_factory=list)
    _down_since: dict[str, float] = field(default_factory=dict)

    def child(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)

    def start(self, progress: Progress = lambda _title: None) -> None:
        """Brings everything up. Raises StackError; what had started is stopped again."""
        layout = self.layout
        layout.prepare()
        try:
            if stop_leftovers(layout.state):
                progress("what an earlier exchange had left running is stopped")
            progress("local Ethereum node")
            require_free_port(layout.node_port, "Pass another with --node-port.")
            require_free_port(layout.api_port, "Pass another one: `make up API_PORT=8001`.")
            self._add(node_process(layout, marker(layout)))
            progress("contracts, compiled and deployed")
            self.deploy()
            for title, child in service_processes(layout):
                progress(title)
                self._add(child)
            if layout.bots:
                for title, child in bot_processes(layout):
                    progress(title)
                    self._add(child)
        except BaseException:
            self.stop()
            raise

    def deploy(self) -> None:
        # Imported here: the compiler takes seconds to load, and a resumed exchange does not need it.
        from scripts.exchange import Options, deploy

        layout = self.layout
        options = Options(demo=True, withdrawal_delay=layout.withdrawal_delay)
        try:
            deploy(layout.rpc_url, layout.keys, layout.deployment, options)
        except Problem as problem:
            raise StackError(f"the contracts could not be deployed: {problem}") from problem

    def stop(self) -> None:
        for child in reversed(self.children):
            child.stop()

    def heal(self, report: Progress) -> None:
        """Restarts services that died. Raises StackError when the node is gone or a service keeps dying."""
        now = time.monotonic()
        for child in self.children:
            if child.running:
                if now - self._down_since.get(child.name, now) > HEALTHY_SECONDS:
                    child.restarts = 0
                continue
            if child.name == "node":
                raise StackError(
                    f"the local node has died. The end of {child.log}:\n{child.tail()}\n"
                    "Run `make up` to go on from its last saved state, or `make reset` to start afresh."
                )
            if child.restarts >= MAX_RESTARTS:
                raise StackError(f"{child.name} keeps dying. The end of {child.log}:\n{child.tail()}")
            time.sleep(RESTART_PAUSE_SECONDS * 2**child.restarts)
            report(f"{child.name} died and is started again (see {child.log})")
            self._down_since[child.name] = time.monotonic()
            child.restart()

    def block_number(self) -> int:
        return int(str(rpc_call(self.layout.rpc_url, "eth_blockNumber")), 16)

    def node_serves(self) -> bool:
        return responds(self.layout.rpc_url)

    def _add(self, child: Child) -> None:
        self.children.append(child)
        child.start()


def service_processes(layout: Layout) -> Iterator[tuple[str, Child]]:
    database = ["--database", layout.database_url]
    chain = ["--rpc", layout.rpc_url, "--deployment", str(layout.deployment)]
    state = ["--state", str(layout.state)]
    yield "indexer", _service(layout, "indexer", "indexer", "run", *database, *chain)
    yield (
        "matching engine",
        _service(
            layout, "engine", "relayer", "engine", *state, *database,
            "--cosigner-key-file", str(layout.key_file("cosigner")), *layout.engine_options,
        ),
    )  # fmt: skip
    yield (
        "settler",
        _service(
            layout, "settler", "relayer", "settler", *database, *chain,
            "--key-file", str(layout.key_file("core")), "--interval", str(layout.settle_seconds),
        ),
    )  # fmt: skip
    yield (
        "API",
        _service(layout, "api", "api", "--port", str(layout.api_port), *state, *database, "--rpc", layout.rpc_url),
    )


def bot_processes(layout: Layout) -> Iterator[tuple[str, Child]]:
    prices = ["--prices", str(layout.prices)] if layout.prices else []
    chain = ["--rpc", layout.rpc_url, "--deployment", str(layout.deployment)]
    yield (
        "price reporter",
        _service(
            layout, "price reporter", "scripts.price_reporter", *chain, "--interval", str(layout.price_seconds),
            *(part for name in REPORTERS for part in ("--key-file", str(layout.key_file(name)))), *prices,
        ),
    )  # fmt: skip
    api = ["--api", layout.api_url]
    yield (
        "market maker, 5 levels a side",
        _service(
            layout, "market maker", "scripts.market_maker", *api, "--key-file", str(layout.key_file("maker")), *prices
        ),
    )
    yield (
        "demo taker",
        _service(layout, "taker", "scripts.demo_taker", *api, "--key-file", str(layout.key_file("taker"))),
    )


def _service(layout: Layout, name: str, module: str, *arguments: str) -> Child:
    log = layout.logs / f"{name.replace(' ', '-')}.log"
    return Child(name, python("-m", module, *arguments), log, environment=marker(layout))


def marker(layout: Layout) -> dict[str, str]:
    return {MARKER: str(layout.state.resolve())}


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Holds the state folder's lock. Raises StackError naming the process that has it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise StackError(
                f"an exchange is already running on {state} (process {file.read().strip() or 'unknown'}). "
                "Stop it with Ctrl-C, or use another folder: `make up STATE=.state2 API_PORT=8001`."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
