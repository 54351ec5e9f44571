"""The offline matcher: `python -m relayer match`, against the naive matcher and at its command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_matcher import NaiveMatcher, as_tuple

from relayer import match

MODES = ["NONE", "CANCEL_TAKER", "CANCEL_MAKER", "CANCEL_BOTH", "DECREMENT"]
ids = st.integers(0, 25).map(str)
prices = st.integers(-1, 8)
quantities = st.integers(-1, 9)

places = st.builds(
    lambda kind, price, **rest: {"op": "place", "type": kind, **rest, **({"price": price} if kind == "limit" else {})},
    kind=st.sampled_from(["limit", "limit", "limit", "market"]),
    price=prices,
    id=ids,
    account=st.sampled_from("abc"),
    side=st.sampled_from(["buy", "sell"]),
    tif=st.sampled_from(["GTC", "GTC", "IOC", "FOK", "POST_ONLY"]),
    quantity=quantities,
    stp=st.sampled_from(MODES),
)
commands = st.one_of(
    places,
    places,
    places,
    st.fixed_dictionaries({"op": st.just("cancel"), "id": ids}),
    st.fixed_dictionaries({"op": st.just("reduce"), "id": ids, "quantity": quantities}),
    st.fixed_dictionaries(
        {"op": st.just("replace"), "id": ids, "price": prices, "quantity": quantities, "stp": st.sampled_from(MODES)}
    ),
)


def lines_of(flow: list[dict]) -> list[bytes]:
    return [json.dumps(command).encode() for command in flow]


def play(flow: list[dict]) -> tuple[list[dict], list[dict]]:
    """The printed events and the printed book."""
    printed = []
    for show in (match._print_events, match._print_book):
        out = io.BytesIO()
        show(lines_of(flow), out)
        printed.append([json.loads(line) for line in out.getvalue().splitlines()])
    return printed[0], printed[1]


def naively(flow: list[dict]) -> tuple[list[tuple], list[tuple]]:
    naive = NaiveMatcher()
    events = [(seq, *event) for seq, command in enumerate(flow) for event in naive.apply(command)]
    return events, naive.book()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(commands, max_size=40))
def test_every_flow_gives_the_naive_matchers_events_and_book(flow: list[dict]) -> None:
    events, book = play(flow)
    expected_events, expected_book = naively(flow)
    assert [(event["seq"], *as_tuple(event)) for event in events] == expected_events
    assert [(row["side"], row["price"], row["id"], row["quantity"]) for row in book] == expected_book


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_long_flows_that_trade_a_lot_agree_too(seed: int) -> None:
    """Seeded, because hypothesis favours simple values and simple orders hardly ever meet."""
    rng = Random(seed)
    flow = []
    for number in range(80):
        kind = rng.choices(["place", "cancel", "reduce", "replace"], [70, 8, 8, 14])[0]
        command = {"op": kind, "id": str(rng.randrange(number + 1))}
        if kind == "place":
            command |= {"id": str(number), "account": rng.choice("abcd"), "side": rng.choice(["buy", "sell"])}
            command |= {"type": "limit", "tif": rng.choice(["GTC", "GTC", "GTC", "IOC", "FOK", "POST_ONLY"])}
            if rng.random() < 0.1:
                command["type"] = "market"
        if kind in ("place", "replace"):
            command |= {"price": rng.randint(96, 104), "stp": rng.choice(MODES)}
        if kind != "cancel":
            command["quantity"] = rng.randint(1, 20)
        if command.get("type") == "market":
            del command["price"]
        flow.append(command)
    events, book = play(flow)
    expected_events, expected_book = naively(flow)
    assert [(event["seq"], *as_tuple(event)) for event in events] == expected_events
    assert [(row["side"], row["price"], row["id"], row["quantity"]) for row in book] == expected_book


def test_the_lines_of_the_issue_are_understood() -> None:
    flow = [
        {"op": "place", "id": "1", "account": "a", "side": "sell", "type": "limit", "tif": "GTC", "price": 100012,
         "quantity": 7, "stp": "NONE"},
        {"op": "place", "id": "2", "account": "b", "side": "buy", "type": "market", "tif": "IOC", "quantity": 9,
         "stp": "NONE"},
    ]  # fmt: skip
    events, book = play(flow)
    assert events == [
        {"seq": 0, "event": "accepted", "id": "1"},
        {"seq": 1, "event": "accepted", "id": "2"},
        {"seq": 1, "event": "trade", "taker": "2", "maker": "1", "price": 100012, "quantity": 7},
        {"seq": 1, "event": "canceled", "id": "2", "quantity": 2, "reason": "MARKET"},
    ]
    assert book == []


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    root = Path(match.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "relayer", *arguments], input=stdin, capture_output=True, cwd=root, check=False
    )


PLACE = (
    b'{"op":"place","id":"1","account":"a","side":"buy","type":"limit","tif":"GTC",'
    b'"price":5,"quantity":2,"stp":"NONE"}\n'
)


def test_command_line_prints_events_or_the_book(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_bytes(PLACE + b"\n" + PLACE)
    events = [json.loads(line) for line in run("match", str(path)).stdout.splitlines()]
    assert [(event["seq"], event["event"]) for event in events] == [(0, "accepted"), (1, "rejected")]
    book = run("match", str(path), "--book")
    assert book.stdout == b'{"side":"buy","price":5,"id":"1","quantity":2}\n'
    assert (book.returncode, book.stderr) == (0, b"")
    assert run("match", "-", "--book", stdin=path.read_bytes()).stdout == book.stdout


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'{"op":"dance","id":"1"}',
        b'{"op":"cancel"}',
        b'{"op":"cancel","id":7}',
        b'{"op":"cancel","id":"7","why":"typo"}',
        b'{"op":"reduce","id":"7","quantity":1.5}',
        b"\xff\xfe",
        b"[]",
        PLACE.replace(b'"price":5,', b""),
        PLACE.replace(b'"limit"', b'"market"'),
        PLACE.replace(b'"GTC"', b'"GTD"'),
    ],
)
def test_a_bad_line_is_named_by_number_after_the_events_before_it(tmp_path: Path, line: bytes, capfdbinary) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_bytes(PLACE + b"\n" + line + b"\n")
    assert match.main([str(path)]) == 2
    out, err = capfdbinary.readouterr()
    assert out == b'{"seq":0,"event":"accepted","id":"1"}\n'
    assert b"line 3 is not a command" in err
    assert err.count(b"\n") == 1


def test_mistakes_at_the_command_line_are_one_clear_line(tmp_path: Path) -> None:
    missing = run("match", str(tmp_path / "nothing.jsonl"))
    assert missing.returncode == 2
    assert b"No such file" in missing.stderr
    assert b"Traceback" not in missing.stderr
    for arguments in ((), ("dance",)):
        wrong = run(*arguments)
        assert wrong.returncode == 2
        assert b"usage: python -m relayer" in wrong.stderr
    assert run("--help").returncode == 0
