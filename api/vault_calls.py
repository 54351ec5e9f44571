"""Unsigned transactions for the Vault: the wallet reads, signs and sends them. Nobody's key is needed here.

Promises: what a call does is in its calldata and nothing else; every call sends no ether.
"""

from __future__ import annotations

from typing import Any

from eth_abi.abi import encode

from cxdex.eip712 import InstantWithdrawal, to_checksum
from cxdex.keccak import keccak
from cxdex.signature import to_compact


def call_data(signature: str, *values: Any) -> bytes:
    """ABI calldata of a function by its signature, e.g. ``deposit(uint256)``."""
    kinds = signature[signature.index("(") + 1 : -1]
    return keccak(signature.encode())[:4] + encode(kinds.split(",") if kinds else [], values)


def approve(token: bytes, spender: bytes, amount: int, chain_id: int) -> dict[str, Any]:
    data = call_data("approve(address,uint256)", to_checksum(spender), amount)
    return _transaction(token, data, chain_id, "allow the Vault to take exactly this amount")


def deposit_cash(vault: bytes, amount: int, chain_id: int) -> dict[str, Any]:
    return _transaction(vault, call_data("deposit(uint256)", amount), chain_id, "deposit USDC")


def deposit_asset(vault: bytes, asset: int, amount: int, chain_id: int) -> dict[str, Any]:
    data = call_data("depositAsset(uint256,uint256)", asset, amount)
    return _transaction(vault, data, chain_id, "deposit the asset")


def request_withdraw(vault: bytes, asset: int, amount: int, as_cxpt: bool, chain_id: int) -> dict[str, Any]:
    data = call_data("requestWithdraw(uint256,uint256,bool)", asset, amount, as_cxpt)
    return _transaction(vault, data, chain_id, "announce the withdrawal; claim it after the delay")


def withdraw_instantly(vault: bytes, withdrawal: InstantWithdrawal, signature: bytes, chain_id: int) -> dict[str, Any]:
    """`signature`: COSIGNER's, 65 bytes."""
    r, vs = to_compact(signature)
    data = call_data(
        "withdraw(uint256,uint256,bool,address,uint256,uint256,bytes32,bytes32)",
        withdrawal.asset,
        withdrawal.amount,
        withdrawal.as_cxpt,
        to_checksum(withdrawal.recipient),
        withdrawal.nonce,
        withdrawal.deadline,
        r.to_bytes(32, "big"),
        vs.to_bytes(32, "big"),
    )
    return _transaction(vault, data, chain_id, "withdraw at once, as the exchange has co-signed")


def claim_withdraw(vault: bytes, withdrawal: int, chain_id: int) -> dict[str, Any]:
    data = call_data("claimWithdraw(uint256)", withdrawal)
    return _transaction(vault, data, chain_id, "pay the withdrawal out to its recipient")


def _transaction(to: bytes, data: bytes, chain_id: int, purpose: str) -> dict[str, Any]:
    return {
        "to": to_checksum(to),
        "data": "0x" + data.hex(),
        "value": "0",
        "chainId": chain_id,
        "purpose": purpose,
    }
