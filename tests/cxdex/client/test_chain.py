"""Deposits, withdrawals and claims as transactions, against a node on paper; the real one is in the end-to-end test."""

from __future__ import annotations

import time
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from cxdex.client import chain_cancels, custody
from cxdex.client.session import Session
from cxdex.client.steps import NodeCall
from cxdex.deployment import CONTRACTS, Deployment
from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak
from cxdex.problem import Problem
from cxdex.signature import recover
from cxdex.wallet import LocalWallet
from tests.cxdex.client.exchange_script import STATUS, Script, ok, refusal, silence
from tests.cxdex.order_strategies import ACCOUNT, DOMAIN, KEY

VAULT, USDC = STATUS["contracts"]["Vault"], STATUS["contracts"]["USDC"]  # type: ignore[index]

TOKEN_DOMAIN = 0x77 << 240


def selector(signature: str) -> str:
    return keccak(signature.encode())[:4].hex()


class Node:
    """Balance, allowance, and a log of the transactions that were sent."""

    def __init__(self, *, balance: int = 10**9, allowance: int = 0, chain_id: int = DOMAIN.chain_id) -> None:
        self.views = {
            selector("balanceOf(address)"): balance,
            selector("allowance(address,address)"): allowance,
            selector("DOMAIN_SEPARATOR()"): TOKEN_DOMAIN,
            selector("nonces(address)"): 3,
        }
        self.chain_id = chain_id
        self.refusal: dict[str, Any] | None = None
        self.logs: list[dict[str, Any]] = []
        self.sent: list[tuple[str, str]] = []
        self.receipt_polls = 2

    def __call__(self, call: NodeCall) -> dict[str, Any]:
        if call.method == "eth_estimateGas" and self.refusal:
            return {"error": self.refusal}
        return {"result": getattr(self, call.method)(*call.params)}

    def eth_chainId(self) -> str:
        return hex(self.chain_id)

    def eth_call(self, call: dict[str, str], _block: str) -> str:
        return "0x" + self.views[call["data"][2:10]].to_bytes(32, "big").hex()

    def eth_estimateGas(self, _call: dict[str, str]) -> str:
        return hex(100_000)

    def eth_getBlockByNumber(self, _number: str, _full: bool) -> dict[str, str]:
        return {"baseFeePerGas": hex(7)}

    def eth_getTransactionCount(self, account: str, _block: str) -> str:
        assert account == to_checksum(ACCOUNT)
        return hex(len(self.sent))

    def eth_sendRawTransaction(self, raw: str) -> str:
        assert Account.recover_transaction(raw).lower() == "0x" + ACCOUNT.hex()
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        self.sent.append((to_checksum(bytes(fields["to"])), bytes(fields["data"]).hex()))
        return "0x" + "77" * 32

    def eth_getTransactionReceipt(self, _hash: str) -> dict[str, Any] | None:
        self.receipt_polls -= 1
        if self.receipt_polls >= 0:
            return None
        return {"status": "0x1", "blockNumber": "0x5", "gasUsed": "0x6", "logs": self.logs}


@pytest.fixture
def session() -> Session:
    return Session(LocalWallet(KEY))


def script_with(node: Node) -> Script:
    script = Script()
    script.node = node
    return script


PERMIT = "depositWithPermit(uint256,uint256,uint8,bytes32,bytes32)"


def test_a_deposit_allows_exactly_that_in_the_same_transaction(session: Session) -> None:
    node = Node()
    transaction = script_with(node).run(custody.deposit(session, "12.5", "USDC"))
    ((to, data),) = node.sent
    assert (to, data[:8]) == (VAULT, selector(PERMIT))
    amount, deadline, v, r, s = decode(PERMIT[PERMIT.index("(") + 1 : -1].split(","), bytes.fromhex(data[8:]))
    assert (amount, 3_500 < deadline - time.time() <= 3_600) == (12_500_000, True)
    kinds = ["bytes32", "address", "address", "uint256", "uint256", "uint256"]
    permit = keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
    struct = keccak(encode(kinds, [permit, to_checksum(ACCOUNT), VAULT, amount, 3, deadline]))
    digest = keccak(b"\x19\x01" + TOKEN_DOMAIN.to_bytes(32, "big") + struct)
    assert recover(digest, r + s + bytes([v])) == ACCOUNT
    assert (transaction.block, transaction.gas_used) == (5, 6)


class Hardware:
    """A signer that knows no permits."""

    def __init__(self) -> None:
        self._inside = LocalWallet(KEY)
        self.account = ACCOUNT
        self.sign_transaction = self._inside.sign_transaction


def test_a_signer_without_permits_approves_exactly_that_first() -> None:
    node = Node()
    script_with(node).run(custody.deposit(Session(Hardware()), "12.5", "USDC"))  # type: ignore[arg-type]
    amount = (12_500_000).to_bytes(32, "big").hex()
    approve = selector("approve(address,uint256)") + bytes(12).hex() + VAULT[2:] + amount
    assert node.sent == [(USDC, approve), (VAULT, selector("deposit(uint256)") + amount)]


def test_cxpt_is_deposited_from_its_own_token(session: Session) -> None:
    node = Node()
    script_with(node).run(custody.deposit(session, "12.5", "CXPT"))
    assert [to for to, _ in node.sent] == [STATUS["contracts"]["CXPT"], VAULT]  # type: ignore[index]
    assert node.sent[1][1][:8] == selector("depositAsset(uint256,uint256)")


def test_an_allowance_that_is_there_is_used(session: Session) -> None:
    node = Node(allowance=12_500_000)
    script_with(node).run(custody.deposit(session, "12.5", "USDC"))
    assert [to for to, _ in node.sent] == [VAULT]


@pytest.mark.parametrize(
    ("amount", "code"),
    [("1000.000001", "WALLET_BALANCE_INSUFFICIENT"), ("0", "DECIMAL_INVALID"), (1.5, "NUMBER_NOT_STRING")],
)
def test_a_deposit_that_cannot_be_is_refused_before_it_is_signed(session: Session, amount: Any, code: str) -> None:
    node = Node()
    with pytest.raises(Problem) as caught:
        script_with(node).run(custody.deposit(session, amount, "USDC"))
    assert caught.value.code == code
    assert node.sent == []


def test_a_withdrawal_gets_its_number_from_the_chain(session: Session) -> None:
    node = Node()
    topic = keccak(b"WithdrawRequested(uint256,address,uint256,uint256,bool,uint256)").hex()
    words = [
        "0x" + topic,
        *("0x" + encode(["uint256"], [number]).hex() for number in (41, int.from_bytes(ACCOUNT, "big"), 0)),
    ]
    data = encode(["uint256", "bool", "uint256"], [25_000_000, True, 1_900_000_000])
    stranger = {"address": USDC, "topics": words, "data": "0x" + bytes(96).hex()}
    node.logs = [stranger, {"address": VAULT, "topics": words, "data": "0x" + data.hex()}]
    request = script_with(node).run(custody.withdraw(session, "25", "USDC", True))
    assert (request.id, request.claimable_at) == (41, 1_900_000_000)
    expected = (
        selector("requestWithdraw(uint256,uint256,bool)")
        + encode(["uint256", "uint256", "bool"], [0, 25_000_000, True]).hex()
    )
    assert node.sent == [(VAULT, expected)]


COSIGNED = {
    "nonce": "7",
    "deadline": "1900000000",
    "recipient": "0x" + "99" * 20,  # not the one that was asked for: only the signature is believed
    "signature": "0x" + "11" * 32 + "22" * 32 + "1c",
}
WITHDRAW = "withdraw(uint256,uint256,bool,address,uint256,uint256,bytes32,bytes32)"


def test_an_instant_withdrawal_is_built_from_what_was_asked_and_the_cosigners_word(session: Session) -> None:
    node = Node()
    script = script_with(node)
    script.routes["POST /withdrawals/instant"] = ok(COSIGNED)
    script.run(custody.withdraw_instantly(session, "25", "USDC", True, None, 0.0))
    (asked,) = script.sent("/withdrawals/instant")
    mine = to_checksum(ACCOUNT)
    assert {**asked, "nonce": None} == {
        "account": mine, "asset": "0", "amount": "25", "asCxpt": True, "recipient": mine, "nonce": None,
    }  # fmt: skip
    kinds = WITHDRAW[WITHDRAW.index("(") + 1 : -1].split(",")
    vs = (0x22 << 248 | int.from_bytes(b"\x22" * 31, "big") | 1 << 255).to_bytes(32, "big")
    values = [0, 25_000_000, True, mine, 7, 1_900_000_000, b"\x11" * 32, vs]
    assert node.sent == [(VAULT, selector(WITHDRAW) + encode(kinds, values).hex())]


def test_no_money_is_set_aside_for_a_transaction_that_cannot_be_sent(session: Session) -> None:
    node = Node(chain_id=1)
    script = script_with(node)
    script.routes["POST /withdrawals/instant"] = ok(COSIGNED)
    with pytest.raises(Problem, match="NODE_WRONG_CHAIN"):
        script.run(custody.withdraw_instantly(session, "25", "USDC", True, None, 0.0))
    assert script.sent("/withdrawals/instant") == []


def test_an_instant_withdrawal_waits_for_matched_fills_under_one_nonce(session: Session) -> None:
    node, answers = Node(), [refusal(409, "WITHDRAWAL_UNSETTLED"), silence, ok(COSIGNED)]
    script = script_with(node)

    def answer(call: Any) -> Any:
        said = answers.pop(0)
        return said(call) if callable(said) else said

    script.routes["POST /withdrawals/instant"] = answer
    script.run(custody.withdraw_instantly(session, "25", "USDC", False, "0x" + "55" * 20, 60.0))
    asked = script.sent("/withdrawals/instant")
    assert (len(asked), len({body["nonce"] for body in asked})) == (3, 1)
    assert len(node.sent) == 1


@pytest.mark.parametrize("code", ["WITHDRAWAL_UNSETTLED", "BALANCE_INSUFFICIENT", "WITHDRAWAL_INSTANT_OFF"])
def test_a_refused_instant_withdrawal_sends_nothing(session: Session, code: str) -> None:
    node = Node()
    script = script_with(node)
    script.routes["POST /withdrawals/instant"] = refusal(409, code)
    with pytest.raises(Problem, match=code):
        script.run(custody.withdraw_instantly(session, "25", "USDC", False, None, 0.0))
    assert node.sent == []


def test_the_contracts_reason_is_told_and_nothing_is_signed(session: Session) -> None:
    node = Node()
    reason = keccak(b"Error(string)")[:4] + encode(["string"], ["V:DELAY"])
    node.refusal = {"code": 3, "message": "execution reverted", "data": "0x" + reason.hex()}
    with pytest.raises(Problem) as caught:
        script_with(node).run(custody.claim(session, 41))
    assert caught.value.code == "TRANSACTION_REVERTED"
    assert caught.value.detail == "the contract refused: the withdrawal's delay is not over yet [V:DELAY]"
    assert node.sent == []


def test_a_node_of_another_chain_is_not_used(session: Session) -> None:
    node = Node(chain_id=1)
    with pytest.raises(Problem, match="NODE_WRONG_CHAIN"):
        script_with(node).run(custody.claim(session, "41"))
    assert node.sent == []


def test_money_comes_out_when_the_exchange_is_gone() -> None:
    contracts = {name: bytes([number]) * 20 for number, name in enumerate(CONTRACTS, start=1)}
    session = Session(LocalWallet(KEY), Deployment(DOMAIN.chain_id, 0, contracts))
    node = Node()
    script = script_with(node)
    script.run(custody.claim(session, 41))
    assert [to for to, _ in node.sent] == [to_checksum(contracts["Vault"])]
    assert script.calls == []


def test_an_unknown_asset_names_the_known_ones(session: Session) -> None:
    with pytest.raises(Problem) as caught:
        script_with(Node()).run(custody.withdraw(session, "1", "DOGE", False))
    assert (caught.value.code, caught.value.allowed) == ("ASSET_UNKNOWN", "USDC, CXPT, sBTC")


@pytest.mark.parametrize(
    ("flow", "signature", "arguments"),
    [
        (lambda session: chain_cancels.cancel(session, [5, 2**40]), "cancelOrders(uint64[])", [[5, 2**40]]),
        (chain_cancels.cancel_all, "cancelAll()", []),
    ],
)
def test_a_cancel_on_chain_asks_nobody(flow: Any, signature: str, arguments: list[Any]) -> None:
    contracts = {name: bytes([number]) * 20 for number, name in enumerate(CONTRACTS, start=1)}
    session = Session(LocalWallet(KEY), Deployment(DOMAIN.chain_id, 0, contracts))
    node = Node()
    script = script_with(node)
    script.run(flow(session))
    expected = selector(signature) + encode(["uint64[]"] * len(arguments), arguments).hex()
    assert node.sent == [(to_checksum(contracts["Settlement"]), expected)]
    assert script.calls == []
