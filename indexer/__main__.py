"""The indexer's command line: `python -m indexer run | rebuild | audit`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, OperationalError

from cxdex import logs, metrics
from cxdex.deployment import Deployment, load_deployment
from cxdex.problem import Problem
from cxdex.storage import open_database
from indexer import audit, rebuild
from indexer.decode import Decoder
from indexer.follow import Follower
from indexer.lock import only_writer
from indexer.metrics import IndexerMetrics
from indexer.node import Node, NodeAway, NodeRefused
from indexer.run import POLL_SECONDS, Runner, relax_collector
from indexer.store import FINALITY_DEPTH, Store

EXIT_DIFFERENT = 1
EXIT_HALTED = 2


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    logs.configure(given.log_format)
    try:
        code: int = given.command(given, load_deployment(given.deployment), open_database(given.database))
        return code
    except Problem as problem:
        remedy = f" ({problem.allowed})" if problem.allowed else ""
        print(f"indexer: {problem.detail}{remedy} [{problem.code}]", file=sys.stderr)
    except (NodeAway, NodeRefused) as error:
        print(f"indexer: the node at {given.rpc} does not answer as it should: {error}", file=sys.stderr)
    except OperationalError as error:
        print(f"indexer: the database {given.database} cannot be used: {error.orig}", file=sys.stderr)
    except (ArgumentError, ModuleNotFoundError) as error:
        print(f"indexer: {given.database!r} is not a database URL that works here: {error}", file=sys.stderr)
    return EXIT_HALTED


def run(given: argparse.Namespace, deployment: Deployment, engine: Engine) -> int:
    with only_writer(engine):
        registry = metrics.new_registry()
        if given.metrics_port is not None:
            metrics.serve(registry, given.metrics_host, given.metrics_port)
        store = _store(given, deployment, engine)
        store.resume()
        runner = _runner(given, deployment, store, IndexerMetrics(registry))
        runner.on_ready = lambda: print("ready", flush=True)
        runner.run()
    return 0


def rebuild_command(given: argparse.Namespace, deployment: Deployment, engine: Engine) -> int:
    with only_writer(engine):
        store = _store(given, deployment, engine, any_version=True)
        runner = _runner(given, deployment, store)
        compared: tuple[rebuild.Digests, rebuild.Digests] | None
        if given.from_raw:
            compared = rebuild.from_raw(store, deployment)
        else:
            compared = rebuild.from_chain(store, runner)
            if compared is None:
                runner.run_until(runner.follower.head_number())
        if runner.stop:
            print("stopped; `python -m indexer run` goes on from here", file=sys.stderr)
            return EXIT_HALTED
    return _report_rebuild(store, compared)


def audit_command(given: argparse.Namespace, deployment: Deployment, engine: Engine) -> int:
    node = Node(given.rpc, Decoder(deployment).addresses)
    report = audit.audit(engine, node, deployment, given.block)
    print(report.text())
    return EXIT_DIFFERENT if report.differences else 0


def _report_rebuild(store: Store, compared: tuple[rebuild.Digests, rebuild.Digests] | None) -> int:
    block = store.checkpoint.block if store.checkpoint else None
    after = compared[1] if compared else rebuild.digests(store)
    for name, digest in after.items():
        print(f"  {name:16} {digest.rows:>10} rows  {digest.sha256[:16]}")
    if compared is None:
        print(f"rebuilt up to block {block}; there was nothing before")
        return 0
    changed = rebuild.differences(*compared)
    for line in changed:
        print(f"  DIFFERENT {line}")
    print(
        f"rebuilt up to block {block}: " + (f"{len(changed)} tables differ" if changed else "the same rows as before")
    )
    return EXIT_DIFFERENT if changed else 0


def _store(given: argparse.Namespace, deployment: Deployment, engine: Engine, *, any_version: bool = False) -> Store:
    return Store(
        engine,
        deployment,
        finality_depth=given.finality_depth,
        confirmations=given.confirmations,
        any_version=any_version,
    )


def _runner(
    given: argparse.Namespace, deployment: Deployment, store: Store, measures: IndexerMetrics | None = None
) -> Runner:
    node = Node(given.rpc, Decoder(deployment).addresses)
    runner = Runner(Follower(store, node, deployment, given.finality_depth, measures), given.poll)
    runner.stop_on_signals()
    relax_collector()
    return runner


def _parser() -> argparse.ArgumentParser:
    state = Path(os.environ.get("CXDEX_STATE", ".state"))
    parser = argparse.ArgumentParser(prog="python -m indexer", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="run|rebuild|audit")
    for name, command, text in (
        ("run", run, "follow the chain until stopped"),
        ("rebuild", rebuild_command, "derive every row again and compare with what was there"),
        ("audit", audit_command, "compare the rows with the contracts at the checkpoint's block"),
    ):
        part = commands.add_parser(name, help=text, description=text)
        part.set_defaults(command=command)
        database = os.environ.get("CXDEX_DATABASE_URL", f"sqlite:///{state / 'exchange.db'}")
        part.add_argument("--database", default=database, help="database URL (default %(default)s)")
        rpc = os.environ.get("CXDEX_RPC_URL", "http://127.0.0.1:8545")
        part.add_argument("--rpc", default=rpc, help="the node's URL (default %(default)s)")
        part.add_argument("--deployment", type=Path, default=state / "deployment.json")
        logs.add_options(part)
        if name == "audit":
            part.add_argument("--block", type=int, help="audit an earlier block, as far back as undo goes")
            continue
        part.add_argument("--confirmations", type=_count, default=0, help="blocks on top before facts are told")
        part.add_argument("--finality-depth", type=_count, default=FINALITY_DEPTH, help="blocks that may be reorged")
        part.add_argument("--poll", type=float, default=POLL_SECONDS, help="seconds between looks at the head")
        if name == "run":
            metrics.add_options(part)
        if name == "rebuild":
            part.add_argument("--from-raw", action="store_true", help="from the stored logs, without the node")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


if __name__ == "__main__":
    sys.exit(main())
