"""Where the contract keeps what no call can set in a test's time: an account's word, a market's word.

The in-process EVM writes them. A slot that moved is noticed: it would be empty.
"""

from __future__ import annotations

from cxdex.eip712 import market_hash
from cxdex.keccak import keccak
from tests.contracts.settlement_desk import Desk, Trader


def market_slot(desk: Desk, symbol: str) -> int:
    """`markets` is the contract's fifth variable."""
    key = int.from_bytes(keccak(bytes(31) + b"\4" + market_hash(symbol)), "big")
    assert desk.evm.storage(desk.address, key) != 0
    return key


def account_slot(desk: Desk, trader: Trader) -> int:
    """`accounts` is the contract's second variable."""
    key = int.from_bytes(keccak(bytes(31) + b"\1" + bytes(12) + trader.account), "big")
    assert desk.evm.storage(desk.address, key) != 0
    return key
