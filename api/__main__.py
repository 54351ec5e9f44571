"""`python -m api`: serves the API until SIGTERM or SIGINT. Prints `ready` when it listens."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from api.app import create_app
from api.context import MAX_LAG_BLOCKS, Settings
from api.frame_socket import FrameSocket
from api.request_socket import RequestSocket
from cxdex import logs
from cxdex.deployment import load_deployment
from cxdex.problem import Problem

EXIT_USAGE = 2
SHUTDOWN_SECONDS = 5
IDLE_SECONDS = 75  # longer than proxies and our own client keep a connection: who closes first must be the one who asks
MAX_PORT = 65_535
MAX_SOCKET_MESSAGE = 512 * 1024  # above what is answered with BODY_TOO_LARGE


def main() -> int:
    arguments = _parse()
    logs.configure(arguments.log_format)
    try:
        listener = _listen(arguments.host, arguments.port)
        state = Path(arguments.state)
        deployment = load_deployment(arguments.deployment or state / "deployment.json")
        database = arguments.database or f"sqlite:///{state / 'exchange.db'}"
        app = create_app(
            Settings(state, database, arguments.rpc, deployment, arguments.max_lag_blocks, arguments.metrics)
        )
    except Problem as problem:
        return _refuse(f"{problem.detail} ({problem.allowed})" if problem.allowed else problem.detail)
    except (SQLAlchemyError, ImportError) as error:  # ImportError: the URL names a driver that is not installed
        reason = str(error).splitlines()[0]
        return _refuse(f"the database cannot be used: {reason} (sqlite:///path or postgresql+psycopg://...)")
    except OSError as error:
        return _refuse(f"{error.strerror}: {error.filename}")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=RequestSocket,
        ws=FrameSocket,
        ws_max_size=MAX_SOCKET_MESSAGE,
        ws_per_message_deflate=False,  # compressing every message for every subscriber costs more than it saves
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    _Server(config).run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """Says `ready` once it accepts connections. A signal ends it with status 0: it is how it is meant to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.freeze()  # what is here now stays: no later collection stops everybody to look through it
            print("ready", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api", description="The HTTP and WebSocket API of the exchange.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8000)
    parser.add_argument("--state", default=os.environ.get("CXDEX_STATE", ".state"), help="folder of this exchange")
    parser.add_argument(
        "--database", default=os.environ.get("CXDEX_DATABASE_URL"), help="default: exchange.db in --state"
    )
    parser.add_argument("--rpc", default=os.environ.get("CXDEX_RPC_URL", "http://127.0.0.1:8545"), help="Ethereum node")
    parser.add_argument("--deployment", type=Path, help="default: deployment.json in --state")
    parser.add_argument("--metrics", action="store_true", help="serve GET /metrics on this port (default: do not)")
    parser.add_argument(
        "--max-lag-blocks",
        type=_blocks,
        default=MAX_LAG_BLOCKS,
        metavar="N",
        help="/v1/health/ready says 503 when the indexer is further behind (default %(default)s)",
    )
    logs.add_options(parser)
    return parser.parse_args()


def _refuse(reason: str) -> int:
    print(f"api: {reason}", file=sys.stderr)
    return EXIT_USAGE


def _blocks(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of blocks")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to {MAX_PORT}")
    return int(text)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises Problem PORT_UNAVAILABLE."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Problem(
            "PORT_UNAVAILABLE", f"cannot listen on {host}:{port}: {reason}", allowed="choose another one with --port"
        ) from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
