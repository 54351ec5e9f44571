"""Signs the settler's transactions and decides what they may pay.

Owns:     EIP-1559 fee choice, replacement fees, the signed bytes.
Promises: no transaction pays more than the configured cap a unit of gas; a replacement differs from what it
          replaces in its fees alone, by enough that nodes take it.
Never:    talks to a node; shows the key.

Sources: EIP-1559; replacement needs 10 % more on both fees in common nodes, 12.5 % satisfies all known ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from cxdex.eip712 import to_checksum
from cxdex.keccak import keccak
from cxdex.wallet import LocalWallet

GWEI = 10**9
BASE_FEE_HEADROOM = 2  # six full blocks in a row double the base fee


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei a unit of gas: the most to pay in all, and of it the tip."""

    max_fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a transaction does, apart from its fees."""

    nonce: int
    gas: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    raw: bytes
    tx_hash: bytes


class TransactionSigner:
    def __init__(self, wallet: LocalWallet, chain_id: int, to: bytes) -> None:
        self._wallet = wallet
        self._chain_id = chain_id
        self._to = to_checksum(to)

    @property
    def account(self) -> bytes:
        return self._wallet.account

    def sign(self, envelope: Envelope, fees: Fees) -> SignedTransaction:
        raw = self._wallet.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": envelope.nonce,
                "to": self._to,
                "value": 0,
                "gas": envelope.gas,
                "data": "0x" + envelope.data.hex(),
                "maxFeePerGas": fees.max_fee,
                "maxPriorityFeePerGas": fees.tip,
            }
        )
        return SignedTransaction(raw, keccak(raw))


def read_transaction(raw: bytes) -> tuple[Envelope, Fees]:
    """What the signed bytes say."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    envelope = Envelope(fields["nonce"], fields["gas"], bytes(HexBytes(fields["data"])))
    return envelope, Fees(fields["maxFeePerGas"], fields["maxPriorityFeePerGas"])


def first_fees(base_fee: int, tip: int, cap: int) -> Fees | None:
    """Fees for a new transaction, or None while the base fee leaves no room below the cap."""
    if base_fee >= cap:
        return None
    max_fee = min(cap, base_fee * BASE_FEE_HEADROOM + tip)
    return Fees(max_fee, min(tip, max_fee))


def raised_fees(old: Fees, base_fee: int, tip: int, cap: int) -> Fees | None:
    """Fees of a replacement: both at least 12.5 % higher. None when the cap does not allow it."""
    max_fee = max(_raised(old.max_fee), base_fee * BASE_FEE_HEADROOM + tip)
    new_tip = max(_raised(old.tip), tip)
    if _raised(old.max_fee) > cap or new_tip > cap:
        return None
    return Fees(min(cap, max(max_fee, new_tip)), new_tip)


def _raised(fee: int) -> int:
    return -(-fee * 9 // 8) + 1  # the one: a fee of zero must rise too
