"""What upgrade tests share: a savings bank behind a Proxy behind a Timelock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "custody"))  # for the plain modules beside the tests
sys.path.insert(0, str(Path(__file__).parent))

from bank_world import BankWorld
from custody_evm import Refused

Refuses = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def world() -> BankWorld:
    return BankWorld()


@pytest.fixture
def refuses() -> Refuses:
    """`with refuses("L:ADMIN"):` the calls inside revert with exactly this code; "" for a revert without one."""

    @contextmanager
    def expect(code: str) -> Iterator[None]:
        with pytest.raises(Refused) as caught:
            yield
        assert caught.value.code == code

    return expect
