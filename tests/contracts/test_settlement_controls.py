"""What Settlement hands on: TraderControls run on its storage, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from cxdex.keccak import keccak
from scripts.artifacts import load_artifacts
from tests.contracts.settlement_desk import CANCEL, CANCEL_ALL, SET_SESSION, Desk, RevertedError, Trader, calldata

MAX_OUTPUT = 96  # bytes that Settlement gives back


def functions(contract: str) -> list[dict[str, Any]]:
    return [entry for entry in load_artifacts()[contract].abi if entry["type"] == "function"]


def selector(entry: dict[str, Any]) -> bytes:
    return keccak(f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})".encode())[:4]


def test_settlement_hides_no_function_of_its_controls() -> None:
    """Its published ABI is that of both, so that a function of both would be there twice."""
    whole, part = functions("Settlement"), functions("TraderControls")
    assert len({selector(entry) for entry in whole}) == len(whole)
    assert {selector(entry) for entry in part} < {selector(entry) for entry in whole}


def test_every_answer_of_the_controls_fits() -> None:
    """What does not fit would be cut. Types with a fixed size only: another one has no largest answer."""
    outputs = [[item["type"] for item in entry["outputs"]] for entry in functions("TraderControls")]
    assert {kind for kinds in outputs for kind in kinds} == {"uint256"}
    assert max(map(len, outputs)) * 32 == MAX_OUTPUT


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x02\x03\x04", calldata("withdraw(uint256)", 1)])
def test_what_neither_knows_is_refused(desk: Desk, alice: Trader, data: bytes) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.send(alice.address, data)
    assert reverted.value.code == ""


def test_ether_is_refused(desk: Desk, alice: Trader) -> None:
    desk.evm.set_balance(alice.address, 10)
    for data in (b"", calldata(CANCEL_ALL)):
        with pytest.raises(RuntimeError):
            desk.evm.message_call(alice.address, desk.address, calldata=data, value=1)
    desk.send(alice.address, calldata(CANCEL_ALL))


def test_the_codes_of_the_controls_come_through(desk: Desk, alice: Trader) -> None:
    with pytest.raises(RevertedError) as reverted:
        desk.call(alice.address, CANCEL, [])
    assert reverted.value.code == "S:COUNT"


def test_the_controls_where_they_stand_change_nothing_here(desk: Desk, alice: Trader, bob: Trader) -> None:
    """No order looks at their storage, and no balance is there."""
    before = (desk.lane(alice, 0), desk.epoch(alice), desk.session(alice, bob))
    for data in (
        calldata(CANCEL, [9]),
        calldata(CANCEL_ALL),
        calldata(SET_SESSION, bob.address, bytes(32), 10**6, desk.now + 60),
    ):
        desk.send(alice.address, data, to=desk.controls)
    assert (desk.lane(alice, 0), desk.epoch(alice), desk.session(alice, bob)) == before
    assert desk.fill(desk.sell(alice, 10, 500), desk.buy(bob, 10, 500), 10).name == "Fill"
