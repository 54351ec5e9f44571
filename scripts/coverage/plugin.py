"""A pytest plug-in: the tests' EVM notes what it runs, and the notes are written to COVERAGE_FILE at the end.

Owns:     the exchange of `pyrevm.EVM`, which has to come before any test is imported; ape's `project` fixture as far as
          the tests use it, so that each file's tests start without ape.
Never:    runs unless a command names it (`-p scripts.coverage.plugin`).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pyrevm
import pytest

from scripts.artifacts import load_artifacts
from scripts.coverage import traced_evm

pyrevm.EVM = traced_evm.TracedEvm  # type: ignore[assignment,misc]


def pytest_sessionfinish() -> None:
    Path(os.environ["COVERAGE_FILE"]).write_bytes(msgspec.msgpack.encode(traced_evm.visited))


class CompiledContracts:
    """`project.<name>.contract_type.get_deployment_bytecode()`"""

    def __getattr__(self, name: str) -> Any:
        code = load_artifacts()[name].init_code
        return SimpleNamespace(contract_type=SimpleNamespace(get_deployment_bytecode=lambda: code))


@pytest.fixture(scope="session")
def project() -> CompiledContracts:
    return CompiledContracts()
