"""What custody tests share: a fresh exchange for each test. It costs a few hundredths of a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the plain modules beside the tests

from custody_evm import Refused
from custody_world import ALICE, BOB, ONE_USDC, World

Refuses = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def world() -> World:
    """Two markets, no money."""
    return World().open_markets()


@pytest.fixture
def funded(world: World) -> World:
    """Alice and Bob have 100,000 USDC each in the Vault."""
    for account in (ALICE, BOB):
        world.deposit(account, 100_000 * ONE_USDC)
    return world


@pytest.fixture
def refuses() -> Refuses:
    """`with refuses("V:ZERO"):` the calls inside revert with exactly this code."""

    @contextmanager
    def expect(code: str) -> Iterator[None]:
        with pytest.raises(Refused) as caught:
            yield
        assert caught.value.code == code

    return expect
