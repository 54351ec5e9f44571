"""Lets a script use what the tests are made of: references and state machines.

Promises: afterwards `tests.…` means this repository's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parent.parent / "tests"


def open_tests_folder(*inside: str) -> None:
    """The tests are no package, and an installed package of the same name would win over a folder.

    `inside`: folders whose modules the tests import by their bare names, as the tests' own conftest does.
    """
    sys.path[:0] = [str(TESTS / folder) for folder in inside]
    folder = ModuleType("tests")
    folder.__path__ = [str(TESTS)]
    sys.modules["tests"] = folder
