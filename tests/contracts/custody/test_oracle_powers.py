"""What TIMELOCK and GUARDIAN may do to the Oracle, and that GUARDIAN may only take away."""

from __future__ import annotations

from typing import Any

import pytest
from oracle_world import (
    ASSET,
    DAY,
    GUARDIAN,
    MAX_AGE,
    OTHER_ASSET,
    PRICE,
    REPORTERS,
    STRANGER,
    TIMELOCK,
    OracleWorld,
    code_of,
    topic,
    words,
)

from cxdex.signature import address_of

HOUR = 3600
NOBODY = bytes(20)
PEOPLE = [address_of(key) for key in REPORTERS]


@pytest.fixture
def world() -> OracleWorld:
    oracle_world = OracleWorld()
    oracle_world.evm.advance(10_000)
    return oracle_world


TIMELOCKED = (
    ("setReporter", (PEOPLE[5], True)),
    ("setReporter", (PEOPLE[0], False)),
    ("setQuorum", (3,)),
    ("setSource", (ASSET, NOBODY, 0)),
    ("unfreeze", (ASSET,)),
)
GUARDED = (("removeReporter", (PEOPLE[0],)), ("freeze", (ASSET, 1)))


@pytest.mark.parametrize(("function", "arguments"), TIMELOCKED)
def test_only_the_timelock_may(refuses, function: str, arguments: tuple[Any, ...]) -> None:
    world = OracleWorld(quorum=3)
    for caller in (GUARDIAN, STRANGER, PEOPLE[0]):
        with refuses("O:TIMELOCK"):
            world.oracle.send(caller, function, *arguments)
    world.oracle.send(TIMELOCK, function, *arguments)


@pytest.mark.parametrize(("function", "arguments"), GUARDED)
def test_only_the_guardian_may(world: OracleWorld, refuses, function: str, arguments: tuple[Any, ...]) -> None:
    for caller in (TIMELOCK, STRANGER, PEOPLE[0]):
        with refuses("O:GUARDIAN"):
            world.oracle.send(caller, function, *arguments)
    world.oracle.send(GUARDIAN, function, *arguments)


def test_every_function_that_writes_is_told_of_here(world: OracleWorld) -> None:
    writing = {
        entry["name"]
        for entry in world.artifacts["Oracle"].abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }
    assert writing == {name for name, _ in TIMELOCKED + GUARDED} | {"submit", "poke"}


# ---------------------------------------------------------------- reporters and quorum


def test_a_new_reporter_counts_and_a_removed_one_does_not(world: OracleWorld, refuses) -> None:
    logs = world.oracle.send(TIMELOCK, "setReporter", PEOPLE[0], False)
    assert logs[0].data == ([topic("ReporterSet(address,bool)"), bytes(12) + PEOPLE[0]], words(0))  # type: ignore[index]
    with refuses("O:REPORTER"):
        world.agree(PRICE)
    logs = world.oracle.send(TIMELOCK, "setReporter", PEOPLE[4], True)
    assert logs[0].data == ([topic("ReporterSet(address,bool)"), bytes(12) + PEOPLE[4]], words(1))  # type: ignore[index]
    world.submit(world.reports((1, PRICE, 0), (4, PRICE, 0)))
    assert world.price() == PRICE
    assert [world.oracle.call("reporters", n) for n in range(3)] == [PEOPLE[2], PEOPLE[1], PEOPLE[4]]


def test_the_guardian_takes_a_reporter_away_for_good(refuses) -> None:
    world = OracleWorld(reporters=4, quorum=3)
    world.evm.advance(10_000)
    world.oracle.send(GUARDIAN, "removeReporter", PEOPLE[1])
    assert world.oracle.call("reporterCount") == 3
    for caller, wanted in ((GUARDIAN, True), (GUARDIAN, False)):
        with refuses("O:TIMELOCK"):
            world.oracle.send(caller, "setReporter", PEOPLE[1], wanted)
    with refuses("O:REPORTER"):
        world.report(PRICE, PRICE, PRICE)
    world.submit(world.reports((0, PRICE, 0), (2, PRICE, 0), (3, PRICE, 0)))
    assert world.price() == PRICE


def test_nobody_who_reports_no_longer_is_taken_away_again(refuses) -> None:
    world = OracleWorld(reporters=5, quorum=3)
    world.oracle.send(GUARDIAN, "removeReporter", PEOPLE[1])
    with refuses("O:REPORTER"):
        world.oracle.send(GUARDIAN, "removeReporter", PEOPLE[1])


def test_attack_94_a_stolen_guardian_cannot_silence_the_reporters(world: OracleWorld, refuses) -> None:
    """It can stop the Timelock from letting reporters in again, so that silence by its hand would last for ever."""
    world.oracle.send(GUARDIAN, "removeReporter", PEOPLE[1])
    for number in (0, 2):
        with refuses("O:QUORUM"):
            world.oracle.send(GUARDIAN, "removeReporter", PEOPLE[number])
    world.submit(world.reports((0, PRICE, 0), (2, PRICE, 0)))
    assert world.price() == PRICE
    world.oracle.send(TIMELOCK, "setReporter", PEOPLE[2], False)  # the Timelock may
    assert world.oracle.call("reporterCount") == 1


def test_nobody_is_let_in_or_out_twice(world: OracleWorld) -> None:
    for reporter, allowed in ((PEOPLE[0], True), (PEOPLE[5], False), (NOBODY, True), (NOBODY, False)):
        assert code_of(lambda r=reporter, a=allowed: world.oracle.send(TIMELOCK, "setReporter", r, a)) == "O:REPORTER"


def test_more_than_half_of_the_reporters_must_sign(world: OracleWorld, refuses) -> None:
    with refuses("O:CONFIG"):
        world.oracle.send(TIMELOCK, "setReporter", PEOPLE[3], True)  # two of four
    with refuses("O:CONFIG"):
        world.oracle.send(TIMELOCK, "setQuorum", 1)  # one of three
    logs = world.oracle.send(TIMELOCK, "setQuorum", 3)
    assert logs[0].data == ([topic("QuorumSet(uint256)")], words(3))  # type: ignore[index]
    for number in (3, 4):
        world.oracle.send(TIMELOCK, "setReporter", PEOPLE[number], True)
    with refuses("O:CONFIG"):
        world.oracle.send(TIMELOCK, "setReporter", PEOPLE[5], True)
    with refuses("O:QUORUM"):
        world.agree(PRICE)
    world.report(PRICE, PRICE, PRICE)
    assert world.price() == PRICE


@pytest.mark.parametrize("reporters", range(2, 10))
def test_the_least_quorum_is_the_smallest_majority(refuses, reporters: int) -> None:
    world = OracleWorld(reporters, quorum=9)
    majority = reporters // 2 + 1
    with refuses("O:CONFIG"):
        world.oracle.send(TIMELOCK, "setQuorum", majority - 1)
    world.oracle.send(TIMELOCK, "setQuorum", majority)
    assert world.oracle.call("quorum") == majority


def test_attack_48_there_are_at_most_nine_reporters(refuses) -> None:
    world = OracleWorld(reporters=9, quorum=9)
    with refuses("O:COUNT"):
        world.oracle.send(TIMELOCK, "setReporter", STRANGER, True)
    world.oracle.send(TIMELOCK, "setReporter", PEOPLE[8], False)
    world.oracle.send(TIMELOCK, "setReporter", STRANGER, True)
    for quorum in (0, 10, 2**256 - 1):
        with refuses("O:CONFIG"):
            world.oracle.send(TIMELOCK, "setQuorum", quorum)


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 300, [], TIMELOCK, GUARDIAN),
        (10, 300, [], TIMELOCK, GUARDIAN),
        (1, 0, [], TIMELOCK, GUARDIAN),
        (1, MAX_AGE + 1, [], TIMELOCK, GUARDIAN),
        (1, 300, [], NOBODY, GUARDIAN),
        (1, 300, [], TIMELOCK, NOBODY),
        (1, 300, [], GUARDIAN, GUARDIAN),
        (1, 300, PEOPLE[:2], TIMELOCK, GUARDIAN),
    ],
)
def test_attack_65_an_oracle_that_could_not_be_trusted_is_not_deployed(
    world: OracleWorld, refuses, arguments: tuple[Any, ...]
) -> None:
    with refuses("O:CONFIG"):
        world.create("Oracle", *arguments)


def test_what_the_constructor_was_told_can_be_read(world: OracleWorld) -> None:
    read = [world.oracle.call(name) for name in ("quorum", "STALENESS", "TIMELOCK", "GUARDIAN", "reporterCount")]
    assert read == [2, 300, TIMELOCK, GUARDIAN, 3]
    assert OracleWorld(staleness=MAX_AGE).oracle.call("STALENESS") == MAX_AGE


# ---------------------------------------------------------------- freezing


def test_a_frozen_asset_has_no_price_and_takes_none_until_the_freeze_ends_by_itself(
    world: OracleWorld, refuses
) -> None:
    world.add_source(PRICE)
    world.agree(PRICE)
    logs = world.oracle.send(GUARDIAN, "freeze", ASSET, 100)
    assert logs[0].data == ([topic("Frozen(uint256,uint256)"), words(ASSET)], words(world.evm.now + 100))  # type: ignore[index]
    assert world.oracle.call("frozenUntil", ASSET) == world.evm.now + 100
    world.evm.advance(99)
    calls = (world.price, lambda: world.agree(PRICE), lambda: world.oracle.send(STRANGER, "poke", ASSET))
    assert [code_of(call) for call in calls] == ["O:FROZEN"] * 3
    assert world.oracle.call("lastPrice", ASSET)[0] == PRICE
    world.evm.advance(1)
    assert code_of(lambda: world.oracle.send(STRANGER, "poke", ASSET)) == "O:FRESH"
    assert world.price() == PRICE
    world.agree(PRICE + 1)
    assert world.price() == PRICE + 1


def test_a_freeze_concerns_one_asset(world: OracleWorld) -> None:
    world.agree(PRICE)
    world.oracle.send(GUARDIAN, "freeze", OTHER_ASSET, 72 * HOUR)
    assert world.price() == PRICE


def test_a_stolen_guardian_freezes_three_days_in_thirty(world: OracleWorld, refuses) -> None:
    for duration in (0, 72 * HOUR + 1, 2**256 - 1):
        with refuses("O:FREEZE"):
            world.oracle.send(GUARDIAN, "freeze", ASSET, duration)
    world.oracle.send(GUARDIAN, "freeze", ASSET, 72 * HOUR)
    world.evm.advance(72 * HOUR)
    world.agree(PRICE)  # forgets the freeze that is over, not when it began
    for _ in range(2):
        world.evm.advance(27 * DAY - 1)
        with refuses("O:FREEZE"):
            world.oracle.send(GUARDIAN, "freeze", ASSET, 1)
        world.evm.advance(1)
        world.oracle.send(GUARDIAN, "freeze", ASSET, 72 * HOUR - 1)
        assert world.oracle.call("frozenUntil", ASSET) == world.evm.now + 72 * HOUR - 1
        world.evm.advance(3 * DAY)


def test_the_timelock_ends_a_freeze_and_lets_the_guardian_freeze_again(world: OracleWorld) -> None:
    world.agree(PRICE)
    world.oracle.send(GUARDIAN, "freeze", ASSET, 72 * HOUR)
    logs = world.oracle.send(TIMELOCK, "unfreeze", ASSET)
    assert logs[0].data == ([topic("Unfrozen(uint256)"), words(ASSET)], b"")  # type: ignore[index]
    assert world.price() == PRICE
    assert (world.oracle.call("frozenUntil", ASSET), world.oracle.call("frozenAt", ASSET)) == (0, 0)
    world.oracle.send(GUARDIAN, "freeze", ASSET, 1)
    assert world.oracle.call("reported", ASSET) == (PRICE, world.evm.now, False)


def test_a_freeze_keeps_what_was_reported_and_disputed(world: OracleWorld, refuses) -> None:
    world.agree(PRICE)
    world.evm.advance(1)
    world.agree(3 * PRICE)
    before = world.oracle.call("reported", ASSET)
    world.oracle.send(GUARDIAN, "freeze", ASSET, 5)
    assert world.oracle.call("reported", ASSET) == before == (3 * PRICE, world.evm.now, True)
    world.evm.advance(5)
    with refuses("O:DEVIATION"):
        world.price()
