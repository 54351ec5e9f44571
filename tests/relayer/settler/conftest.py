"""What settler tests share. A node and a contract of its own for each test: about half a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the plain modules beside the tests

from settler_stand import Clock, Desk, Exchange, Node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.stop()


@pytest.fixture
def exchange(node: Node) -> Exchange:
    return Exchange(node)


@pytest.fixture
def desk(exchange: Exchange, tmp_path: Path) -> Desk:
    return Desk(exchange, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()
