"""Synth and CXPT against the ERC-20 properties of Trail of Bits' public list, one test each, by its identifier.

The list: crytic/properties, PROPERTIES.md, ERC20-BASE-001 to 017, ERC20-MINTABLE-001 and ERC20-BURNABLE-001. What
does not exist here is not tested: `burnFrom`, pausing, `increaseAllowance`. CXPT trades only on the exchange, so
its transfers between wallets are refused by design (attack 70); the properties hold for those that remain, which
are the Vault's. EIP-2612 follows, with the hashes that the standard prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from custody_world import ALICE, BOB, CAROL, KEYS, SBTC, STRANGER, World, read_event, sign_permit
from eth_abi.abi import encode
from eth_account import Account

from cxdex.keccak import keccak
from scripts.chain import Contract

AMOUNT = 1_000
UNLIMITED = 2**256 - 1
ZERO = bytes(20)


@dataclass(frozen=True)
class Token:
    """A token with AMOUNT in Alice's wallet, and who may send it where."""

    world: World
    contract: Contract
    sender: bytes  # of `transfer`
    spender: bytes  # of `transferFrom`, out of Alice's wallet
    receiver: bytes

    def balance(self, account: bytes) -> int:
        value: int = self.contract.call("balanceOf", account)
        return value

    def events(self, *call: Any) -> list[tuple[str, dict[str, Any]]]:
        return [read_event(log) for log in self.contract.send(*call)]

    def holders(self) -> list[int]:
        vault = self.world.vault.address
        return [self.balance(account) for account in dict.fromkeys((ALICE, BOB, CAROL, STRANGER, ZERO, vault))]

    def is_sound(self) -> None:
        """ERC20-BASE-002, 003 and 004."""
        supply = self.contract.call("totalSupply")
        assert max(self.holders()) <= supply
        assert sum(self.holders()) == supply
        assert self.balance(ZERO) == 0


@pytest.fixture(params=["Synth", "CXPT"])
def token(request: pytest.FixtureRequest, world: World) -> Token:
    vault = world.vault.address
    if request.param == "Synth":
        synth = world.synths[SBTC]
        synth.send(vault, "mint", AMOUNT)
        synth.send(vault, "transfer", ALICE, AMOUNT)
        return Token(world, synth, ALICE, BOB, CAROL)
    world.cxpt.send(vault, "mint", ALICE, AMOUNT)
    world.cxpt.send(vault, "mint", vault, AMOUNT)
    return Token(world, world.cxpt, vault, vault, vault)


def test_erc20_base_001_the_supply_changes_only_by_mint_and_burn(token: Token) -> None:
    supply = token.contract.call("totalSupply")
    token.contract.send(token.sender, "transfer", ALICE, 1)
    token.contract.send(ALICE, "approve", token.spender, 1)
    token.contract.send(token.spender, "transferFrom", ALICE, token.receiver, 1)
    assert token.contract.call("totalSupply") == supply


def test_erc20_base_002_003_004_balances_are_at_most_the_supply_and_nothing_is_nobodys(token: Token) -> None:
    token.is_sound()
    token.contract.send(token.sender, "transfer", BOB, 7)
    token.is_sound()


def test_erc20_base_005_006_nothing_goes_to_the_zero_address(token: Token, refuses) -> None:
    with refuses("T:ZERO"):
        token.contract.send(token.sender, "transfer", ZERO, 1)
    token.contract.send(ALICE, "approve", token.spender, 1)
    with refuses("T:ZERO" if token.contract.name == "Synth" else "C:TRANSFER"):
        token.contract.send(token.spender, "transferFrom", ALICE, ZERO, 1)
    token.is_sound()


def test_erc20_base_007_011_transfers_to_oneself_and_of_nothing_change_nothing(token: Token) -> None:
    before = token.holders()
    token.contract.send(token.sender, "transfer", token.sender, token.balance(token.sender))
    token.contract.send(token.sender, "transfer", BOB, 0)
    assert token.holders() == before


def test_erc20_base_008_a_transfer_from_oneself_to_oneself_changes_nothing(token: Token) -> None:
    owner = token.sender  # CXPT: only the Vault receives
    before = token.holders()
    token.contract.send(owner, "approve", token.spender, AMOUNT)
    token.contract.send(token.spender, "transferFrom", owner, owner, AMOUNT)
    assert token.holders() == before


def test_erc20_base_009_no_more_than_the_balance_is_sent(token: Token, refuses) -> None:
    before = token.holders()
    for amount in (token.balance(token.sender) + 1, UNLIMITED):
        with refuses("T:BALANCE"):
            token.contract.send(token.sender, "transfer", BOB, amount)
    assert token.holders() == before


@pytest.mark.parametrize("allowance", [AMOUNT + 1, UNLIMITED])
def test_erc20_base_010_no_more_than_the_balance_is_sent_for_another(token: Token, refuses, allowance: int) -> None:
    before = token.holders()
    token.contract.send(ALICE, "approve", token.spender, allowance)
    with refuses("T:BALANCE"):
        token.contract.send(token.spender, "transferFrom", ALICE, token.receiver, AMOUNT + 1)
    assert token.holders() == before
    assert token.contract.call("allowance", ALICE, token.spender) == allowance


def test_erc20_base_012_a_transfer_of_nothing_needs_no_allowance(token: Token) -> None:
    before = token.holders()
    token.contract.send(token.spender, "transferFrom", ALICE, token.receiver, 0)
    assert token.holders() == before


def test_erc20_base_013_a_transfer_moves_exactly_the_amount_and_says_so(token: Token) -> None:
    sender, receiver = token.balance(token.sender), token.balance(BOB)
    events = token.events(token.sender, "transfer", BOB, 400)
    assert (token.balance(token.sender), token.balance(BOB)) == (sender - 400, receiver + 400)
    assert events == [("Transfer", {"sender": text(token.sender), "receiver": text(BOB), "value": 400})]


def test_erc20_base_014_017_a_transfer_for_another_moves_the_amount_and_uses_up_the_allowance(token: Token) -> None:
    receiver = token.balance(token.receiver)
    token.contract.send(ALICE, "approve", token.spender, 500)
    events = token.events(token.spender, "transferFrom", ALICE, token.receiver, 400)
    assert (token.balance(ALICE), token.balance(token.receiver)) == (AMOUNT - 400, receiver + 400)
    assert token.contract.call("allowance", ALICE, token.spender) == 100
    assert [name for name, _ in events] == ["Approval", "Transfer"]


def test_erc20_base_014_not_beyond_the_allowance(token: Token, refuses) -> None:
    token.contract.send(ALICE, "approve", token.spender, 399)
    with refuses("T:ALLOWANCE"):
        token.contract.send(token.spender, "transferFrom", ALICE, token.receiver, 400)
    assert token.balance(ALICE) == AMOUNT


def test_erc20_base_015_016_an_allowance_is_the_last_one_that_was_set(token: Token) -> None:
    for amount in (5, UNLIMITED, 0, 7):
        events = token.events(ALICE, "approve", BOB, amount)
        assert token.contract.call("allowance", ALICE, BOB) == amount
        assert events == [("Approval", {"owner": text(ALICE), "spender": text(BOB), "value": amount})]
    assert token.contract.call("allowance", BOB, ALICE) == 0


def test_erc20_mintable_001_burnable_001_mint_and_burn_change_balance_and_supply_alike(token: Token) -> None:
    vault, contract = token.world.vault.address, token.contract
    owner = () if contract.name == "Synth" else (vault,)  # a synth is minted to the Vault and burnt there
    supply, balance = contract.call("totalSupply"), token.balance(vault)
    minted = token.events(vault, "mint", *owner, 50)
    assert (contract.call("totalSupply"), token.balance(vault)) == (supply + 50, balance + 50)
    burnt = token.events(vault, "burn", *owner, 30)
    assert (contract.call("totalSupply"), token.balance(vault)) == (supply + 20, balance + 20)
    assert minted == [("Transfer", {"sender": text(ZERO), "receiver": text(vault), "value": 50})]
    assert burnt == [("Transfer", {"sender": text(vault), "receiver": text(ZERO), "value": 30})]


def test_a_supply_that_would_overflow_reverts(token: Token, refuses) -> None:
    vault = token.world.vault.address
    arguments = (UNLIMITED,) if token.contract.name == "Synth" else (vault, UNLIMITED)
    with refuses(""):
        token.contract.send(vault, "mint", *arguments)
    token.is_sound()


# ------------------------------------------------------------------ EIP-2612

# As printed in the standard.
PERMIT_TYPEHASH = bytes.fromhex("6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9")
DOMAIN_TYPEHASH = bytes.fromhex("8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f")


def test_the_domain_is_the_one_that_the_standard_describes(world: World) -> None:
    synth = world.synths[SBTC]
    assert keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)") == (
        DOMAIN_TYPEHASH
    )
    name, version = (keccak(synth.call(word).encode()) for word in ("name", "version"))
    kinds = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    domain = encode(kinds, [DOMAIN_TYPEHASH, name, version, world.evm.chain_id, text(synth.address)])
    assert synth.call("DOMAIN_SEPARATOR") == keccak(domain)


@pytest.mark.parametrize("amount", [0, 1, AMOUNT, UNLIMITED])
def test_a_permit_hashed_by_hand_is_accepted(world: World, amount: int) -> None:
    synth, deadline = world.synths[SBTC], UNLIMITED
    for nonce in range(2):
        v, r, s = signed_by_hand("alice", synth, BOB, amount, nonce, deadline)
        assert (v, r, s) == sign_permit(KEYS["alice"], synth, BOB, amount, deadline)
        (event,) = (read_event(log) for log in synth.send(
            STRANGER, "permit", ALICE, BOB, amount, deadline, v, r, s
        ))  # fmt: skip
        assert event == ("Approval", {"owner": text(ALICE), "spender": text(BOB), "value": amount})
        assert (synth.call("allowance", ALICE, BOB), synth.call("nonces", ALICE)) == (amount, nonce + 1)


def test_a_permit_with_a_later_nonce_or_of_another_signer_is_refused(world: World, refuses) -> None:
    synth, deadline = world.synths[SBTC], UNLIMITED
    for signer, nonce in (("alice", 1), ("bob", 0)):
        with refuses("P:SIGNATURE"):
            signature = signed_by_hand(signer, synth, BOB, 1, nonce, deadline)
            synth.send(STRANGER, "permit", ALICE, BOB, 1, deadline, *signature)
    assert (synth.call("allowance", ALICE, BOB), synth.call("nonces", ALICE)) == (0, 0)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_a_recovery_byte_is_27_or_28(world: World, refuses, v: int) -> None:
    synth = world.synths[SBTC]
    _, r, s = signed_by_hand("alice", synth, BOB, 1, 0, UNLIMITED)
    with refuses("P:SIGNATURE"):
        synth.send(STRANGER, "permit", ALICE, BOB, 1, UNLIMITED, v, r, s)


def signed_by_hand(
    name: str, token: Contract, spender: bytes, amount: int, nonce: int, deadline: int
) -> tuple[int, bytes, bytes]:
    """(v, r, s) of a permit by Alice, from the standard's formula and not from a library of typed data."""
    kinds = ["bytes32", "address", "address", "uint256", "uint256", "uint256"]
    values = [PERMIT_TYPEHASH, text(ALICE), text(spender), amount, nonce, deadline]
    digest = keccak(b"\x19\x01" + token.call("DOMAIN_SEPARATOR") + keccak(encode(kinds, values)))
    signed = Account.unsafe_sign_hash(digest, KEYS[name])
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def text(address: bytes) -> str:
    return "0x" + address.hex()
