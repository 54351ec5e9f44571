from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.relayer.service.running_engine import ChainFacts, RunningEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[RunningEngine]:
    running = RunningEngine(tmp_path)
    yield running
    running.close()


@pytest.fixture
def facts(tmp_path: Path) -> ChainFacts:
    return ChainFacts(tmp_path / "exchange.db")
