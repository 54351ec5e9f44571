"""Where the local exchange keeps what, which ports it uses, and which demo key plays which role.

The keys come from the well-known development mnemonic that every local Ethereum node ships with. They are
public: never send them anything of value.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from eth_account import Account

MNEMONIC = "test test test test test test test test test test test junk"
ROLES = (
    "deployer", "core", "gateway", "admin", "guardian", "reporter", "alice", "bob", "carol", "maker", "taker",
    "cosigner", "reporter2", "reporter3",
)  # fmt: skip
PEOPLE = ("alice", "bob", "carol")
CHAIN_ID = 31337
USUAL_NODE_PORT = 8545
FIRST_FREE_PORT, LAST_FREE_PORT = 15_000, 32_000
HOST = "127.0.0.1"


class StackError(Exception):
    """Why the exchange cannot start or go on, and what to do, in words for the person at the terminal."""


@dataclass(frozen=True)
class Layout:
    """One running exchange. Two of them on one machine differ in `state` and in the ports."""

    state: Path
    api_port: int
    node_port: int
    settle_seconds: float = 2.0
    withdrawal_delay: int = 30
    price_seconds: float = 20.0  # between the reporters' prices
    bots: bool = True
    prices: Path | None = None
    engine_options: tuple[str, ...] = ()
    database: str | None = None  # a URL; None: SQLite in `state`
    keys: dict[str, str] = field(default_factory=lambda: demo_keys())

    @property
    def rpc_url(self) -> str:
        return f"http://{HOST}:{self.node_port}"

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.state / 'exchange.db'}"

    @property
    def deployment(self) -> Path:
        return self.state / "deployment.json"

    @property
    def node_state(self) -> Path:
        return self.state / "anvil.json"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def key_file(self, role: str) -> Path:
        return self.state / "keys" / f"{role}.key"

    def prepare(self) -> None:
        """Makes the folders and writes the demo keys, readable by the owner only."""
        self.logs.mkdir(parents=True, exist_ok=True)
        (self.state / "keys").mkdir(exist_ok=True)
        for role, key in self.keys.items():
            path = self.key_file(role)
            if not path.exists():
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w") as file:
                    file.write(key + "\n")


def demo_keys() -> dict[str, str]:
    """Role name to private key, 0x hex."""
    Account.enable_unaudited_hdwallet_features()
    return {
        role: "0x"
        + Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key.hex().removeprefix("0x")
        for index, role in enumerate(ROLES)
    }


def demo_address(key: str) -> str:
    address: str = Account.from_key(key).address
    return address


def free_port() -> int:
    """A port that nothing listens on, for a process that binds it a moment later.

    It lies below the ports that the kernel gives to outgoing connections, any of which could take it meanwhile, and
    is drawn afresh each time: whoever else looks for one at this moment draws another.
    """
    while True:
        port = FIRST_FREE_PORT + secrets.randbelow(LAST_FREE_PORT - FIRST_FREE_PORT)
        with suppress(StackError):
            require_free_port(port, "")
            return port


def usual_or_free_port(usual: int) -> int:
    """The port that people expect, or any free one where it is taken."""
    try:
        require_free_port(usual, "")
    except StackError:
        return free_port()
    return usual


def require_free_port(port: int, remedy: str) -> None:
    """Raises StackError when something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise StackError(f"port {port} on {HOST} is in use. {remedy}") from None
