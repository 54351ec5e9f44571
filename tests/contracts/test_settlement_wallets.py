"""Accounts that are contracts (ERC-1271): their code decides about their signature, and about nothing else.

The wallets are the mocks of contracts/mocks: one that means well and can change its mind, and one for each way of
doing harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi import encode

from cxdex.batch import MatchedFill, SkipReason, encode_settle_batch
from cxdex.eip712 import order_typed_data
from cxdex.nonce import CANCEL_DELAY_SECONDS, pack_nonce
from cxdex.order import SignatureKind, SignedOrder
from cxdex.signature import to_compact
from tests.contracts.settlement_desk import (
    BTC,
    CANCEL_ALL,
    CASH,
    CORE,
    NOW,
    SBTC,
    STRANGER,
    USDC,
    Desk,
    RevertedError,
    Trader,
    calldata,
    order_word,
)
from tests.contracts.settlement_events import Event

RICH = 1_000_000 * USDC
WALLET_GAS = 120_000  # what Settlement gives a wallet
REVERTS, BURNS, ZERO_BOMB, YES_BOMB, GARBAGE, SHORT, DIRTY, REENTERS, SILENT, REVERT_BOMB, CUT = range(1, 12)
Bytecode = Callable[[str], bytes]


@pytest.fixture
def wallet(desk: Desk, bytecode_of: Bytecode, alice: Trader) -> bytes:
    """A contract that accepts what Alice signs, with the same balances as she has."""
    return funded(desk, desk.deploy(bytecode_of("SignerWallet"), "address", alice.address))


def funded(desk: Desk, address: str) -> bytes:
    desk.fund(address, CASH, RICH)
    desk.fund(address, SBTC, 100 * 10**18)
    return bytes.fromhex(address[2:])


def hostile(desk: Desk, bytecode_of: Bytecode, mode: int) -> bytes:
    return funded(desk, desk.deploy(bytecode_of("HostileWallet"), "address,uint256", desk.address, mode))


def holdings(desk: Desk, wallet: bytes) -> tuple[int, int]:
    address = "0x" + wallet.hex()
    return desk.balance(address, CASH), desk.balance(address, SBTC)


def reason_of(event: Event) -> SkipReason | None:
    return None if event.name == "Fill" else SkipReason(event.fields["reason"])


# ---------------------------------------------------------------- a wallet that means well


@pytest.mark.parametrize("extra", [0, 1, 62, 63, 64, 300, 1024 - 65])
def test_a_wallet_trades_by_its_owners_signature(
    desk: Desk, alice: Trader, bob: Trader, wallet: bytes, extra: int
) -> None:
    """Signatures of 65 to 1,024 bytes, in one to eight blocks, as maker and as taker."""
    ask = desk.sell(alice, 10, 500, wallet=wallet, padding=b"\7" * extra)
    event = desk.fill(ask, desk.buy(bob, 10, 500), 10)
    assert (event.name, event.fields["maker"]) == ("Fill", order_word(ask))
    assert holdings(desk, wallet) == (RICH + 5_000 - 13, 100 * 10**18 - 10**15)
    bid = desk.buy(alice, 10, 500, wallet=wallet, seq=2, padding=b"\7" * extra)
    assert desk.fill(desk.sell(bob, 10, 500, seq=2), bid, 10).name == "Fill"
    assert holdings(desk, wallet) == (RICH - 26, 100 * 10**18)
    assert desk.balance(alice, CASH) == RICH  # the owner's own account is another one


def test_wallets_on_both_sides_and_between_other_orders(
    desk: Desk, alice: Trader, bob: Trader, carol: Trader, wallet: bytes, bytecode_of: Bytecode
) -> None:
    """Blocks of every length among ordinary entries; the cursors stay where they belong."""
    other = funded(desk, desk.deploy(bytecode_of("SignerWallet"), "address", bob.address))
    asks = [desk.sell(alice, 10, 500, wallet=wallet, lane=i, padding=bytes(100 * i)) for i in range(3)]
    bids = [desk.buy(bob, 10, 500, wallet=other, lane=i, padding=bytes(200 * i)) for i in range(3)]
    events = desk.fills(
        (asks[0], bids[0], 4),
        (asks[0], desk.buy(carol, 10, 500), 4),
        (desk.sell(carol, 10, 500, lane=1), bids[0], 6),
        (asks[1], bids[1], 10),
        (asks[2], bids[2], 10),
    )
    assert [event.name for event in events] == ["Fill"] * 5
    assert holdings(desk, wallet)[1] == 100 * 10**18 - 28 * 10**14
    assert holdings(desk, other)[1] == 100 * 10**18 + 30 * 10**14


def test_a_wallet_whose_owner_signs_typed_data(desk: Desk, alice: Trader, bob: Trader, wallet: bytes) -> None:
    """As an independent signer makes it from what a wallet shows."""
    from eth_account import Account

    ask = desk.sell(alice, 10, 500, wallet=wallet)
    signed = Account.sign_typed_data(alice.key, full_message=order_typed_data(desk.domain, ask.order))
    taken = SignedOrder(ask.order, bytes(signed.signature), ask.digest, SignatureKind.CONTRACT)
    assert desk.fill(taken, desk.buy(bob, 10, 500), 4).name == "Fill"


def test_a_wallet_that_needs_its_gas_gets_it(desk: Desk, alice: Trader, bob: Trader, wallet: bytes) -> None:
    work_of(desk, wallet, 100_000)
    assert desk.fill(desk.sell(alice, 10, 500, wallet=wallet), desk.buy(bob, 10, 500), 4).name == "Fill"


def work_of(desk: Desk, wallet: bytes, gas: int) -> None:
    desk.send(STRANGER, calldata("setWork(uint256)", gas), to="0x" + wallet.hex())


def execute(desk: Desk, owner: Trader, wallet: bytes, data: bytes) -> None:
    """The owner has the wallet call Settlement."""
    desk.send(owner.address, calldata("execute(address,bytes)", desk.address, data), to="0x" + wallet.hex())


def test_a_wallet_cancels_by_its_own_transaction(desk: Desk, alice: Trader, bob: Trader, wallet: bytes) -> None:
    execute(desk, alice, wallet, calldata(CANCEL_ALL))
    desk.wait(CANCEL_DELAY_SECONDS)
    event = desk.fill(desk.sell(alice, 10, 500, wallet=wallet), desk.buy(bob, 10, 500), 4)
    assert reason_of(event) is SkipReason.MAKER_CANCELLED


def test_a_wallet_does_not_cancel_by_signature(desk: Desk, alice: Trader, wallet: bytes) -> None:
    """Signed cancels are for keys: a contract sends a transaction."""
    ask = desk.sell(alice, 10, 500, wallet=wallet)
    values = ["0x" + wallet.hex(), [ask.order.nonce], NOW, *to_compact(ask.signature)]
    with pytest.raises(RevertedError, match="S:SIG"):
        desk.call(STRANGER, "cancelOrdersBySignature(address,uint64[],uint256,uint256,uint256)", *values)


def test_a_wallet_may_make_session_keys(desk: Desk, alice: Trader, bob: Trader, wallet: bytes) -> None:
    key = Trader.named("session key")
    data = calldata("setSession(address,bytes32,uint256,uint256)", key.address, bytes(32), 10**9, NOW + 60)
    execute(desk, alice, wallet, data)
    ask = desk.sell(alice, 10, 500, account=wallet, session=key)
    assert desk.fill(ask, desk.buy(bob, 10, 500), 4).name == "Fill"


# ---------------------------------------------------------------- attacks


def test_attack_10_one_owners_wallets(
    desk: Desk, alice: Trader, bob: Trader, wallet: bytes, bytecode_of: Bytecode
) -> None:
    """The account is part of what is signed: a signature for one wallet is nothing to another of the same owner, and
    nothing to the owner's own account."""
    twin = funded(desk, desk.deploy(bytecode_of("SignerWallet"), "address", alice.address))
    signed = desk.sell(alice, 10, 500, wallet=wallet)
    own = desk.sell(alice, 10, 500)
    for account in (twin, alice.account):
        meant = desk.sell(alice, 10, 500, account=account).order
        digest = desk.sell(alice, 10, 500, account=account).digest
        replayed = SignedOrder(meant, signed.signature, digest, SignatureKind.CONTRACT)
        event = desk.fill(replayed, desk.buy(bob, 10, 500), 4)
        assert reason_of(event) is SkipReason.MAKER_SIGNATURE
    for_wallet = SignedOrder(signed.order, own.signature, signed.digest, SignatureKind.CONTRACT)
    assert reason_of(desk.fill(for_wallet, desk.buy(bob, 10, 500), 4)) is SkipReason.MAKER_SIGNATURE
    with pytest.raises(RevertedError, match="S:SIG"):  # nor is the owner's key the wallet's own
        desk.fill(SignedOrder(signed.order, signed.signature, signed.digest), desk.buy(bob, 10, 500), 4)
    assert holdings(desk, wallet) == holdings(desk, twin) == (RICH, 100 * 10**18)


@pytest.mark.parametrize("mode", [REVERTS, BURNS, ZERO_BOMB, GARBAGE, SHORT, DIRTY, REENTERS, SILENT, REVERT_BOMB, CUT])
def test_attack_11_a_hostile_wallet_is_skipped_and_the_rest_settles(
    desk: Desk, alice: Trader, bob: Trader, carol: Trader, bytecode_of: Bytecode, mode: int
) -> None:
    bad = hostile(desk, bytecode_of, mode)
    ask = desk.sell(carol, 50, 500)
    events = desk.fills(
        (ask, desk.buy(bob, 10, 500), 4),
        (ask, desk.buy(alice, 10, 500, wallet=bad), 4),
        (ask, desk.buy(bob, 10, 500, lane=1), 4),
        (desk.sell(alice, 10, 500, wallet=bad, lane=1), desk.buy(bob, 10, 500, lane=2), 4),
        (ask, desk.buy(bob, 10, 500, lane=3), 4),
    )
    assert [reason_of(event) for event in events] == [
        None,
        SkipReason.TAKER_SIGNATURE,
        None,
        SkipReason.MAKER_SIGNATURE,
        None,
    ]
    assert holdings(desk, bad) == (RICH, 100 * 10**18)
    assert desk.lane(carol, 0) == (1, 12)
    assert desk.balance(bob, CASH) == RICH - 3 * (2_000 + 5)


def test_attack_11_a_bomb_that_accepts_is_read_one_word_deep(
    desk: Desk, alice: Trader, bob: Trader, bytecode_of: Bytecode
) -> None:
    """48,000 bytes that begin with the word for yes are a yes; nobody pays for the rest."""
    bad = hostile(desk, bytecode_of, YES_BOMB)
    assert desk.fill(desk.sell(alice, 10, 500, wallet=bad), desk.buy(bob, 10, 500), 4).name == "Fill"


@pytest.mark.parametrize(
    "attack",
    [
        calldata(CANCEL_ALL),
        calldata("cancelOrders(uint64[])", [pack_nonce(0, 0, 1)]),
        calldata("settleBatch(uint256)", 0),
        calldata("beat()"),
        calldata("credit(address,uint256,uint256)", STRANGER, CASH, 1),
        calldata("setSession(address,bytes32,uint256,uint256)", STRANGER, bytes(32), 1, NOW + 60),
    ],
    ids=["cancelAll", "cancelOrders", "settleBatch", "beat", "credit", "setSession"],
)
def test_attack_11_a_wallet_that_calls_back_changes_nothing(
    desk: Desk, alice: Trader, bob: Trader, bytecode_of: Bytecode, attack: bytes
) -> None:
    """It is asked read-only; had any of these gone through, it would accept."""
    bad = hostile(desk, bytecode_of, REENTERS)
    address = "0x" + bad.hex()
    desk.send(STRANGER, calldata("setAttack(bytes)", attack), to=address)
    event = desk.fill(desk.sell(alice, 10, 500, wallet=bad), desk.buy(bob, 10, 500), 4)
    assert reason_of(event) is SkipReason.MAKER_SIGNATURE
    assert holdings(desk, bad) == (RICH, 100 * 10**18)
    assert desk.read("epochOf(address)", address) == 0
    desk.wait(CANCEL_DELAY_SECONDS)
    assert desk.read("laneOf(address,uint256)", address, 0, returns="uint256,uint256") == (0, 0)


@pytest.mark.parametrize("account", [bytes(19) + bytes([number]) for number in (1, 2, 3, 4, 5, 9)])
def test_attack_11_an_account_without_code_or_a_precompile(
    desk: Desk, alice: Trader, bob: Trader, account: bytes
) -> None:
    """Nothing at an address, or a built-in contract that answers something else, is no yes."""
    for address in (account, alice.account):
        ask = desk.sell(alice, 10, 500, account=address)
        claimed = SignedOrder(ask.order, ask.signature, ask.digest, SignatureKind.CONTRACT)
        assert reason_of(desk.fill(claimed, desk.buy(bob, 10, 500), 4)) is SkipReason.MAKER_SIGNATURE


def test_attack_11_an_empty_signature_is_asked_about_too(
    desk: Desk, alice: Trader, bob: Trader, wallet: bytes, bytecode_of: Bytecode
) -> None:
    """Some wallets approve digests in advance; ours wants a signature."""
    for account, reason in ((wallet, SkipReason.MAKER_SIGNATURE), (hostile(desk, bytecode_of, YES_BOMB), None)):
        ask = desk.sell(alice, 10, 500, wallet=account)
        empty = SignedOrder(ask.order, b"", ask.digest, SignatureKind.CONTRACT)
        assert reason_of(desk.fill(empty, desk.buy(bob, 10, 500), 4)) is reason


def test_attack_13_a_wallet_that_changes_its_mind(desk: Desk, alice: Trader, bob: Trader, wallet: bytes) -> None:
    """Between match and settlement: the fill is skipped on both sides, and counts again when the wallet does."""
    ask, bid = desk.sell(alice, 10, 500, wallet=wallet), desk.buy(bob, 10, 500)
    assert desk.fill(ask, bid, 4).name == "Fill"
    before = (holdings(desk, wallet), desk.balance(bob, CASH), desk.balance(bob, SBTC))
    desk.send(STRANGER, calldata("setRefuses(bool)", True), to="0x" + wallet.hex())
    assert reason_of(desk.fill(ask, bid, 4)) is SkipReason.MAKER_SIGNATURE
    assert (holdings(desk, wallet), desk.balance(bob, CASH), desk.balance(bob, SBTC)) == before
    desk.send(STRANGER, calldata("setRefuses(bool)", False), to="0x" + wallet.hex())
    assert desk.fill(ask, bid, 4).name == "Fill"


# ---------------------------------------------------------------- gas


def outcomes_by_gas(desk: Desk, data: bytes, amounts: range) -> dict[str, list[int]]:
    """What the call does with each of these amounts of gas: a revert, or the names and reasons of its events."""
    found: dict[str, list[int]] = {}
    for gas in amounts:
        checkpoint = desk.evm.snapshot()
        try:
            desk.send(CORE, data, gas=gas)
        except RevertedError as reverted:
            outcome = f"reverted {reverted.code}".strip()
            assert desk.sequence(BTC) == 0
        else:
            outcome = " ".join(f"{e.name}{e.fields.get('reason', '')}" for e in desk.events())
        desk.evm.revert(checkpoint)
        found.setdefault(outcome, []).append(gas)
    return found


def test_attack_45_core_starves_a_wallet_of_gas(desk: Desk, alice: Trader, bob: Trader, wallet: bytes) -> None:
    """A wallet that needs nearly all it may have: with too little the whole batch reverts, and no amount of gas turns
    the good fill into a skipped one."""
    work_of(desk, wallet, WALLET_GAS - 13_000)
    for ask, bid in (
        (desk.sell(alice, 10, 500, wallet=wallet), desk.buy(bob, 10, 500)),
        (desk.sell(bob, 10, 500), desk.buy(alice, 10, 500, wallet=wallet)),
        (desk.sell(alice, 10, 500, wallet=wallet, padding=bytes(900)), desk.buy(bob, 10, 500)),
    ):
        data = encode_settle_batch([MatchedFill(BTC, 0, ask, bid, 4)])
        coarse = outcomes_by_gas(desk, data, range(60_000, 420_000, 6_000))
        edge = min(coarse["Fill"])  # between too little and enough, step by step
        found = coarse | outcomes_by_gas(desk, data, range(edge - 6_000, edge, 40))
        assert found.keys() <= {"reverted", "reverted S:GAS", "Fill"}
        assert {"reverted S:GAS", "Fill"} <= found.keys()
        assert max(found["reverted S:GAS"]) < min(found["Fill"])


def test_attack_11_the_gas_a_wallet_burns_is_bounded(
    desk: Desk, alice: Trader, bob: Trader, carol: Trader, bytecode_of: Bytecode
) -> None:
    """Burning everything costs the batch what a wallet may have, once for each time its order is sent."""
    bad = hostile(desk, bytecode_of, BURNS)
    ask, bid = desk.sell(carol, 50, 500), desk.buy(alice, 10, 500, wallet=bad)
    plain = encode_settle_batch([MatchedFill(BTC, 0, ask, desk.buy(bob, 10, 500), 4)])
    burnt = encode_settle_batch([MatchedFill(BTC, 0, ask, bid, 4)])
    needs = [
        min(outcomes_by_gas(desk, data, range(60_000, 420_000, 4_000))[outcome])
        for data, outcome in ((plain, "Fill"), (burnt, "FillSkipped8"))
    ]
    assert WALLET_GAS - 40_000 < needs[1] - needs[0] < WALLET_GAS + 10_000


def test_the_wallet_mock_checks_what_it_says(desk: Desk, alice: Trader, wallet: bytes) -> None:
    """The mock's own answer, so that the tests above mean something."""
    ask = desk.sell(alice, 10, 500, wallet=wallet)

    def answer(digest: bytes, signature: bytes) -> bytes:
        body = encode(["bytes32", "bytes"], [digest, signature])
        return desk.send(STRANGER, bytes.fromhex("1626ba7e") + body, to="0x" + wallet.hex())

    yes: Any = bytes.fromhex("1626ba7e") + bytes(28)
    assert answer(ask.digest, ask.signature) == yes
    assert answer(bytes(32), ask.signature) == bytes(32)
    assert answer(ask.digest, ask.signature[:64]) == bytes(32)
