"""Unsigned Vault transactions for the wallet to send."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.assets import read_amount, read_asset
from api.context import Context
from api.fields import read_address, read_small_integer
from api.routes.inputs import Shared, body_of, body_schema
from api.schemas.vault import ClaimRequest, DepositRequest, UnsignedTransactions, WithdrawRequest
from api.vault_calls import approve, claim_withdraw, deposit_asset, deposit_cash, request_withdraw
from cxdex.eip712 import to_checksum
from cxdex.market import CXPT_ASSET, USDC_ASSET
from cxdex.problem import Problem

router = APIRouter(prefix="/vault", tags=["vault"])

_ACCOUNT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@router.post(
    "/deposit",
    response_model=UnsignedTransactions,
    openapi_extra=body_schema(DepositRequest, {"account": _ACCOUNT, "amount": "1000", "asset": "USDC"}),
)
def deposit(context: Shared, body: Annotated[DepositRequest, Depends(body_of(DepositRequest))]) -> dict[str, Any]:
    """An approval when the allowance is too small, then the deposit."""
    account = read_address(body.account, "account")
    asset = read_asset(context, body.asset)
    amount = read_amount(asset, body.amount)
    contracts, chain_id = context.deployment.contracts, context.deployment.chain_id
    token, vault = _token_of(context, asset), contracts["Vault"]
    transactions = []
    if context.node.view(token, "allowance(address,address)", to_checksum(account), to_checksum(vault)) < amount:
        transactions.append(approve(token, vault, amount, chain_id))
    if asset == USDC_ASSET:
        transactions.append(deposit_cash(vault, amount, chain_id))
    else:
        transactions.append(deposit_asset(vault, asset, amount, chain_id))
    return {"transactions": transactions}


@router.post(
    "/withdraw",
    response_model=UnsignedTransactions,
    openapi_extra=body_schema(WithdrawRequest, {"account": _ACCOUNT, "amount": "25", "asset": "USDC", "asCxpt": False}),
)
def withdraw(context: Shared, body: Annotated[WithdrawRequest, Depends(body_of(WithdrawRequest))]) -> dict[str, Any]:
    """The request that announces a withdrawal. Claim it after the delay; nobody's leave is needed for either.

    The amount is out of reach of new orders from now on. A fill that was matched before comes first: when it has used
    the balance, only the owner can claim, and gets what is left. POST /v1/withdrawals/instant has no delay.
    """
    read_address(body.account, "account")
    asset = read_asset(context, body.asset)
    amount = read_amount(asset, body.amount)
    if body.as_cxpt and asset != USDC_ASSET:
        raise Problem(
            "FIELD_INVALID", "only cash can be paid out as CXPT", field="asCxpt", given="true", allowed="false"
        )
    vault = context.deployment.contracts["Vault"]
    return {"transactions": [request_withdraw(vault, asset, amount, body.as_cxpt, context.deployment.chain_id)]}


@router.post("/claim", response_model=UnsignedTransactions, openapi_extra=body_schema(ClaimRequest, {"id": "7"}))
def claim(context: Shared, body: Annotated[ClaimRequest, Depends(body_of(ClaimRequest))]) -> dict[str, Any]:
    """Pays a withdrawal out to its recipient, once its delay is over. Anyone may send it."""
    number = read_small_integer(body.id, "id")
    vault = context.deployment.contracts["Vault"]
    return {"transactions": [claim_withdraw(vault, number, context.deployment.chain_id)]}


def _token_of(context: Context, asset: int) -> bytes:
    """The ERC-20 behind a ledger asset. Raises NODE_UNAVAILABLE."""
    contracts = context.deployment.contracts
    if asset in (USDC_ASSET, CXPT_ASSET):
        return contracts["USDC" if asset == USDC_ASSET else "CXPT"]
    word = context.node.view(contracts["Vault"], "synthOf(uint256)", asset)
    return word.to_bytes(32, "big")[12:]
