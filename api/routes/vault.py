"""Unsigned Vault transactions for the wallet to send."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.context import Context
from api.fields import read_address, read_small_integer
from api.markets import asset_decimals
from api.reads.accounts import synth_symbols
from api.routes.inputs import Shared, body_of, body_schema
from api.schemas.vault import ClaimRequest, DepositRequest, UnsignedTransactions, WithdrawRequest
from api.vault_calls import approve, claim_withdraw, deposit_asset, deposit_cash, request_withdraw
from cxdex.eip712 import to_checksum
from cxdex.market import CXPT_ASSET, USDC_ASSET
from cxdex.problem import Problem
from cxdex.units import parse_decimal

router = APIRouter(prefix="/vault", tags=["vault"])

_ACCOUNT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
_MOST = 2**128 - 1


@router.post(
    "/deposit",
    response_model=UnsignedTransactions,
    openapi_extra=body_schema(DepositRequest, {"account": _ACCOUNT, "amount": "1000", "asset": "USDC"}),
)
def deposit(context: Shared, body: Annotated[DepositRequest, Depends(body_of(DepositRequest))]) -> dict[str, Any]:
    """An approval when the allowance is too small, then the deposit."""
    account = read_address(body.account, "account")
    asset = _read_asset(context, body.asset)
    amount = _read_amount(asset, body.amount)
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
    """The request that starts a withdrawal. The amount leaves the trading balance at once; claim it after the delay."""
    read_address(body.account, "account")
    asset = _read_asset(context, body.asset)
    amount = _read_amount(asset, body.amount)
    if body.as_cxpt and asset != USDC_ASSET:
        raise Problem(
            "FIELD_INVALID", "only cash can be paid out as CXPT", field="asCxpt", given="true", allowed="false"
        )
    vault = context.deployment.contracts["Vault"]
    return {"transactions": [request_withdraw(vault, asset, amount, body.as_cxpt, context.deployment.chain_id)]}


@router.post("/claim", response_model=UnsignedTransactions, openapi_extra=body_schema(ClaimRequest, {"id": "7"}))
def claim(context: Shared, body: Annotated[ClaimRequest, Depends(body_of(ClaimRequest))]) -> dict[str, Any]:
    """Pays a withdrawal out to its owner, once its delay is over. Anyone may send it."""
    number = read_small_integer(body.id, "id")
    vault = context.deployment.contracts["Vault"]
    return {"transactions": [claim_withdraw(vault, number, context.deployment.chain_id)]}


def _read_asset(context: Context, name: str | None) -> int:
    """The ledger's number of an asset, by symbol or number. Cash when it is not named."""
    if name is None:
        return USDC_ASSET
    names = {"USDC": USDC_ASSET, "CXPT": CXPT_ASSET}
    with context.database.snapshot() as reader:
        names.update({symbol: asset for asset, symbol in synth_symbols(reader).items()})
    asset = names.get(name)
    if asset is None and name.isascii() and name.isdecimal() and len(name) < 6:
        asset = int(name)
    if asset is None or (asset > CXPT_ASSET and asset not in names.values()):
        raise Problem(
            "FIELD_INVALID", "no such asset", field="asset", given=name[:80], allowed=", ".join(sorted(names))
        )
    return asset


def _read_amount(asset: int, text: str) -> int:
    amount = parse_decimal(text, asset_decimals(asset), "amount")
    if not 0 < amount <= _MOST:
        raise Problem("FIELD_INVALID", "the amount must be more than 0", field="amount", given=text)
    return amount


def _token_of(context: Context, asset: int) -> bytes:
    """The ERC-20 behind a ledger asset. Raises NODE_UNAVAILABLE."""
    contracts = context.deployment.contracts
    if asset in (USDC_ASSET, CXPT_ASSET):
        return contracts["USDC" if asset == USDC_ASSET else "CXPT"]
    word = context.node.view(contracts["Vault"], "synthOf(uint256)", asset)
    return word.to_bytes(32, "big")[12:]
