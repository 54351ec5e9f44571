"""The stack that `make up` runs, on free ports and in a folder of its own, shared by the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack.layout import Layout, free_port
from scripts.stack.run import Stack


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    state: Path = tmp_path_factory.mktemp("exchange")
    return Layout(
        state=state, api_port=free_port(), node_port=free_port(), settle_seconds=1.0, withdrawal_delay=2,
        price_seconds=2.0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def stack(layout: Layout) -> Iterator[Stack]:
    running = Stack(layout)
    running.start()
    try:
        yield running
    finally:
        running.stop()
