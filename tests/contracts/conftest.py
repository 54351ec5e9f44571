"""Compiled contracts and funded desks, shared by the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cxdex.order import SignedOrder
from tests.contracts.raw_entries import Reverts
from tests.contracts.settlement_desk import BTC, CASH, ETH, NOW, SBTC, SETH, USDC, Desk, RevertedError, Trader


@pytest.fixture(scope="session")
def settlement_bytecode(project: Any) -> bytes:
    """Creation code as ape compiled it; `make compile` forces a fresh one."""
    return bytes(project.Settlement.contract_type.get_deployment_bytecode())


@pytest.fixture(scope="session")
def bytecode_of(project: Any) -> Callable[[str], bytes]:
    """Creation code of a contract by name."""

    def found(name: str) -> bytes:
        return bytes(getattr(project, name).contract_type.get_deployment_bytecode())

    return found


@pytest.fixture(scope="session")
def opened_desk(settlement_bytecode: bytes) -> Desk:
    return Desk(settlement_bytecode)


@pytest.fixture
def bare_desk(opened_desk: Desk) -> Any:
    """Two active markets, no balances. Whatever a test does is undone after it."""
    checkpoint = opened_desk.evm.snapshot()
    opened_desk.set_time(NOW)  # a snapshot does not hold the clock
    yield opened_desk
    opened_desk.evm.revert(checkpoint)


@pytest.fixture(scope="session")
def alice() -> Trader:
    return Trader.named("alice")


@pytest.fixture(scope="session")
def bob() -> Trader:
    return Trader.named("bob")


@pytest.fixture(scope="session")
def carol() -> Trader:
    return Trader.named("carol")


@pytest.fixture
def desk(bare_desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> Desk:
    """Alice, Bob and Carol each have 1,000,000 USDC, 100 sBTC and 1,000 sETH."""
    for trader in (alice, bob, carol):
        bare_desk.fund(trader, CASH, 1_000_000 * USDC)
        bare_desk.fund(trader, SBTC, 100 * 10**18)
        bare_desk.fund(trader, SETH, 1_000 * 10**18)
    return bare_desk


@pytest.fixture
def reverts(desk: Desk, alice: Trader, bob: Trader, carol: Trader) -> Reverts:
    """Asserts that a call reverts with this code and leaves every number as it was."""

    def state() -> list[Any]:
        traders = (alice, bob, carol)
        balances = [desk.balance(trader, asset) for trader in traders for asset in (CASH, SBTC)]
        lanes = [desk.lane(trader, lane) for trader in traders for lane in range(4)]
        return [*balances, *lanes, desk.sequence(BTC), desk.sequence(ETH), desk.fees(BTC), desk.fees(ETH)]

    def check(code: str, call: Callable[..., Any], *values: Any) -> None:
        before = state()
        with pytest.raises(RevertedError) as reverted:
            call(*values)
        assert reverted.value.code == code
        assert state() == before

    return check


@pytest.fixture
def ask(desk: Desk, alice: Trader) -> SignedOrder:
    return desk.sell(alice, 10, 500)


@pytest.fixture
def bid(desk: Desk, bob: Trader) -> SignedOrder:
    return desk.buy(bob, 10, 500)
