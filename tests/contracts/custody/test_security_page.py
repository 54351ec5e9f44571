"""docs/security.md names tests; each of them exists."""

from __future__ import annotations

import re

from scripts.artifacts import ROOT

PAGE = ROOT / "docs" / "security.md"
TESTS = ROOT / "tests"


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    written = {name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert len(named) > 50
    assert named - written == set()


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE.read_text()))
    assert named - {path.name for path in TESTS.rglob("test_*.py")} == set()


def test_every_attack_on_fills_and_custody_is_on_the_page() -> None:
    written = {
        name
        for path in (TESTS / "contracts").rglob("test_*.py")
        for name in re.findall(r"def (test_attack_\w+)", path.read_text())
    }
    assert written - set(re.findall(r"`(test_attack_\w+)`", PAGE.read_text())) == set()


LATER = {24, 25, 32, 35, 41, 69, 72} | {31}  # they need perpetuals, or a second layer; the page says so
ATTACKS = 73  # of the protocol's list


def test_every_attack_of_the_list_has_a_test_named_after_it() -> None:
    names = [
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def test_attack_(\w+)", path.read_text())
    ]
    tried = {int(number) for name in names for number in re.match(r"[\d_]*", name)[0].split("_") if number}
    assert set(range(1, ATTACKS + 1)) - tried == LATER
    assert not tried & LATER
