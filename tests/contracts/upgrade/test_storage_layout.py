"""Attack 64: storage that moves between two versions of a contract is seen before it is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.artifacts import CONTRACTS, PARTS
from scripts.storage_layout import FOLDER, checked_in, compiled_layouts, layout_of, moved, write

MOCKS = CONTRACTS / "mocks"


def variable(name: str, slot: int, slots: int = 1, kind: str = "uint256") -> dict:
    return {"name": name, "slot": hex(slot), "slots": slots, "type": kind}


BEFORE = [variable("a", 0), variable("queue.b", 1, 3), variable("c", 4, kind="HashMap[address, uint256]")]


def test_every_deployable_contract_is_where_it_was() -> None:
    known, found = checked_in(FOLDER), compiled_layouts()
    assert list(moved(known, found)) == []
    assert known == found, "variables were added: run `python -m scripts.storage_layout` and commit the files"
    assert known.keys() == {path.stem for path in CONTRACTS.glob("*.vy")}


def test_what_settlement_hands_calls_to_keeps_its_variables_where_settlement_does() -> None:
    found = compiled_layouts()
    for whole, part in PARTS.items():
        assert found[part] == found[whole][: len(found[part])] != []


def test_adding_behind_the_others_is_allowed() -> None:
    assert list(moved({"Bank": BEFORE}, {"Bank": [*BEFORE, variable("d", 5)]})) == []


@pytest.mark.parametrize(
    ("after", "named"),
    [
        ([BEFORE[0], variable("c", 1, kind=BEFORE[2]["type"]), variable("queue.b", 2, 3)], ["queue.b", "c"]),
        ([variable("new", 0), variable("a", 1), variable("queue.b", 2, 3), BEFORE[2] | {"slot": "0x5"}], "a b c new"),
        (BEFORE[:2], ["c"]),
        ([BEFORE[0] | {"type": "int256"}, *BEFORE[1:]], ["a"]),
        ([*BEFORE[:2], variable("c2", 4, kind=BEFORE[2]["type"])], ["c", "c2"]),
    ],
    ids=["reordered", "inserted", "removed", "another type", "renamed"],
)
def test_attack_64_whatever_moves_is_named(after: list[dict], named: object) -> None:
    faults = list(moved({"Bank": BEFORE}, {"Bank": after}))
    assert len(faults) == len(named.split() if isinstance(named, str) else named)
    assert all(fault.startswith("Bank: `") for fault in faults)


def test_the_real_pair_is_append_only_and_the_wrong_way_round_is_not() -> None:
    one, two = layout_of(MOCKS / "SavingsOne.vy"), layout_of(MOCKS / "SavingsTwo.vy")
    assert list(moved({"Savings": one}, {"Savings": two})) == []
    assert list(moved({"Savings": two}, {"Savings": one})) == ["Savings: `motto` was at slot 0x4 and is gone"]


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, {"Gone": BEFORE})
    write(tmp_path, {"Bank": BEFORE})
    assert checked_in(tmp_path) == {"Bank": BEFORE}
