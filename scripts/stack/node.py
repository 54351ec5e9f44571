"""The local Ethereum node: anvil, from the npm registry, with its state in a file."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from scripts.stack.layout import CHAIN_ID, HOST, MNEMONIC, ROLES, Layout, StackError
from scripts.stack.processes import ROOT, Child

BLOCK_SECONDS = 2  # a block at least this often; a transaction is mined at once
STATE_DUMP_SECONDS = 20
RPC_TIMEOUT_SECONDS = 10


def node_process(layout: Layout, environment: dict[str, str] | None = None) -> Child:
    command = [
        str(anvil_binary()),
        "--host", HOST,
        "--port", str(layout.node_port),
        "--chain-id", str(CHAIN_ID),
        "--mnemonic", MNEMONIC,
        "--accounts", str(len(ROLES)),
        "--hardfork", "prague",
        "--enable-tx-gas-limit",
        "--block-time", str(BLOCK_SECONDS),
        "--mixed-mining",
        "--state", str(layout.node_state),
        "--state-interval", str(STATE_DUMP_SECONDS),
        "--silent",
    ]  # fmt: skip
    log = layout.logs / "node.log"
    return Child("node", command, log, environment=environment, is_ready=lambda: responds(layout.rpc_url))


def anvil_binary() -> Path:
    """The pinned node. Raises StackError when it is not installed."""
    found = sorted(ROOT.glob("node_modules/@foundry-rs/anvil-*/bin/anvil*"))
    if found:
        return found[0]
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    raise StackError("the local node (anvil) is not installed. Run `make install`.")


def responds(rpc_url: str) -> bool:
    try:
        return int(str(rpc_call(rpc_url, "eth_chainId")), 16) == CHAIN_ID
    except StackError:
        return False


def rpc_call(rpc_url: str, method: str, *params: object) -> object:
    """One JSON-RPC call. Raises StackError when the node is away or refuses."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(rpc_url, body, {"content-type": "application/json"})  # noqa: S310 - our own node
    try:
        with urllib.request.urlopen(request, timeout=RPC_TIMEOUT_SECONDS) as response:  # noqa: S310
            answer = json.load(response)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StackError(f"the node at {rpc_url} does not answer ({error}). Is it running?") from error
    if "error" in answer:
        raise StackError(f"the node refused {method}: {answer['error'].get('message', answer['error'])}")
    result: object = answer["result"]
    return result
