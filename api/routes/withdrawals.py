"""Withdrawals at once: the exchange co-signs that no matched fill needs what leaves."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.assets import read_amount, read_asset
from api.fields import read_address, read_integer
from api.routes.inputs import Shared, SignedIn, body_of, body_schema, require_own
from api.schemas.vault import InstantWithdrawalReply, InstantWithdrawalRequest
from api.vault_calls import withdraw_instantly
from cxdex.eip712 import InstantWithdrawal, to_checksum
from cxdex.market import USDC_ASSET
from cxdex.problem import Problem

router = APIRouter(prefix="/withdrawals", tags=["vault"])

_EXAMPLE = {
    "account": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "amount": "25",
    "asset": "USDC",
    "asCxpt": False,
    "nonce": "7",
}
_NONCE_BITS = 63


@router.post(
    "/instant", response_model=InstantWithdrawalReply, openapi_extra=body_schema(InstantWithdrawalRequest, _EXAMPLE)
)
async def withdraw(
    context: Shared,
    session: SignedIn,
    body: Annotated[InstantWithdrawalRequest, Depends(body_of(InstantWithdrawalRequest))],
) -> dict[str, Any]:
    """A transaction that pays out at once, co-signed by the exchange. Only the account itself can send it.

    The amount leaves the balance now, and comes back by itself a minute after `deadline` when the transaction is not
    mined by then. The same `nonce` again returns the same transaction. What matched fills of the account have brought
    leaves when they have settled, half a percent of what was bought stays with it for the fee, and so does the CXPT of
    the fee tier: asking for more is WITHDRAWAL_UNSETTLED. POST /v1/vault/withdraw never waits for the exchange.
    """
    account = require_own(read_address(body.account, "account"), session)
    asset = await asyncio.to_thread(read_asset, context, body.asset)
    amount = read_amount(asset, body.amount)
    recipient = account if body.recipient is None else read_address(body.recipient, "recipient")
    if body.as_cxpt and asset != USDC_ASSET:
        raise Problem(
            "FIELD_INVALID", "only cash can be paid out as CXPT", field="asCxpt", given="true", allowed="false"
        )
    if not any(recipient):
        raise Problem("FIELD_INVALID", "nobody can be paid at the zero address", field="recipient")
    if body.nonce is None:
        nonce = secrets.randbits(_NONCE_BITS)
    else:
        nonce = read_integer(body.nonce, "nonce", most=2**64 - 1)
    reply = await context.engine.withdraw(account, asset, amount, body.as_cxpt, recipient, nonce)
    withdrawal = InstantWithdrawal(account, asset, amount, body.as_cxpt, recipient, nonce, reply.deadline)
    vault, chain_id = context.deployment.contracts["Vault"], context.deployment.chain_id
    return {
        "nonce": str(nonce),
        "deadline": str(reply.deadline),
        "recipient": to_checksum(recipient),
        "signature": "0x" + reply.signature.hex(),
        "transactions": [withdraw_instantly(vault, withdrawal, reply.signature, chain_id)],
    }
