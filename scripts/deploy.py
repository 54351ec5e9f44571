"""Deploys the exchange, or does nothing where it is deployed already.

    python -m scripts.deploy --rpc URL --keys FOLDER --out deployment.json
    ape run deploy --network ethereum:local:foundry

The steps are in `scripts.exchange`. (A module that ape runs cannot define dataclasses: it is not in sys.modules.)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from cxdex.deployment import Deployment
from cxdex.problem import Problem
from scripts.artifacts import ROOT
from scripts.exchange import DAY, DEVELOPMENT_CHAINS, Options, deploy
from scripts.keys import load_keys

__all__ = ["Options", "deploy"]


def report(deployment: Deployment, path: Path) -> None:
    """Prints who is where and who holds which role."""
    content = json.loads(path.read_text())
    print(f"chain {deployment.chain_id}, from block {deployment.deployed_block}, written to {path}")
    for group in ("contracts", "roles"):
        for name, address in content[group].items():
            print(f"  {name:15} {address}")


def run(rpc_url: str, keys: Mapping[str, str], out_path: Path, options: Options) -> int:
    try:
        report(deploy(rpc_url, keys, out_path, options, lambda line: print(f"  ... {line}")), out_path)
    except Problem as problem:
        print(f"{problem}" + (f" (wanted: {problem.allowed})" if problem.allowed else ""), file=sys.stderr)
        return 1
    return 0


def _address(text: str) -> bytes:
    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise argparse.ArgumentTypeError(f"{text} is no address: 0x and 40 hexadecimal digits")
    return bytes.fromhex(text[2:])


def main() -> None:
    """For `ape run deploy`. CXDEX_KEYS names the folder of keys, CXDEX_DEPLOYMENT the file, CXDEX_USDC the token.

    On a development chain the demo keys and the mock are used, and the demo accounts are funded.
    """
    from ape import networks

    from scripts.stack.layout import demo_keys

    rpc_url, chain_id = networks.provider.http_uri, networks.provider.chain_id
    local = chain_id in DEVELOPMENT_CHAINS
    default_path = ROOT / ".build" / f"deployment-{chain_id}.json"
    path = Path(os.environ.get("CXDEX_DEPLOYMENT", default_path))
    usdc = os.environ.get("CXDEX_USDC")
    keys = demo_keys() if local else load_keys(Path(os.environ.get("CXDEX_KEYS", "keys")))
    options = Options(demo=local, usdc=_address(usdc) if usdc else None)
    if run(rpc_url, keys, path, options):
        raise SystemExit(1)


def command() -> int:
    parser = argparse.ArgumentParser(
        prog="deploy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rpc", required=True, help="the node's URL")
    parser.add_argument("--keys", type=Path, required=True, help="folder with one key file a role")
    parser.add_argument("--out", type=Path, required=True, help="where to write deployment.json")
    parser.add_argument(
        "--usdc", type=_address, help="address of USDC; without it a mock is deployed (development chains only)"
    )
    parser.add_argument("--upgrade-delay", type=int, default=DAY, help="seconds that an upgrade waits, at least 86400")
    parser.add_argument("--withdrawal-delay", type=int, default=3600, help="seconds, at most 21600")
    given = parser.parse_args()
    options = Options(
        upgrade_delay=given.upgrade_delay,
        withdrawal_delay=given.withdrawal_delay,
        usdc=given.usdc,
    )
    try:
        keys = load_keys(given.keys)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return run(given.rpc, keys, given.out, options)


if __name__ == "__main__":
    sys.exit(command())
