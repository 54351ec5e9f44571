"""Where the gas of a fill goes, measured on a real node: `python -m scripts.gas_report [--write]`.

Owns:     docs/gas.md, which `--write` replaces, with the README's row about it.
Promises: totals are receipts of a node. Calldata, signatures, first touches of slots and logs are counted from the
          batch by the price list of the EVM (a test holds the count to a trace); the rest is what remains.
Never:    judges: the limits are in tests/contracts/test_gas.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxdex.batch import MatchedFill, encode_settle_batch
from cxdex.nonce import unpack_nonce
from scripts.artifacts import ROOT, load_artifacts
from scripts.readme_gas import renewed
from scripts.tests_folder import open_tests_folder

PAGE, README = ROOT / "docs" / "gas.md", ROOT / "README.md"
CUSTODY = ROOT / "tests" / "contracts" / "custody"
SNAPSHOTS = {"Money in and out": CUSTODY / "custody_gas.json", "Synth debt": CUSTODY / "debt_gas.json"}

# The EVM's prices (Prague): a transaction, a byte of calldata, ecrecover and the call to it, the first read and the
# first write of a slot that is in use, a log of one topic and three words.
TRANSACTION = 21_000
ZERO_BYTE, OTHER_BYTE = 4, 16
RECOVERY = 3_000 + 100
SLOT = 2_100 + 2_900
LOG = 2 * 375 + 8 * 3 * 32

# What each shape would cost at least: the transaction, calldata with each address once, a recovery and a hash an order,
# its slots, and a log of three words a fill. Worked out before the contract was written.
FLOORS = {"A": 57_592, "B": 20_611, "C": 31_940, "C'": 13_213, "D": 9_595, "W": 8_475}
COLUMNS = ("total", "transaction", "calldata", "signatures", "storage", "log", "rest", "floor", "ratio")


@dataclass(frozen=True)
class Breakdown:
    """Gas a fill."""

    name: str
    total: float
    transaction: float
    calldata: float
    signatures: float
    storage: float
    log: float

    @property
    def rest(self) -> float:
        return self.total - self.transaction - self.calldata - self.signatures - self.storage - self.log

    def row(self) -> list[str]:
        parts = (self.total, self.transaction, self.calldata, self.signatures, self.storage, self.log, self.rest)
        floor = FLOORS.get(self.name.split(":")[0])
        bound = ["", ""] if floor is None else [f"{floor:,}", f"{self.total / floor:.2f}"]
        return [self.name, *(f"{part:,.0f}" for part in parts), *bound]


def break_down(name: str, gas_used: int, fills: list[MatchedFill]) -> Breakdown:
    """`gas_used` of the transaction that settled these fills, every slot in use before."""
    count, data = len(fills), encode_settle_batch(fills)
    zeros = data.count(0)
    loaded = orders_loaded(fills)
    parts = (
        gas_used,
        TRANSACTION,
        zeros * ZERO_BYTE + (len(data) - zeros) * OTHER_BYTE,
        loaded * RECOVERY,
        len(slots(fills)) * SLOT,
        count * LOG,
    )
    return Breakdown(name, *(part / count for part in parts))


def orders_loaded(fills: Iterable[MatchedFill]) -> int:
    """How many entries of the batch are orders: one is sent again when another has taken its cursor."""
    loaded, held = 0, (b"", b"")
    for fill in fills:
        now = (fill.maker.digest, fill.taker.digest)
        loaded += sum(one != other for one, other in zip(now, held, strict=True))
        held = now
    return loaded


def slots(fills: Iterable[MatchedFill]) -> set[tuple[Any, ...]]:
    """Each slot that the batch reads and writes: accounts, their assets, lanes from the third on, markets."""
    touched: set[tuple[Any, ...]] = set()
    for fill in fills:
        touched.add(("market", fill.market))
        for signed in (fill.maker, fill.taker):
            account, lane = signed.order.account, unpack_nonce(signed.order.nonce).lane
            touched |= {("account", account), ("asset", account, fill.market)}
            if lane >= 2:
                touched.add(("lanes", account, lane // 4))
    return touched


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    lines = [" | ".join(head), "|".join(["---", *["---:"] * (len(head) - 1)])]
    return [
        f"| {line} |" if "---" not in line else f"|{line}|" for line in [*lines, *(" | ".join(row) for row in rows)]
    ]


def page(rows: list[Breakdown], behind: dict[str, int], calls: dict[str, int]) -> str:
    """docs/gas.md."""
    lines = [
        "# Gas",
        "",
        "Written by `python -m scripts.gas_report --write`, from receipts of a local node with the rules of Prague.",
        "The limits are in `tests/contracts/test_gas.py`.",
        "",
        "## A fill",
        "",
        "Gas of the transaction divided by its fills; every slot was in use before. Storage: the first read and the",
        "first write of each slot. Rest: hashing, checks, arithmetic, memory, slots touched again. The floor is worked",
        "out, not measured: the transaction, calldata with each address once, a recovery and a hash an order, the",
        "slots, a log of three words a fill.",
        "",
        *table(["shape", *COLUMNS], (row.row() for row in rows)),
        "",
        "Behind the Proxy, as deployed, a transaction costs more:",
        "",
        *table(["shape", "gas a fill more"], ([name, f"{more:,}"] for name, more in behind.items())),
        "",
        "## Single calls",
        "",
        "Settlement without its Proxy; the second call of each, unless it says otherwise. The fills are one by one,",
        "as A.",
        "",
        *table(["call", "gas"], ([name, f"{gas:,}"] for name, gas in calls.items())),
        "",
    ]
    for title, snapshot in SNAPSHOTS.items():
        known = json.loads(snapshot.read_text())
        lines += [f"## {title}", "", f"Behind the proxies, from `{snapshot.relative_to(ROOT)}`.", ""]
        lines += [*table(["call", "gas"], ([name, f"{gas:,}"] for name, gas in known.items())), ""]
    return "\n".join(lines)


def measure() -> str:
    open_tests_folder("contracts/custody")
    from tests.contracts.gas_conditions import waiting_orders
    from tests.contracts.gas_scenarios import SHAPES, WITH_A_LANE_AN_ORDER, GasNode, running_anvil

    artifacts = load_artifacts()
    bare, proxy = artifacts["Settlement"].init_code, artifacts["Proxy"].init_code
    shapes = [(name, shape(), False) for name, shape in SHAPES.items()]
    shapes += [(name, shape(), True) for name, shape in WITH_A_LANE_AN_ORDER.items()]
    with running_anvil() as url:
        node, proxied = GasNode(url, bare), GasNode(url, bare, proxy)
        rows, behind = [], {}
        for name, shape, lanes in shapes:
            node.run(shape, lanes)
            fills = node.next_fills(shape, lanes)
            used = node.settle(fills)
            rows.append(break_down(name, used, fills))
            if not lanes:
                behind[name] = proxied.gas_per_fill(shape) - round(used / len(fills))
        calls = node.other_signers(artifacts["SignerWallet"].init_code) | waiting_orders(node) | node.single_calls()
    return page(rows, behind, calls)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gas_report", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"replace {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    text = measure()
    print(text)
    if arguments.write:
        Path(PAGE).write_text(text)
        README.write_text(renewed(README.read_text(), text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
