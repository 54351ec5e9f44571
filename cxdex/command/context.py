"""What every command needs: which exchange, which node, which key. From options, else from the environment.

Never: prints a key, or asks for a password when nobody can type one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from cxdex.client import Exchange
from cxdex.deployment import load_deployment
from cxdex.problem import Problem
from cxdex.wallet import LocalWallet, SessionWallet, Wallet


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options. `as_json`: print what a program wants to read."""

    api: str
    rpc_url: str | None
    key_file: Path | None
    as_json: bool
    deployment: Path | None = None
    session_of: str | None = None

    @contextmanager
    def exchange(self, *, signed: bool = True) -> Iterator[Exchange]:
        """A client; with a wallet unless `signed` is False. Raises Problem KEY_MISSING."""
        wallet = self.wallet() if signed else None
        deployment = None if self.deployment is None else load_deployment(self.deployment)
        with Exchange(self.api, wallet, rpc_url=self.rpc_url, deployment=deployment) as exchange:
            yield exchange

    def wallet(self) -> Wallet:
        if self.key_file is not None:
            wallet = LocalWallet.from_file(self.key_file, _password(self.key_file))
            return wallet if self.session_of is None else wallet.as_session_of(self.session_of)
        key = os.environ.get("CXDEX_PRIVATE_KEY")
        if key:
            return LocalWallet(key) if self.session_of is None else SessionWallet(key, self.session_of)
        raise Problem(
            "KEY_MISSING",
            "this needs a private key",
            allowed="--key-file FILE (a hex key or an encrypted keystore), CXDEX_KEY_FILE or CXDEX_PRIVATE_KEY",
        )


def _password(path: Path) -> str | None:
    """Of a keystore: from CXDEX_KEYSTORE_PASSWORD, else typed. None when the file is not encrypted."""
    given = os.environ.get("CXDEX_KEYSTORE_PASSWORD")
    if given is not None or not _is_keystore(path) or not sys.stdin.isatty():
        return given
    return getpass(f"Password of {path}: ")


def _is_keystore(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text()), dict)
    except (OSError, ValueError):
        return False
