"""What is signed: our bytes against eth-account's reading of the standard, for every message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from cxdex import eip712
from cxdex.condition import Trigger
from cxdex.eip712 import Domain, InstantWithdrawal, order_digest, order_typed_data, typed_data
from cxdex.keccak import keccak
from cxdex.order import Order
from cxdex.signature import recover, sign_digest
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY, STOP, integers, order, orders

addresses = st.binary(min_size=20, max_size=20)
withdrawals = st.builds(
    InstantWithdrawal,
    account=addresses,
    asset=integers(0, 2**16 - 1),
    amount=integers(0, 2**256 - 1),
    as_cxpt=st.booleans(),
    recipient=addresses,
    nonce=integers(0, 2**256 - 1),
    deadline=integers(0, 2**40 - 1),
)


def reference_digest(message: dict[str, Any]) -> bytes:
    return bytes(_hash_eip191_message(encode_typed_data(full_message=message)))


@settings(max_examples=60, deadline=None)
@given(orders(), integers(1, 2**64 - 1), st.binary(min_size=20, max_size=20))
def test_order_digest_equals_eth_account(order: Order, chain_id: int, contract: bytes) -> None:
    domain = Domain(chain_id, contract)
    assert order_digest(domain, order) == reference_digest(order_typed_data(domain, order))


@settings(max_examples=25, deadline=None)
@given(orders())
def test_signatures_equal_eth_account(order: Order) -> None:
    theirs = Account.sign_typed_data(KEY, full_message=order_typed_data(DOMAIN, order))
    digest = order_digest(DOMAIN, order)
    assert sign_digest(KEY, digest) == bytes(theirs.signature)
    assert recover(digest, bytes(theirs.signature)) == ACCOUNT


@settings(max_examples=25, deadline=None)
@given(st.lists(integers(0, 2**64 - 1), max_size=64), integers(0, 2**64 - 1))
def test_cancel_digest_equals_eth_account(nonces: list[int], deadline: int) -> None:
    message = {"account": eip712.to_checksum(ACCOUNT), "nonces": nonces, "deadline": deadline}
    theirs = reference_digest(typed_data(DOMAIN, eip712.CANCEL_ORDERS_TYPE, message))
    assert eip712.cancel_orders_digest(DOMAIN, ACCOUNT, nonces, deadline) == theirs


@settings(max_examples=25, deadline=None)
@given(st.lists(integers(0, 2**64 - 1), max_size=64), integers(0, 2**64 - 1))
def test_the_cancel_that_a_wallet_is_shown_is_the_one_we_hash(nonces: list[int], deadline: int) -> None:
    shown = eip712.cancel_orders_typed_data(DOMAIN, ACCOUNT, nonces, deadline)
    assert eip712.cancel_orders_digest(DOMAIN, ACCOUNT, nonces, deadline) == reference_digest(shown)


@settings(max_examples=25, deadline=None)
@given(addresses, integers(0, 2**16 - 1), integers(0, 2**64 - 1))
def test_cancel_all_digest_equals_eth_account(account: bytes, epoch: int, deadline: int) -> None:
    shown = eip712.cancel_all_typed_data(DOMAIN, account, epoch, deadline)
    assert eip712.cancel_all_digest(DOMAIN, account, epoch, deadline) == reference_digest(shown)
    plain = {"account": eip712.to_checksum(account), "epoch": epoch, "deadline": deadline}
    assert reference_digest(typed_data(DOMAIN, eip712.CANCEL_ALL_TYPE, plain)) == reference_digest(shown)


@settings(max_examples=40, deadline=None)
@given(withdrawals)
def test_instant_withdrawal_digest_equals_eth_account(withdrawal: InstantWithdrawal) -> None:
    vault = Domain(DOMAIN.chain_id, bytes(19) + b"\x07")
    theirs = reference_digest(eip712.instant_withdrawal_typed_data(vault, withdrawal))
    assert eip712.instant_withdrawal_digest(vault, withdrawal) == theirs
    assert eip712.instant_withdrawal_digest(DOMAIN, withdrawal) != theirs


def test_every_field_of_a_withdrawal_is_signed() -> None:
    changes: list[dict[str, Any]] = [
        {"account": bytes(19) + b"\x01"},
        {"asset": 1},
        {"amount": 2},
        {"as_cxpt": True},
        {"recipient": bytes(19) + b"\x02"},
        {"nonce": 1},
        {"deadline": 6},
    ]
    plain = InstantWithdrawal(ACCOUNT, 0, 1, False, ACCOUNT, 0, 5)
    ids = {eip712.instant_withdrawal_digest(DOMAIN, replace(plain, **change)) for change in [{}, *changes]}
    assert len(ids) == len(changes) + 1


def test_the_kinds_of_message_never_share_a_digest() -> None:
    """Same account, same numbers: the type alone tells them apart."""
    digests = {
        eip712.cancel_all_digest(DOMAIN, ACCOUNT, 1, 2),
        eip712.cancel_orders_digest(DOMAIN, ACCOUNT, [1], 2),
        eip712.login_digest(DOMAIN, ACCOUNT, 2),
        eip712.instant_withdrawal_digest(DOMAIN, InstantWithdrawal(ACCOUNT, 0, 1, False, ACCOUNT, 1, 2)),
    }
    assert len(digests) == 4


def test_login_digest_equals_eth_account() -> None:
    message = {
        "account": eip712.to_checksum(ACCOUNT),
        "statement": eip712.LOGIN_STATEMENT,
        "expiresAt": 1_900_000_000,
    }
    theirs = reference_digest(typed_data(DOMAIN, eip712.LOGIN_TYPE, message))
    assert eip712.login_digest(DOMAIN, ACCOUNT, 1_900_000_000) == theirs


@settings(max_examples=40, deadline=None)
@given(orders(), orders())
def test_different_orders_have_different_ids(one: Order, other: Order) -> None:
    assert (order_digest(DOMAIN, one) == order_digest(DOMAIN, other)) == (one == other)


def test_every_signed_field_changes_the_id() -> None:
    plain = order_digest(DOMAIN, order())
    changes: list[dict[str, Any]] = [
        {"account": bytes(19) + b"\x01"},
        {"market": "sETH-USDC"},
        {"side": order().side.opposite},
        {"time_in_force": type(order().time_in_force).IOC},
        {"quantity": 101},
        {"limit_price": 600_001},
        {"max_fee_bps": 26},
        {"max_collateral": 1},
        {"self_trade": type(order().self_trade).DECREMENT},
        {"reduce_only": True},
        {"expiry": 1_900_000_001},
        {"nonce": 2},
        {"condition": STOP},
    ]
    ids = {order_digest(DOMAIN, order(**change)) for change in changes}
    assert len(ids) == len(changes)
    assert plain not in ids


def test_every_part_of_a_condition_changes_the_id() -> None:
    waiting = [
        order(condition=STOP),
        order(condition=replace(STOP, trigger=Trigger.LAST_AT_OR_BELOW)),
        order(condition=replace(STOP, trigger_price=STOP.trigger_price + 1)),
        order(condition=replace(STOP, active_from=STOP.active_from + 1)),
    ]
    assert len({order_digest(DOMAIN, chosen) for chosen in [order(), *waiting]}) == 5


def test_a_condition_is_a_type_of_its_own() -> None:
    """A wallet shows which of the two it signs, and the plain type is the one it has always been."""
    plain, waiting = order_typed_data(DOMAIN, order()), order_typed_data(DOMAIN, order(condition=STOP))
    assert (plain["primaryType"], waiting["primaryType"]) == ("Order", "ConditionalOrder")
    assert waiting["types"]["ConditionalOrder"][:13] == plain["types"]["Order"]
    assert {name: waiting["message"][name] for name in plain["message"]} == plain["message"]
    added = {name: value for name, value in waiting["message"].items() if name not in plain["message"]}
    assert added == {"trigger": "INDEX_AT_OR_BELOW", "triggerPrice": "590000", "activeFrom": "1800000000"}


def test_a_signature_is_for_one_chain_and_one_contract() -> None:
    other_chain = Domain(1, DOMAIN.verifying_contract)
    other_contract = Domain(DOMAIN.chain_id, ACCOUNT)
    assert len({order_digest(domain, order()) for domain in (DOMAIN, other_chain, other_contract)}) == 3


@given(st.binary(min_size=20, max_size=20))
def test_checksummed_addresses(address: bytes) -> None:
    from eth_utils.address import to_checksum_address

    assert eip712.to_checksum(address) == to_checksum_address(address)


def test_symbols_of_strangers_do_not_fill_the_memory() -> None:
    for number in range(5_000):
        eip712.market_hash(f"stranger-{number}")
    assert len(eip712._TEXT_HASHES) <= eip712._TEXT_HASHES_LIMIT
    assert eip712.market_hash("stranger-4999") == keccak(b"stranger-4999")
