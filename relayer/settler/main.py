"""`python -m relayer settler`: sends matched fills to the chain. Reads the database and the chain, nothing else."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError

from cxdex import logs, metrics
from cxdex.deployment import load_deployment
from cxdex.problem import Problem
from cxdex.rpc import ATTEMPTS, JsonRpc
from cxdex.storage import open_database
from cxdex.wallet import LocalWallet
from relayer.clock import BoundedClock
from relayer.settlement_log.keeper import Keeper
from relayer.settler.chain import SettlementChain
from relayer.settler.endpoints import Endpoints
from relayer.settler.follow import FollowOptions
from relayer.settler.loop import Options, Settler
from relayer.settler.metrics import SettlerMetrics
from relayer.settler.plan import GAS_LIMIT, MOST_FILLS, Limits
from relayer.settler.quarantine import HOLD_SECONDS
from relayer.settler.report import PROMISE_SECONDS
from relayer.settler.store import Store
from relayer.settler.wallet import GWEI, TransactionSigner

ATTEMPTS_OF_SEVERAL = 2  # then another node is asked


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    logs.configure(arguments.log_format)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settler, keeper = _settler(arguments, stop)
    except Problem as problem:
        remedy = f" ({problem.allowed})" if problem.allowed else ""
        print(f"settler: {problem.detail}{remedy}", file=sys.stderr)
        return 1
    except SQLAlchemyError as error:
        print(f"settler: cannot use the database: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    keeping = Thread(target=keeper.run, args=[stop], name="settlement log", daemon=True)
    keeping.start()
    settler.run(stop, lambda: print("ready", flush=True))
    keeping.join()
    return 0


def _settler(arguments: argparse.Namespace, stop: Event) -> tuple[Settler, Keeper]:
    clock = BoundedClock()
    deployment = load_deployment(Path(arguments.deployment))
    wallet = LocalWallet.from_file(arguments.key_file)
    urls = [url.strip() for url in arguments.rpc.split(",") if url.strip()]
    attempts = ATTEMPTS if len(urls) == 1 else ATTEMPTS_OF_SEVERAL
    nodes = [JsonRpc(url, attempts=attempts, sleep=stop.wait) for url in urls]
    chain = SettlementChain(Endpoints(nodes, clock.now_ms, arguments.confirmations), deployment, wallet.account)
    signer = TransactionSigner(wallet, deployment.chain_id, deployment.contracts["Settlement"])
    options = Options(
        Limits(arguments.max_fills, int(arguments.interval * 1000), arguments.gas_limit),
        FollowOptions(
            arguments.confirmations,
            int(arguments.replace_after * 1000),
            int(arguments.fee_cap_gwei * GWEI),
            int(arguments.tip_gwei * GWEI),
        ),
        int(arguments.poll * 1000),
        int(arguments.promise * 1000),
        int(arguments.hold * 1000),
    )
    database, registry = open_database(arguments.database), metrics.new_registry()
    measures = SettlerMetrics(registry, clock.now_ms)
    keeper = Keeper(database, clock.now_ms, measures.logged)
    measures.open_fills.set_function(lambda: keeper.open_fills)
    if arguments.metrics_port is not None:
        metrics.serve(registry, arguments.metrics_host, arguments.metrics_port)
    return Settler(Store(database), chain, signer, options, clock.now_ms, measures, clock.confirm), keeper


def _parser() -> argparse.ArgumentParser:
    state = os.environ.get("CXDEX_STATE", ".state")
    parser = argparse.ArgumentParser(prog="python -m relayer settler", description=__doc__)
    parser.add_argument("--database", default=os.environ.get("CXDEX_DATABASE_URL", f"sqlite:///{state}/exchange.db"))
    parser.add_argument(
        "--rpc",
        default=os.environ.get("CXDEX_RPC_URL", "http://127.0.0.1:8545"),
        help="node's URL; several, separated by commas, in the order of preference",
    )
    parser.add_argument("--deployment", default=f"{state}/deployment.json", help="addresses of the contracts")
    parser.add_argument("--key-file", required=True, help="file with CORE's private key, hexadecimal")
    parser.add_argument("--interval", type=_positive, default=30.0, help="seconds from a batch's first fill to its end")
    parser.add_argument("--max-fills", type=_count, default=MOST_FILLS, help="fills in a batch, if fewer than fit")
    parser.add_argument("--gas-limit", type=_gas, default=GAS_LIMIT, help="gas that a batch may use")
    parser.add_argument("--promise", type=_positive, default=PROMISE_SECONDS, help="seconds that a fill may wait")
    parser.add_argument("--hold", type=_positive, default=HOLD_SECONDS, help="seconds a market waits for a bad fill")
    parser.add_argument("--confirmations", type=_count, default=12, help="blocks after which a batch is final")
    parser.add_argument("--replace-after", type=_positive, default=45.0, help="seconds until a stuck one pays more")
    parser.add_argument("--fee-cap-gwei", type=_positive, default=100.0, help="most to pay for a unit of gas")
    parser.add_argument("--tip-gwei", type=_positive, default=1.0, help="of it to the block's proposer")
    parser.add_argument("--poll", type=_positive, default=0.5, help="seconds between looks at the database and chain")
    logs.add_options(parser)
    metrics.add_options(parser)
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 10**9:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {10**9}")
    return value


def _gas(text: str) -> int:
    value, most = _count(text), GAS_LIMIT
    if value > most:
        raise argparse.ArgumentTypeError(f"must be at most {most}: no transaction may use more, margin included")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)
