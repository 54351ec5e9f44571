"""Requests for unsigned Vault transactions, and the transactions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.base import Address, Decimal, Shape

AssetName = Annotated[
    str,
    Field(examples=["USDC"], description="symbol, or the ledger's number as a string: 0 USDC, 1 CXPT, synths from 2"),
]


class DepositRequest(Shape):
    account: Address
    amount: Decimal
    asset: AssetName | None = None


class WithdrawRequest(Shape):
    """`asCxpt` pays cash out as CXPT, one to one."""

    account: Address
    amount: Decimal
    asset: AssetName | None = None
    as_cxpt: bool = False


class InstantWithdrawalRequest(Shape):
    """recipient: the account when it is left out. nonce: names the withdrawal, so that asking twice is asking once."""

    account: Address
    amount: Decimal
    asset: AssetName | None = None
    as_cxpt: bool = False
    recipient: Address | None = None
    nonce: Annotated[str | None, Field(examples=["7"], description="any number below 2**64 not used before")] = None


class ClaimRequest(Shape):
    id: Annotated[str | int, Field(examples=["7"], description="the withdrawal's number")]


class UnsignedTransaction(Shape):
    """Send it from the account's own wallet; gas, nonce and fee are the wallet's to fill in."""

    to: Address
    data: Annotated[str, Field(examples=["0xb6b55f2500000000000000000000000000000000000000000000000000000000000f4240"])]
    value: str
    chain_id: int
    purpose: str


class UnsignedTransactions(Shape):
    """In the order in which they have to be sent."""

    transactions: list[UnsignedTransaction]


class InstantWithdrawalReply(UnsignedTransactions):
    """`deadline` in unix seconds; `signature` of the exchange's co-signer, 65 bytes, as the transaction carries it."""

    nonce: Annotated[str, Field(examples=["7"])]
    deadline: Annotated[str, Field(examples=["1790000120"])]
    recipient: Address
    signature: Annotated[str, Field(examples=["0x" + "11" * 64 + "1b"])]
