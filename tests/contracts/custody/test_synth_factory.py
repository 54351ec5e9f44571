"""Synths: one address for one name and symbol, known before it exists, that nobody else can take."""

from __future__ import annotations

import pytest
from custody_world import GATEWAY, STRANGER, World
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex.abi import synth_init_code_hash
from cxdex.eip712 import to_checksum
from cxdex.synth_address import predict_synth_address
from scripts.storage_layout import FOLDER, checked_in

NAME, SYMBOL = "Synthetic Solana", "sSOL"
FIRST_SYNTH, LAST_ASSET = 2, 2**16 - 1
PRISTINE = World()


def test_the_address_is_known_offline_and_on_chain_before_it_exists(world: World) -> None:
    offline = predict_synth_address(world.factory.address, synth_init_code_hash(), NAME, SYMBOL)
    assert world.factory.call("predict", NAME, SYMBOL) == offline
    assert world.evm.code(offline) == b""

    events = world.events(world.factory.send(GATEWAY, "createSynth", NAME, SYMBOL))

    assert events == [
        ("SynthRegistered", {"asset": 4, "synth": to_checksum(offline).lower()}),
        ("SynthCreated", {"synth": to_checksum(offline).lower(), "asset": 4, "name": NAME, "symbol": SYMBOL}),
    ]
    synth = world.contract("Synth", offline)
    assert [synth.call(getter) for getter in ("name", "symbol", "decimals", "totalSupply", "VAULT")] == [
        NAME,
        SYMBOL,
        18,
        0,
        world.vault.address,
    ]
    assert world.vault.call("assetOf", offline) == 4
    assert world.vault.call("synthOf", 4) == world.factory.call("synthOf", SYMBOL) == offline


@settings(derandomize=True, deadline=None)
@given(name=st.text(min_size=1, max_size=16), symbol=st.text(min_size=1, max_size=4))
def test_the_offline_prediction_agrees_for_any_text(name: str, symbol: str) -> None:
    offline = predict_synth_address(PRISTINE.factory.address, synth_init_code_hash(), name, symbol)
    assert PRISTINE.factory.call("predict", name, symbol) == offline


def test_attack_04_texts_that_run_into_one_another_are_different_synths(world: World) -> None:
    """Laid side by side these three are the same bytes."""
    texts = [("Synthetic A", "BC"), ("Synthetic AB", "C"), ("Synthetic ", "ABC")]
    assert len({name + symbol for name, symbol in texts}) == 1
    created = [dict(world.events(world.factory.send(GATEWAY, "createSynth", *pair)))["SynthCreated"] for pair in texts]
    assert [(event["name"], event["symbol"]) for event in created] == texts
    assert len({event["synth"] for event in created}) == 3


def test_names_of_any_useful_length_work(world: World) -> None:
    name, symbol = "N" * 64, "S" * 16
    world.factory.send(GATEWAY, "createSynth", name, symbol)
    synth = world.contract("Synth", predict_synth_address(world.factory.address, synth_init_code_hash(), name, symbol))
    assert (synth.call("name"), synth.call("symbol")) == (name, symbol)


@pytest.mark.parametrize(("name", "symbol"), [("", "s"), ("n", ""), ("n" * 65, "s"), ("n", "s" * 17)])
def test_the_prediction_refuses_what_the_factory_would_refuse(name: str, symbol: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        predict_synth_address(bytes(20), bytes(32), name, symbol)


def test_empty_names_and_used_symbols_are_refused(world: World, refuses) -> None:
    with refuses("F:NAME"):
        world.factory.send(GATEWAY, "createSynth", "", "sX")
    with refuses("F:SYMBOL"):
        world.factory.send(GATEWAY, "createSynth", "Synthetic X", "")
    for name in ("Synthetic Bitcoin", "Another Bitcoin"):
        with refuses("F:SYMBOL"):
            world.factory.send(GATEWAY, "createSynth", name, "sBTC")


def test_attack_61_a_stranger_with_the_same_code_lands_somewhere_else(world: World, refuses) -> None:
    """The address binds the factory, and the factory obeys only GATEWAY."""
    with refuses("R:GATEWAY"):
        world.factory.send(STRANGER, "createSynth", NAME, SYMBOL)
    rival = world.create(
        "SynthFactory",
        world.vault.address,
        world.factory.call("BLUEPRINT"),
        synth_init_code_hash(),
        *(bytes([byte]) * 20 for byte in (1, 2, 3)),
        STRANGER,
    )
    assert rival.call("predict", NAME, SYMBOL) != world.factory.call("predict", NAME, SYMBOL)
    with refuses("V:FACTORY"):
        rival.send(STRANGER, "createSynth", NAME, SYMBOL)
    world.factory.send(GATEWAY, "createSynth", NAME, SYMBOL)


def test_a_factory_with_the_wrong_hash_creates_nothing(world: World, refuses) -> None:
    rival = world.create(
        "SynthFactory",
        world.vault.address,
        world.factory.call("BLUEPRINT"),
        bytes(32),
        *(bytes([byte]) * 20 for byte in (1, 2, 3)),
        STRANGER,
    )
    with refuses("F:ADDRESS"):
        rival.send(STRANGER, "createSynth", NAME, SYMBOL)


def test_a_synth_is_numbered_once(world: World, refuses) -> None:
    with refuses("V:SYNTH"):
        world.vault.send(world.factory.address, "registerSynth", world.synths[2].address)
    with refuses("V:SYNTH"):
        world.vault.send(world.factory.address, "registerSynth", bytes(20))


def test_there_is_room_for_65534_synths(world: World, refuses) -> None:
    (count,) = [one for one in checked_in(FOLDER)["Vault"] if one["name"] == "registry.synthCount"]
    world.evm.set_storage(world.vault.address, int(count["slot"], 16), LAST_ASSET - FIRST_SYNTH)
    world.factory.send(GATEWAY, "createSynth", NAME, SYMBOL)
    assert world.vault.call("assetOf", world.factory.call("synthOf", SYMBOL)) == LAST_ASSET
    with refuses("V:ASSET"):
        world.factory.send(GATEWAY, "createSynth", "One too many", "sMORE")


@pytest.mark.parametrize(
    ("name", "symbol", "code"),
    [
        ("Synthetic Solana", "sSOL\u200b", "F:SYMBOL"),  # looks like sSOL
        ("Synthetic Solana", "\u0455SOL", "F:SYMBOL"),  # a Cyrillic s
        ("Synthetic Solana", "s SOL", "F:SYMBOL"),
        ("Synthetic Solana", "sSOL\x7f", "F:SYMBOL"),
        ("Synthetic\nSolana", "sSOL", "F:NAME"),
        ("Synthetic Sol\u0430na", "sSOL", "F:NAME"),
    ],
)
def test_only_printable_ascii_becomes_a_name(world: World, refuses, name: str, symbol: str, code: str) -> None:
    with refuses(code):
        world.factory.send(GATEWAY, "createSynth", name, symbol)


def test_every_printable_character_may_be_in_a_name(world: World) -> None:
    printable = bytes(range(32, 127)).decode()
    for name, symbol in ((printable[:64], "s!"), (printable[64:], "s~")):
        world.factory.send(GATEWAY, "createSynth", name, symbol)
        assert world.factory.call("predict", name, symbol) == world.factory.call("synthOf", symbol)


def test_the_factory_forgets_what_it_named(world: World) -> None:
    world.factory.send(GATEWAY, "createSynth", NAME, SYMBOL)
    assert world.factory.call("naming") == ("", "", world.vault.address)


def test_bytes_that_are_no_text_become_no_name(world: World, refuses) -> None:
    """An event with them would stop every reader that decodes strings, the indexer first."""
    data = world.factory.encode("createSynth", "Synthetic Solana", "sSOL")
    with refuses("F:SYMBOL"):
        world.evm.send(GATEWAY, world.factory.address, data.replace(b"sSOL", b"s\xff\xfeL"))
