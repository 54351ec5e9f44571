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
