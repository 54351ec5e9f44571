"""Session keys in the client: what they sign, what they cannot, and how the owner sets and ends them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from eth_abi.abi import decode

from cxdex import SessionWallet
from cxdex.client import session_keys, trading
from cxdex.client.session import Session
from cxdex.client.ticket import Ticket
from cxdex.eip712 import cancel_orders_digest, market_hash, order_digest, to_checksum
from cxdex.keccak import keccak
from cxdex.order import SignatureKind
from cxdex.problem import Problem
from cxdex.signature import address_of, recover
from cxdex.wallet import LocalWallet
from tests.cxdex.client.exchange_script import STATUS, Script, accepted, ok, order_state
from tests.cxdex.client.test_chain import Node, script_with, selector
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY, order

SESSION_KEY = keccak(b"a session key")
TRADER = SessionWallet(SESSION_KEY, ACCOUNT)
SET = "setSession(address,bytes32,uint256,uint256)"


def test_it_signs_the_owners_orders_with_its_own_key() -> None:
    signed = TRADER.sign_order(DOMAIN, order(account=ACCOUNT))
    assert signed.kind is SignatureKind.SESSION
    assert (
        recover(order_digest(DOMAIN, signed.order), signed.signature) == TRADER.key_account == address_of(SESSION_KEY)
    )
    assert TRADER.account == ACCOUNT
    cancel = TRADER.sign_cancel(DOMAIN, [1], 2)
    assert recover(cancel_orders_digest(DOMAIN, ACCOUNT, [1], 2), cancel) == TRADER.key_account


@pytest.mark.parametrize("act", [lambda: TRADER.sign_login(DOMAIN, 1), lambda: TRADER.sign_transaction({})])
def test_it_cannot_sign_in_or_move_money(act: Any) -> None:
    with pytest.raises(Problem, match="SESSION_CANNOT"):
        act()


def test_its_key_is_in_no_text() -> None:
    assert SESSION_KEY.hex() not in repr(TRADER)
    assert TRADER.address in repr(TRADER)
    assert LocalWallet(SESSION_KEY).as_session_of(to_checksum(ACCOUNT)).account == ACCOUNT


@pytest.mark.parametrize("owner", ["", "0x12", "alice", "0x" + "zz" * 20])
def test_an_owner_that_is_no_address_is_refused(owner: str) -> None:
    with pytest.raises(Problem, match="FIELD_INVALID"):
        SessionWallet(SESSION_KEY, owner)


def test_it_places_for_the_owner_and_cancels_by_signature() -> None:
    session, script = Session(TRADER), Script(accepted)
    placed = script.run(trading.place(session, Ticket("sBTC-USDC", "BUY", "0.01", "60000", expires_in=600)))
    (sent,) = script.sent("/orders")
    assert sent["order"]["account"] == to_checksum(ACCOUNT)
    assert 0 < int(sent["order"]["expiry"]) - time.time() <= 600
    state = order_state(sent["order"], id=placed.id)
    script.routes[f"GET /orders/{placed.id}"] = ok(state)
    script.routes["POST /orders/cancel"] = ok({"results": [{"nonce": "1", "order": {**state, "status": "CANCELLED"}}]})
    assert script.run(trading.cancel(session, placed.id)).status == "CANCELLED"
    (cancel,) = script.sent("/orders/cancel")
    assert cancel["nonces"] == [sent["order"]["nonce"]]
    assert script.sent("/auth/login") == []


@pytest.mark.parametrize(("market", "where"), [(None, bytes(32)), ("sBTC-USDC", market_hash("sBTC-USDC"))])
def test_the_owner_sets_a_key_on_chain(market: str | None, where: bytes) -> None:
    node = Node()
    script = script_with(node)
    contracts = {"Vault": "0x" + "11" * 20, "USDC": "0x" + "22" * 20, "Settlement": "0x" + "33" * 20}
    script.routes["GET /status"] = ok({**STATUS, "contracts": contracts})
    script.run(session_keys.set_key(Session(LocalWallet(KEY)), TRADER.address, market, "1000.5", 3600))
    ((to, data),) = node.sent
    assert (to, data[:8]) == (contracts["Settlement"], selector(SET))
    key, named, notional, expiry = decode(["address", "bytes32", "uint256", "uint256"], bytes.fromhex(data[8:]))
    assert (key, named, notional) == (TRADER.address.lower(), where, 1_000_500_000)
    assert 3590 <= expiry - time.time() <= 3600


def test_the_owner_revokes_and_lists() -> None:
    node = Node()
    script = script_with(node)
    contracts = {"Vault": "0x" + "11" * 20, "USDC": "0x" + "22" * 20, "Settlement": "0x" + "33" * 20}
    script.routes["GET /status"] = ok({**STATUS, "contracts": contracts})
    session = Session(LocalWallet(KEY))
    script.run(session_keys.revoke_key(session, TRADER.address))
    ((_, data),) = node.sent
    assert data[:8] == selector("revokeSession(address)")
    shown = {
        "key": TRADER.address,
        "market": None,
        "notionalLeft": "5",
        "notionalAvailable": "4",
        "expiry": "9",
    }
    script.routes[f"GET /accounts/{to_checksum(ACCOUNT)}/sessions"] = ok({"data": [shown]})
    (found,) = script.run(session_keys.keys(session))
    assert (found.key, found.market, found.notional_available) == (TRADER.address, None, "4")


def test_a_key_that_is_no_address_is_refused_before_anything_is_sent() -> None:
    node = Node()
    with pytest.raises(Problem, match="FIELD_INVALID"):
        script_with(node).run(session_keys.set_key(Session(LocalWallet(KEY)), "bob", None, "1", 60))
    assert node.sent == []
