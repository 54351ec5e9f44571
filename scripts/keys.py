"""Private keys of the roles, from a folder with one file a role: `deployer.key`, `core.key`, and so on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cxdex.problem import Problem

REPORTERS = ("reporter", "reporter2", "reporter3")  # whose prices the Oracle counts
DEPLOY_ROLES = ("deployer", "core", "gateway", "admin", "guardian", "cosigner", *REPORTERS)


def load_keys(folder: Path, names: Iterable[str] = DEPLOY_ROLES) -> dict[str, str]:
    """Name to private key, 0x hex. Raises Problem KEY_MISSING naming the file."""
    keys = {}
    for name in names:
        path = folder / f"{name}.key"
        try:
            keys[name] = path.read_text().strip()
        except OSError:
            raise Problem("KEY_MISSING", f"no key at {path}", allowed="one file a role, with the key in hex") from None
    return keys
