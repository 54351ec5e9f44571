"""Keys come in as hex or as a keystore, and never come out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from cxdex.eip712 import cancel_orders_digest, login_digest, order_digest
from cxdex.problem import Problem
from cxdex.signature import CURVE_ORDER, recover
from cxdex.wallet import LocalWallet
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY, order

HEX = "0x" + KEY.hex()


def test_hex_with_and_without_prefix_and_bytes_are_one_wallet() -> None:
    assert {LocalWallet(form).account for form in (HEX, HEX[2:], f" {HEX}\n", KEY)} == {ACCOUNT}


def test_a_key_file_and_a_keystore_are_one_wallet(tmp_path: Path) -> None:
    plain, keystore = tmp_path / "plain.key", tmp_path / "keystore.json"
    plain.write_text(HEX + "\n")
    keystore.write_text(json.dumps(Account.encrypt(KEY, "correct horse", kdf="pbkdf2", iterations=2)))
    assert LocalWallet.from_file(plain).account == ACCOUNT
    assert LocalWallet.from_file(keystore, "correct horse").account == ACCOUNT
    with pytest.raises(Problem, match="password is wrong"):
        LocalWallet.from_file(keystore, "wrong")
    with pytest.raises(Problem) as caught:
        LocalWallet.from_file(keystore)
    assert caught.value.code == "KEY_PASSWORD_MISSING"


@pytest.mark.parametrize("text", ["", "0x", "zz" * 32, HEX + "00", "0x" + "00" * 32, hex(CURVE_ORDER)])
def test_what_is_not_a_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Problem) as caught:
        LocalWallet(text)
    assert caught.value.code == "KEY_INVALID"
    assert caught.value.given is None
    assert len(text) < 4 or text not in str(caught.value)


def test_a_missing_key_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        LocalWallet.from_file(tmp_path / "none")
    assert caught.value.code == "KEY_MISSING"


def test_the_key_is_not_in_the_text_of_the_wallet() -> None:
    wallet = LocalWallet(HEX)
    assert KEY.hex() not in repr(wallet) + str(wallet)
    assert wallet.address in repr(wallet)


def test_everything_it_signs_is_recovered_as_its_account() -> None:
    wallet = LocalWallet(KEY)
    signed = wallet.sign_order(DOMAIN, order())
    assert signed.digest == order_digest(DOMAIN, order())
    assert recover(signed.digest, signed.signature) == ACCOUNT
    assert recover(cancel_orders_digest(DOMAIN, ACCOUNT, [1, 2], 9), wallet.sign_cancel(DOMAIN, [1, 2], 9)) == ACCOUNT
    assert recover(login_digest(DOMAIN, ACCOUNT, 9), wallet.sign_login(DOMAIN, 9)) == ACCOUNT


def test_it_does_not_sign_orders_of_other_accounts() -> None:
    with pytest.raises(Problem) as caught:
        LocalWallet(KEY).sign_order(DOMAIN, order(account=b"\x01" * 20))
    assert caught.value.code == "SIGNATURE_MISMATCH"


def test_transactions_are_signed_for_their_sender() -> None:
    transaction = {
        "type": 2,
        "chainId": 31337,
        "nonce": 0,
        "to": "0x" + "11" * 20,
        "value": 0,
        "data": "0x",
        "gas": 21_000,
        "maxFeePerGas": 1,
        "maxPriorityFeePerGas": 1,
    }
    raw = LocalWallet(KEY).sign_transaction(transaction)
    assert Account.recover_transaction(raw).lower() == "0x" + ACCOUNT.hex()
