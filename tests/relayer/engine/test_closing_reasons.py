"""Why an order is over is one of the words that the API's description lists, or the code of a problem."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from model_flow import Flow
from random_actions import random_flow

import relayer.engine
from api.problems import CODES
from api.schemas.account import ENDED_BY
from relayer.engine.events import OrderClosed

SOURCES = sorted(Path(relayer.engine.__file__).parent.glob("*.py"))


@pytest.fixture(scope="module")
def seen() -> set[str]:
    """The words of 40 random lives of an exchange."""
    words: set[str] = set()
    for seed in range(40):
        both = Flow()
        for action in random_flow(seed, 150):
            both.step(action)
        words |= {event.reason for events in both.desk.events for event in events if isinstance(event, OrderClosed)}
    return words


def test_every_reason_is_described(seen: set[str]) -> None:
    assert {word for word in seen if word not in ENDED_BY} <= set(CODES)
    assert len(seen & set(ENDED_BY)) > 12


def test_no_other_reason_is_described() -> None:
    written = {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    time_in_force = {"IOC"}  # the order's own word
    assert set(ENDED_BY) - time_in_force <= written
