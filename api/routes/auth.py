"""Signing in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.auth import require_login_time
from api.fields import read_address, read_signature, read_small_integer
from api.routes.inputs import Shared, body_of, body_schema
from api.schemas.account import LoginReply, LoginRequest
from api.signers import recover_key
from cxdex.eip712 import login_digest, to_checksum
from cxdex.problem import Problem

router = APIRouter(prefix="/auth", tags=["sign-in"])

_EXAMPLE = {
    "account": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "expiresAt": "1790000000",
    "signature": "0x" + "11" * 64 + "1b",
}


@router.post("/login", response_model=LoginReply, openapi_extra=body_schema(LoginRequest, _EXAMPLE))
async def login(context: Shared, body: Annotated[LoginRequest, Depends(body_of(LoginRequest))]) -> dict[str, Any]:
    """A bearer token for a signed EIP-712 Login, for at most 24 hours. It cannot trade or move funds.

    The account's own key signs, or the account is a contract that accepts the signature (ERC-1271); a session key
    cannot sign in.
    """
    account = read_address(body.account, "account")
    expires_at = read_small_integer(body.expires_at, "expiresAt")
    signature = read_signature(body.signature)
    require_login_time(expires_at)
    digest = login_digest(context.domain, account, expires_at)
    try:
        await context.signers.judge(account, digest, signature, recover_key(digest, signature), dict, sessions=False)
    except Problem as problem:
        if problem.code != "SIGNATURE_MISMATCH":
            raise
        raise Problem("AUTH_INVALID", "the login was not signed by the account", field="signature") from None
    token = context.authenticator.token(account, expires_at)
    return {"token": token, "account": to_checksum(account), "expiresAt": str(expires_at)}
