"""`python -m indexer audit`: is every row what the contracts say at the same block? And is the Vault solvent?

Owns:     the questions (one `eth_call` each, in batches) and the comparison.
Promises: every balance, lane, epoch, market word, withdrawal, debt position, oracle report and total is asked for;
          every difference is named with both values. Nothing is sampled.
Never:    writes. It may run beside the indexer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Engine

from cxdex.deployment import Deployment
from cxdex.keccak import keccak
from cxdex.units import format_usdc
from indexer.halt import Halt
from indexer.node import Node, NodeRefused
from indexer.projections.vault import REQUESTED
from indexer.snapshot import Snapshot, read_snapshot

USDC, CXPT, FIRST_SYNTH = 0, 1, 2
CHUNK_QUESTIONS = 200
SHOWN_DIFFERENCES = 50


class Question(NamedTuple):
    """A view call and the words that the rows say it returns. `at_least`: the contract may hold more (a donation)."""

    group: str
    name: str
    contract: bytes
    calldata: bytes
    expected: tuple[int, ...]
    at_least: bool = False


@dataclass
class Report:
    block: int
    hash: bytes
    compared: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    differences: list[str] = field(default_factory=list)
    solvency: list[tuple[str, int]] = field(default_factory=list)

    def text(self) -> str:
        """A page for people."""
        lines = [f"audit at block {self.block} (0x{self.hash.hex()[:16]}…)", ""]
        lines += [f"  {group:28}{count:>9} compared" for group, count in self.compared.items()]
        lines += [""] + [f"  {name:28}{format_usdc(amount):>20} USDC" for name, amount in self.solvency] + [""]
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
    questions = list(_questions(snapshot, deployment))
    for start in range(0, len(questions), CHUNK_QUESTIONS):
        _compare(node, questions[start : start + CHUNK_QUESTIONS], snapshot.block, report)
    _compare_fill_totals(snapshot, report)
    _solvency(snapshot, node, deployment, report)
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


# ------------------------------------------------------------------ questions


def _questions(snapshot: Snapshot, deployment: Deployment) -> Iterator[Question]:
    contracts = deployment.contracts
    yield from _ledger_questions(snapshot, contracts["Settlement"])
    yield from _market_questions(snapshot, contracts["Settlement"])
    yield from _vault_questions(snapshot, contracts)
    yield from _synth_questions(snapshot, contracts)


def _ledger_questions(snapshot: Snapshot, settlement: bytes) -> Iterator[Question]:
    balances = snapshot.tables["account_balance"]
    epochs = snapshot.tables["account_state"]
    accounts = sorted({account for account, _ in balances} | {account for (account,) in epochs})
    for account in accounts:
        for asset in (USDC, CXPT, *(asset for (asset,) in snapshot.tables["synth_asset"])):
            row = balances.get((account, asset))
            yield Question(
                "balances",
                f"balance of 0x{account.hex()} in asset {asset}",
                settlement,
                _call("balanceOf(address,uint256)", account, asset),
                (row.amount if row else 0,),
            )
        epoch = epochs.get((account,))
        yield Question(
            "epochs",
            f"epoch of 0x{account.hex()}",
            settlement,
            _call("epochOf(address)", account),
            (epoch.epoch if epoch else 0,),
        )
    for (account, lane), row in snapshot.tables["lane"].items():
        yield Question(
            "lanes (seq, filled lots)",
            f"lane {lane} of 0x{account.hex()}",
            settlement,
            _call("laneOf(address,uint256)", account, lane),
            (row.seq, row.filled),
        )


def _market_questions(snapshot: Snapshot, settlement: bytes) -> Iterator[Question]:
    for (symbol,), row in snapshot.tables["market_listing"].items():
        for group, signature, expected in (
            ("market sequences", "sequenceOf(bytes32)", row.next_sequence),
            ("market fees", "accruedFees(bytes32)", row.accrued_fees),
            ("market words", "marketWord(bytes32)", market_word(row)),
        ):
            name = f"{signature.partition('(')[0]} of {symbol}"
            yield Question(group, name, settlement, _call(signature, row.hash), (expected,))


def market_word(row: Any) -> int:
    """The market's packed word in Settlement, as in contracts/modules/packing.vy."""
    fields = (
        (row.accrued_fees, 80),
        (row.next_sequence, 40),
        (row.quote_per_lot_tick, 32),
        (row.min_lots, 24),
        (row.lot_exponent, 8),
        (row.base_asset, 16),
        (row.index, 16),
        (row.taker_fee_bps, 16),
        (row.maker_fee_bps, 16),
        (row.status, 8),
    )
    word = shift = 0
    for value, bits in fields:
        word |= value << shift
        shift += bits
    return word


def _vault_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    vault = contracts["Vault"]
    totals = _totals(snapshot)
    for (number,), row in snapshot.tables["withdrawal"].items():
        open_words = (int.from_bytes(row.account, "big"), row.asset, row.amount, int(row.as_cxpt), row.claimable_at)
        yield Question(
            "withdrawals",
            f"withdrawal {number} ({row.status})",
            vault,
            _call("withdrawals(uint256)", number),
            open_words if row.status == REQUESTED else (0,) * 5,
        )
    yield Question("totals", "total assets", vault, _call("totalAssets()"), (totals.ledger[USDC],))
    yield Question("totals", "collateral", vault, _call("collateralTotal()"), (totals.collateral,))
    yield Question("totals", "CXPT reserve", vault, _call("cxptReserve()"), (totals.cxpt_reserve,))
    for asset, token in _tokens(snapshot, contracts):
        yield Question(
            "totals",
            f"pending withdrawals of asset {asset}",
            vault,
            _call("pendingTotal(uint256)", asset),
            (totals.pending[asset],),
        )
        yield Question(
            "totals", f"ledger of asset {asset}", vault, _call("ledgerTotal(uint256)", asset), (totals.ledger[asset],)
        )
        yield Question(
            "solvency",
            f"tokens of asset {asset} in the Vault",
            token,
            _call("balanceOf(address)", vault),
            (totals.owed(asset),),
            at_least=True,
        )


def _synth_questions(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterator[Question]:
    owed: dict[int, int] = defaultdict(int)
    for (account, asset), row in snapshot.tables["debt_position"].items():
        owed[asset] += row.debt
        yield Question(
            "debt positions",
            f"debt of 0x{account.hex()} in asset {asset}",
            contracts["SynthEngine"],
            _call("positions(address,uint256)", account, asset),
            (row.debt, row.collateral),
        )
    for (asset,), row in snapshot.tables["synth_asset"].items():
        address = int.from_bytes(row.address, "big")
        yield Question(
            "synths", f"token of asset {asset}", contracts["Vault"], _call("synthOf(uint256)", asset), (address,)
        )
        yield Question("synths", f"supply of {row.symbol}", row.address, _call("totalSupply()"), (owed[asset],))
    for (asset, reporter), row in snapshot.tables["oracle_price"].items():
        yield Question(
            "oracle reports",
            f"report of 0x{reporter.hex()} on asset {asset}",
            contracts["Oracle"],
            _call("reportOf(uint256,address)", asset, reporter),
            (row.price, row.publish_time),
        )


def _call(signature: str, *arguments: bytes | int) -> bytes:
    words = (
        argument.to_bytes(32, "big") if isinstance(argument, int) else argument.rjust(32, b"\0")
        for argument in arguments
    )
    return keccak(signature.encode())[:4] + b"".join(words)


# ------------------------------------------------------------------ sums


@dataclass(frozen=True)
class Totals:
    """What the rows add up to, by asset. `ledger` is every internal balance with the fees not yet collected."""

    ledger: dict[int, int]
    pending: dict[int, int]
    fees: int
    collateral: int
    cxpt_reserve: int

    def owed(self, asset: int) -> int:
        """What the Vault must hold of the asset's token."""
        owed = self.ledger[asset] + self.pending[asset]
        return owed + self.collateral + self.cxpt_reserve if asset == USDC else owed


def _totals(snapshot: Snapshot) -> Totals:
    ledger: dict[int, int] = defaultdict(int)
    pending: dict[int, int] = defaultdict(int)
    for (_, asset), row in snapshot.tables["account_balance"].items():
        ledger[asset] += row.amount
    fees = sum(row.accrued_fees for row in snapshot.tables["market_listing"].values())
    ledger[USDC] += fees
    issued = 0
    for row in snapshot.tables["withdrawal"].values():
        if row.status == REQUESTED:
            pending[row.asset] += row.amount
        elif row.status == "CLAIMED" and row.as_cxpt:
            issued += row.amount
    collateral = sum(row.collateral for row in snapshot.tables["debt_position"].values())
    return Totals(ledger, pending, fees, collateral, issued - snapshot.redeemed)


def _tokens(snapshot: Snapshot, contracts: dict[str, bytes]) -> Iterable[tuple[int, bytes]]:
    yield USDC, contracts["USDC"]
    yield CXPT, contracts["CXPT"]
    for (asset,), row in snapshot.tables["synth_asset"].items():
        yield asset, row.address


def _compare_fill_totals(snapshot: Snapshot, report: Report) -> None:
    """Each order's total against its fills: both come from events, but by different ways."""
    rows = {digest: row.filled for (digest,), row in snapshot.tables["order_fill"].items()}
    for digest in rows.keys() | snapshot.filled.keys():
        report.compared["order totals"] += 1
        if rows.get(digest) != snapshot.filled.get(digest):
            report.differences.append(
                f"order 0x{digest.hex()}: order_fill says {rows.get(digest)} lots, "
                f"its fills add up to {snapshot.filled.get(digest)}"
            )


def _solvency(snapshot: Snapshot, node: Node, deployment: Deployment, report: Report) -> None:
    vault, usdc = deployment.contracts["Vault"], deployment.contracts["USDC"]
    held = int.from_bytes(node.calls([(usdc, _call("balanceOf(address)", vault))], snapshot.block)[0], "big")
    totals = _totals(snapshot)
    report.solvency = [
        ("cash of accounts", totals.ledger[USDC] - totals.fees),
        ("fees not yet collected", totals.fees),
        ("pending withdrawals", totals.pending[USDC]),
        ("CXPT reserve", totals.cxpt_reserve),
        ("collateral", totals.collateral),
        ("owed in all", totals.owed(USDC)),
        ("held by the Vault", held),
    ]
