"""docs/vectors.json, what an implementation of somebody else's checks itself against: eth-account and viem agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data

from cxdex.order_word import unpack_order_word
from scripts.vectors import PAGE, document
from tests.cxdex.test_signers import ask_viem

PUBLISHED = json.loads(PAGE.read_text())
VECTORS = PUBLISHED["vectors"]


def test_the_page_is_what_we_sign_today() -> None:
    """`python -m scripts.vectors --write` after a change on purpose: every client has to change with it."""
    assert PAGE.read_text() == document()


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_eth_account_agrees(vector: dict[str, Any]) -> None:
    shown = encode_typed_data(full_message=vector["typedData"])
    assert "0x" + bytes(_hash_eip191_message(shown)).hex() == vector["digest"]
    signed = Account.sign_message(shown, PUBLISHED["privateKey"])
    assert "0x" + bytes(signed.signature).hex() == vector["signature"]
    assert Account.recover_message(shown, signature=vector["signature"]) == PUBLISHED["account"]
    r, vs = int(vector["compact"][2:66], 16), int(vector["compact"][66:], 16)
    assert (r, vs % 2**255, 27 + (vs >> 255)) == (signed.r, signed.s, signed.v)


def test_viem_agrees() -> None:
    answers = ask_viem([vector["typedData"] for vector in VECTORS])
    assert answers == [{"digest": vector["digest"], "signature": vector["signature"]} for vector in VECTORS]


def test_every_kind_of_message_is_there_and_orders_have_their_name_on_chain() -> None:
    kinds = {vector["typedData"]["primaryType"] for vector in VECTORS}
    assert kinds == {"Order", "ConditionalOrder", "CancelOrders", "CancelAll", "Login", "InstantWithdrawal"}
    for vector in VECTORS:
        if "Order" in vector["typedData"]["primaryType"] and "orderWord" in vector:
            word = unpack_order_word(bytes.fromhex(vector["orderWord"][2:]))
            message = vector["typedData"]["message"]
            assert "0x" + word.account.hex() == message["account"].lower()
            assert str(word.nonce) == message["nonce"]
            assert vector["digest"].endswith(word.tail.hex())
    assert sum("orderWord" in vector for vector in VECTORS) == len(VECTORS) - 5
