"""`python -m indexer audit`: is every row what the contracts say at the same block? And is the Vault solvent?

Owns:     asking (one `eth_call` a question, in batches) and the comparison. The questions: `indexer.audit_questions`.
Promises: every question is asked; every difference is named with both values. Nothing is sampled.
Never:    writes. It may run beside the indexer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from cxdex.deployment import Deployment
from cxdex.units import format_usdc
from indexer.audit_questions import USDC, Question, Totals, all_questions, call, proxy_questions
from indexer.halt import Halt
from indexer.node import Node, NodeRefused
from indexer.projections.ledger import COLLATERAL, CXPT_RESERVE, FEE_POCKET
from indexer.projections.operations import SCHEDULED
from indexer.snapshot import Snapshot, read_snapshot

CHUNK_QUESTIONS = 200
SHOWN_DIFFERENCES = 50


@dataclass
class Report:
    block: int
    hash: bytes
    compared: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    differences: list[str] = field(default_factory=list)
    solvency: list[tuple[str, int]] = field(default_factory=list)
    announced: list[tuple[bytes, int]] = field(default_factory=list)  # operations of the Timelock, executable from

    def text(self) -> str:
        """A page for people."""
        lines = [f"audit at block {self.block} (0x{self.hash.hex()[:16]}…)", ""]
        lines += [f"  {group:28}{count:>9} compared" for group, count in self.compared.items()]
        lines += [""] + [f"  {name:28}{format_usdc(amount):>20} USDC" for name, amount in self.solvency] + [""]
        for operation, executable_at in self.announced:
            from_time = datetime.fromtimestamp(executable_at, UTC).isoformat()
            lines.append(f"  ANNOUNCED  operation 0x{operation.hex()} of the Timelock, executable from {from_time}")
        lines += [f"  DIFFERENT  {line}" for line in self.differences[:SHOWN_DIFFERENCES]]
        hidden = len(self.differences) - SHOWN_DIFFERENCES
        if hidden > 0:
            lines.append(f"  ... and {hidden} more")
        total = sum(self.compared.values())
        lines.append(f"{len(self.differences)} differences" if self.differences else f"clean: {total} values are equal")
        return "\n".join(lines)


def audit(engine: Engine, node: Node, deployment: Deployment, block: int | None = None) -> Report:
    """Compares. Raises Halt when the node is on another chain or does not have that block's state."""
    snapshot = read_snapshot(engine, block)
    report = Report(snapshot.block, snapshot.hash)
    _require_block(node, snapshot)
    questions = list(all_questions(snapshot, deployment))
    for start in range(0, len(questions), CHUNK_QUESTIONS):
        _compare(node, questions[start : start + CHUNK_QUESTIONS], snapshot.block, report)
    _compare_proxies(node, snapshot, deployment, report)
    _compare_fill_totals(snapshot, report)
    _compare_announced(snapshot, report)
    _solvency(snapshot, node, deployment, report)
    report.announced = [
        (operation, row.executable_at)
        for (operation,), row in snapshot.tables["timelock_operation"].items()
        if row.status == SCHEDULED
    ]
    _require_block(node, snapshot)
    return report


def _require_block(node: Node, snapshot: Snapshot) -> None:
    header = node.headers([snapshot.block])[0]
    if header is None or header.hash != snapshot.hash:
        raise Halt(
            "BLOCK_NOT_ON_NODE",
            f"the node does not have block {snapshot.block} as it was indexed: it is behind, or the chain has changed",
            allowed="let `python -m indexer run` catch up, then audit again",
        )


def _compare(node: Node, questions: Sequence[Question], block: int, report: Report) -> None:
    for question, answer in zip(questions, _answers(node, questions, block), strict=True):
        found = tuple(int.from_bytes(answer[at : at + 32], "big") for at in range(0, len(answer), 32))
        report.compared[question.group] += 1
        if question.at_least:
            equal = len(found) == 1 and found[0] >= question.expected[0]
        else:
            equal = found == question.expected
        if not equal:
            least = "at least " if question.at_least else ""
            report.differences.append(
                f"{question.name}: rows say {least}{_shown(question.expected)}, contract says {_shown(found)}"
            )


def _answers(node: Node, questions: Sequence[Question], block: int) -> list[bytes]:
    try:
        return node.calls([(question.contract, question.calldata) for question in questions], block)
    except NodeRefused as error:
        raise Halt(
            "STATE_NOT_SERVED",
            f"the node cannot serve the state at block {block}: {error}",
            allowed="ask an archive node, or audit a newer block",
        ) from error


def _shown(words: tuple[int, ...]) -> str:
    return str(words[0]) if len(words) == 1 else str(words)


def _compare_proxies(node: Node, snapshot: Snapshot, deployment: Deployment, report: Report) -> None:
    """The code behind each proxy is read from its storage: a proxy has no views of its own."""
    for name, address, slot, expected in proxy_questions(snapshot, deployment):
        found = node.storage(address, slot, snapshot.block)
        report.compared["proxies"] += 1
        if found != expected:
            report.differences.append(f"{name}: rows say 0x{expected.hex()}, the slot holds 0x{found.hex()}")


# ------------------------------------------------------------------ rows against rows


def _compare_fill_totals(snapshot: Snapshot, report: Report) -> None:
    """Each order's total against its fills: both come from events, but by different ways."""
    rows = {order: row.filled for (order,), row in snapshot.tables["order_fill"].items()}
    for order in rows.keys() | snapshot.filled.keys():
        report.compared["order totals"] += 1
        if rows.get(order) != snapshot.filled.get(order):
            report.differences.append(
                f"order 0x{order.hex()}: order_fill says {rows.get(order)} lots, "
                f"its fills add up to {snapshot.filled.get(order)}"
            )


def _compare_announced(snapshot: Snapshot, report: Report) -> None:
    """What an account has announced against its requests."""
    waiting: dict[tuple[bytes, int], int] = defaultdict(int)
    for row in snapshot.tables["withdrawal"].values():
        if row.status == "REQUESTED":
            waiting[row.account, row.asset] += row.amount
    rows = {key: row.amount for key, row in snapshot.tables["announced_balance"].items()}
    for account, asset in rows.keys() | waiting.keys():
        announced, requested = rows.get((account, asset), 0), waiting.get((account, asset), 0)
        if announced != requested:
            report.differences.append(
                f"announced of 0x{account.hex()} in asset {asset}: {announced}, its requests add up to {requested}"
            )


def _solvency(snapshot: Snapshot, node: Node, deployment: Deployment, report: Report) -> None:
    vault, usdc = deployment.contracts["Vault"], deployment.contracts["USDC"]
    held = int.from_bytes(node.calls([(usdc, call("balanceOf(address)", vault))], snapshot.block)[0], "big")
    totals = Totals.of(snapshot)
    report.solvency = [
        ("cash of accounts", totals.ledger[USDC] - totals.fees),
        ("of it announced to leave", totals.announced[USDC]),
        ("fees in markets", totals.fees),
        ("fee pocket", totals.values[FEE_POCKET]),
        ("CXPT reserve", totals.values[CXPT_RESERVE]),
        ("collateral", totals.values[COLLATERAL]),
        ("owed in all", totals.owed(USDC)),
        ("held by the Vault", held),
    ]
