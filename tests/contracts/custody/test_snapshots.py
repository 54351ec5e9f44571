"""Code sizes and error codes are those of the checked-in file, and every error code has a sentence."""

from __future__ import annotations

import json

from custody_world import World

from cxdex.contract_errors import SENTENCES, explain
from scripts.check_contracts import MAX_RUNTIME_BYTES
from scripts.contract_facts import FILE, deployed_bytes, differences, facts, source_codes
from scripts.wiring import PROXIED


def test_sizes_and_error_codes_are_those_of_the_file() -> None:
    assert differences(json.loads(FILE.read_text()), facts()) == [], "run `python -m scripts.contract_facts`"


def test_a_difference_is_named() -> None:
    was, now = {"A": {"initBytes": 1, "errors": ["A:B"]}}, {"A": {"initBytes": 2, "errors": ["A:B"]}}
    assert differences(was, now) == ["A initBytes: 1 in the file, 2 compiled"]


def test_the_size_is_the_one_on_the_chain(world: World) -> None:
    for name in ("Vault", "Settlement", "Oracle", "CXPT"):
        artifact = world.artifacts[name]
        address = world.addresses[name]
        if name in PROXIED:
            address = world.contract("Proxy", address).call("implementation")
        on_chain = len(world.evm.code(address))  # without trailing zeros
        assert 0 <= deployed_bytes(artifact.init_code) - on_chain < 64, name
        assert deployed_bytes(artifact.init_code) <= MAX_RUNTIME_BYTES


def test_every_error_code_has_a_sentence() -> None:
    assert source_codes() - SENTENCES.keys() == set()
    assert {code for one in facts().values() for code in one["errors"]} <= SENTENCES.keys()


def test_a_sentence_explains_and_keeps_the_code() -> None:
    assert explain("V:DELAY") == "the withdrawal's delay is not over yet [V:DELAY]"
    assert explain("no code of ours") == "no code of ours"
    assert all(sentence and sentence[-1] != "." for sentence in SENTENCES.values())
