"""The chaos command's own parts: faults that follow from the seed, and a memory that sees contradictions."""

from __future__ import annotations

import random
from itertools import islice

import msgspec
import pytest

from cxdex.client.replies import Order, PlacedFill
from scripts.chaos.plan import DEEPEST_REORG, SERVICES, Fault, chain_faults, kills, process_faults
from scripts.chaos.told import Told, percentile

FILL = PlacedFill("7", "3", "60000", "0.1", "TAKER", "0.5", 1)
ORDER = Order(
    "0xaa", "0xbb", "sBTC-USDC", "BUY", "LIMIT", "GTC", "1", "60000", "50", "4000000000", "1", "OPEN", "0.1", "0.9", 2,
    fills=[FILL],
)  # fmt: skip


def changed(**fields: object) -> Order:
    return msgspec.structs.replace(ORDER, **fields)


@pytest.mark.parametrize("faults", [process_faults, chain_faults, lambda seed: kills(seed, "engine")])
def test_the_faults_are_a_function_of_the_seed(faults) -> None:
    first, again, other = (list(islice(faults(seed), 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_process_is_killed_and_every_depth_reorganised() -> None:
    faults = [*islice(process_faults(1), 500), *islice(chain_faults(1), 500)]
    killed = {name for fault in faults if fault.kind == "kill" for name in fault.victims}
    assert killed == {*SERVICES, "price reporter", "market maker", "taker"}
    assert {fault.kind for fault in faults} == {"kill", "freeze", "reorg", "rollback", "hang", "restart"}
    depths = {fault.depth for fault in faults if fault.kind == "reorg"}
    assert min(depths) == 1
    assert max(depths) == DEEPEST_REORG
    assert {fault.keep for fault in faults} == {"all", "some", "none"}


@pytest.fixture
def told() -> Told:
    told = Told()
    told.accepted(ORDER, 0.01)
    return told


def test_what_goes_on_as_told_is_no_contradiction(told: Told) -> None:
    assert told.contradictions(ORDER) == []
    assert told.contradictions(changed(status="FILLED", filled="1", remaining="0", version=3)) == []
    told.note_cancelled(changed(status="CANCELLED", version=3))
    assert told.contradictions(changed(status="CANCELLED", version=3)) == []
    assert told.wrong == []


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (changed(quantity="2"), "quantity 2 after 1"),
        (changed(version=1), "version 1 after 2"),
        (changed(filled="0", version=3), "filled 0 after 0.1"),
    ],
)
def test_a_contradiction_is_named(told: Told, found: Order, why: str) -> None:
    assert told.contradictions(found) == [f"order 0xaa: {why}"]


def test_an_acknowledged_cancel_and_what_the_websocket_said_count_too(told: Told) -> None:
    told.heard["0xaa"] = 5
    assert told.contradictions(changed(version=4)) == ["order 0xaa: version 4 after 5"]
    told.note_cancelled(changed(status="CANCELLED", version=6))
    assert "order 0xaa: OPEN after its cancel was acknowledged" in told.contradictions(changed(version=7))


def test_a_fill_that_is_told_differently_is_noticed_at_once(told: Told) -> None:
    told.note(changed(fills=[msgspec.structs.replace(FILL, quantity="0.2")]))
    assert len(told.wrong) == 1


def test_an_open_outcome_is_closed_by_an_answer(told: Told) -> None:
    told.unsure("0xcc")
    told.unsure("0xcc")
    assert (told.unknown, told.unknown_ever) == ({"0xcc"}, 1)
    told.refuse("0xcc", "BALANCE_INSUFFICIENT")
    assert (told.unknown, told.refused) == (set(), {"0xcc": "BALANCE_INSUFFICIENT"})
    told.refuse("0xaa", "BALANCE_INSUFFICIENT")
    assert told.wrong == ["order 0xaa was accepted, and sent again it was refused with BALANCE_INSUFFICIENT"]


def test_percentiles() -> None:
    values = [float(number) for number in range(100)]
    random.Random(1).shuffle(values)
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 99]
    assert percentile([], 0.5) == 0


def test_a_fault_that_names_a_process_waits_before_it() -> None:
    assert all(isinstance(fault, Fault) and fault.pause > 0 for fault in islice(process_faults(3), 100))
