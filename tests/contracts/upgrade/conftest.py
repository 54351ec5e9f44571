"""What upgrade tests share: a savings bank behind a Proxy behind a Timelock, on a real node."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from ape.exceptions import ContractLogicError

DELAY = 24 * 3600
ZERO_SALT = bytes(32)
Refuses = Callable[[str], AbstractContextManager[Any]]


@pytest.fixture
def admin(accounts: Any) -> Any:
    return accounts[1]


@pytest.fixture
def guardian(accounts: Any) -> Any:
    return accounts[2]


@pytest.fixture
def stranger(accounts: Any) -> Any:
    return accounts[3]


@pytest.fixture
def timelock(project: Any, admin: Any, guardian: Any, accounts: Any) -> Any:
    return project.Timelock.deploy(admin, guardian, DELAY, sender=accounts[0])


@pytest.fixture
def first(project: Any, accounts: Any) -> Any:
    """The first implementation, bare."""
    return project.SavingsOne.deploy(sender=accounts[0])


@pytest.fixture
def second(project: Any, accounts: Any) -> Any:
    """The second implementation, bare."""
    return project.SavingsTwo.deploy(sender=accounts[0])


@pytest.fixture
def proxy(project: Any, accounts: Any, timelock: Any, first: Any, admin: Any) -> Any:
    """The Proxy itself, with the first implementation, owned by `admin`."""
    data = first.initialize.encode_input(admin)
    created = project.Proxy.deploy(first, timelock, data, sender=accounts[0])
    return project.Proxy.at(created.address, fetch_from_explorer=False, detect_proxy=False)


@pytest.fixture
def bank(project: Any, proxy: Any) -> Any:
    """The Proxy as its users see it."""
    return project.SavingsOne.at(proxy.address, fetch_from_explorer=False, detect_proxy=False)


@pytest.fixture
def wait(chain: Any) -> Callable[[int], None]:
    """Lets a number of seconds pass."""

    def pass_time(seconds: int) -> None:
        chain.mine(timestamp=chain.blocks.head.timestamp + seconds)

    return pass_time


@pytest.fixture
def upgrade(proxy: Any) -> Callable[..., list[tuple[Any, int, bytes]]]:
    """The calls of an operation that upgrades the Proxy."""

    def calls(implementation: Any, data: bytes = b"") -> list[tuple[Any, int, bytes]]:
        return [(proxy.address, 0, bytes(proxy.upgradeToAndCall.encode_input(implementation, data)))]

    return calls


@pytest.fixture
def refuses() -> Refuses:
    """`with refuses("L:ADMIN"):` the call inside reverts with exactly this code."""
    return lambda code: pytest.raises(ContractLogicError, match=f"^{code}$")
