"""The slice decoders against eth-abi and the checked-in ABIs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.batch import unpack_fill
from indexer import event_list, events
from indexer.decode import Decoder, parse, signature
from indexer.halt import Halt
from tests.indexer.event_logs import DEPLOYMENT, abi_events, abi_log, abi_values

DECODER = Decoder(DEPLOYMENT)
EVENTS = list(abi_events())

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "address": st.binary(min_size=20, max_size=20),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bool": st.booleans(),
    "string": st.text(st.characters(codec="ascii"), max_size=64),
    "bytes": st.binary(max_size=100),
}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize(
    ("contract", "entry"), EVENTS, ids=[f"{contract}.{entry['name']}" for contract, entry in EVENTS]
)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_event_of_the_abis_reads_back(contract: str, entry: dict[str, Any], data: st.DataObject) -> None:
    values = [data.draw(VALUES[item["type"]]) for item in entry["inputs"]]

    event = DECODER.decode(abi_log(contract, entry, values))

    names = [item["name"] for item in entry["inputs"]]
    if isinstance(event, events.Notice):
        assert (event.contract, event.name) == (contract, entry["name"])
        assert event.values == tuple(zip(names, values, strict=True))
        return
    assert type(event).__name__ == entry["name"]
    if entry["name"] in ("Fill", "FillSkipped"):
        return  # packed words: the next test
    found = {field: getattr(event, field) for field in event.__struct_fields__}
    assert found == {snake(name): value for name, value in zip(names, values, strict=True)}


def test_no_event_is_listed_that_the_contracts_do_not_have() -> None:
    there = {
        (contract, f"{entry['name']}({','.join(item['type'] for item in entry['inputs'])})")
        for contract, entry in EVENTS
    }
    listed = {(contract, signature(kind.__name__, parse(text))) for contract, kind, text in event_list.EVENTS}
    listed |= {(contract, signature(name, parse(text))) for contract, name, text in event_list.NOTICES}
    listed |= {
        (contract, signature(name, parse(text)))
        for contract in event_list.PROXIES
        for name, text in event_list.PROXY_NOTICES
    }
    assert listed == there


def test_a_text_that_ends_nowhere_is_refused() -> None:
    contract, entry = next(pair for pair in EVENTS if pair[1]["name"] == "SynthCreated")
    log = abi_log(contract, entry, [bytes(20), 2, "Synthetic Bitcoin", "sBTC"])
    for at in (32, 96):  # the offset of the name, and its length
        cut = log.data[:at] + (2**40).to_bytes(32, "big") + log.data[at + 32 :]
        with pytest.raises(Halt, match="EVENT_MALFORMED"):
            DECODER.decode(log._replace(data=cut))


WORDS = VALUES["uint256"]


@settings(max_examples=100, deadline=None)
@given(maker=WORDS, taker=WORDS, terms=WORDS)
def test_fill_words_unpack_as_the_batch_format_says(maker: int, taker: int, terms: int) -> None:
    contract, entry = next(pair for pair in EVENTS if pair[1]["name"] == "Fill")

    event = DECODER.decode(abi_log(contract, entry, [maker, taker, terms]))

    assert isinstance(event, events.Fill)
    assert (event.maker_order, event.taker_order) == (maker.to_bytes(32, "big"), taker.to_bytes(32, "big"))
    expected = unpack_fill(terms)
    assert {name: getattr(event, name) for name in expected.__slots__} == {
        name: getattr(expected, name) for name in expected.__slots__
    }
    assert abi_values(event) == [maker, taker, terms]


@settings(max_examples=50, deadline=None)
@given(maker=WORDS, taker=WORDS, terms=st.integers(0, 2**160 - 1), reason=WORDS)
def test_skipped_fills_unpack_alike(maker: int, taker: int, terms: int, reason: int) -> None:
    contract, entry = next(pair for pair in EVENTS if pair[1]["name"] == "FillSkipped")

    event = DECODER.decode(abi_log(contract, entry, [maker, taker, terms, reason]))

    assert isinstance(event, events.FillSkipped)
    assert abi_values(event) == [maker, taker, terms, reason]


def test_an_event_nobody_told_us_about_stops_the_indexer() -> None:
    contract, entry = EVENTS[0]
    known = abi_log(
        contract,
        entry,
        [bytes(32) if i["type"] == "bytes32" else bytes(20) if i["type"] == "address" else 1 for i in entry["inputs"]],
    )
    with pytest.raises(Halt, match="EVENT_UNKNOWN"):
        DECODER.decode(known._replace(topics=bytes(32)))


def test_the_right_event_of_the_wrong_contract_is_unknown() -> None:
    contract, entry = next(pair for pair in EVENTS if pair[1]["name"] == "Deposited")
    log = abi_log(contract, entry, [bytes(20), 0, 1, 1])
    with pytest.raises(Halt, match="EVENT_UNKNOWN"):
        DECODER.decode(log._replace(address=DEPLOYMENT.contracts["Settlement"]))


@pytest.mark.parametrize("cut", ["topics", "data"])
def test_a_log_of_the_wrong_length_is_refused(cut: str) -> None:
    contract, entry = next(pair for pair in EVENTS if pair[1]["name"] == "Deposited")
    log = abi_log(contract, entry, [bytes(20), 0, 1, 1])
    with pytest.raises(Halt, match="EVENT_MALFORMED"):
        DECODER.decode(log._replace(**{cut: getattr(log, cut)[:-32]}))
