"""The command line `cxdex`. Each command is a few lines: read options, call the client, show the answer.

Promises: exit code 0 when it was done, 1 when the exchange or a contract refused, 2 for wrong usage, 3 when nobody
          can say whether an order is live. One line for a problem, never a traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cxdex.client.errors import OutcomeUnknown
from cxdex.client.transport import DEFAULT_API
from cxdex.command import account, amend, export, market, protection, session, trade
from cxdex.command.context import Settings
from cxdex.command.view import show_problem
from cxdex.problem import Problem

app = typer.Typer(
    name="cxdex",
    help="Trade on the Cxmpute exchange from a shell. Amounts are decimals; every command takes --json.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def settings(
    context: typer.Context,
    api: Annotated[str, typer.Option(envvar="CXDEX_API", help="URL of the exchange")] = DEFAULT_API,
    rpc: Annotated[
        str | None, typer.Option(envvar="CXDEX_RPC_URL", help="URL of an Ethereum node, to move money in and out")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(envvar="CXDEX_KEY_FILE", help="Hex key or encrypted keystore; else CXDEX_PRIVATE_KEY is used"),
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(envvar="CXDEX_DEPLOYMENT", help="The contracts, from a file instead of from the exchange"),
    ] = None,
    session_of: Annotated[
        str | None,
        typer.Option(envvar="CXDEX_SESSION_OF", help="The key is a session key of this account: trade for it"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs")] = False,
) -> None:
    context.obj = Settings(api, rpc, key_file, as_json, deployment, session_of)


for register in (
    trade.register,
    amend.register,
    account.register,
    export.register,
    session.register,
    protection.register,
    market.register,
):
    register(app)


def main() -> None:
    """The entry point of `cxdex` and `python -m cxdex`."""
    as_json = "--json" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]  # it may stand anywhere
    try:
        app(["--json", *arguments] if as_json else arguments, prog_name="cxdex")
    except OutcomeUnknown as problem:
        show_problem(problem, as_json)
        sys.exit(3)
    except Problem as problem:
        show_problem(problem, as_json)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
