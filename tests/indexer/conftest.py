"""A node with the real contracts, and indexers on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.indexer.indexing import Indexing
from tests.indexer.live_exchange import LiveExchange, LocalNode, local_node


@pytest.fixture
def node() -> Iterator[LocalNode]:
    with local_node() as started:
        yield started


@pytest.fixture
def exchange(node: LocalNode, tmp_path: Path) -> LiveExchange:
    return LiveExchange(node, tmp_path)


@pytest.fixture
def index(exchange: LiveExchange, tmp_path: Path) -> Callable[..., Indexing]:
    """`index()` is the indexer under test; `index("other.db")` a fresh one to compare with."""
    return lambda name="exchange.db", **options: Indexing(exchange, tmp_path / name, **options)


@pytest.fixture
def index_on(tmp_path: Path) -> Callable[..., Indexing]:
    return lambda exchange, name="exchange.db": Indexing(exchange, tmp_path / name)
