"""Signing in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.fields import read_address, read_signature, read_small_integer
from api.routes.inputs import Shared, body_of, body_schema
from api.schemas.account import LoginReply, LoginRequest
from cxdex.eip712 import to_checksum

router = APIRouter(prefix="/auth", tags=["sign-in"])

_EXAMPLE = {
    "account": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "expiresAt": "1790000000",
    "signature": "0x" + "11" * 64 + "1b",
}


@router.post("/login", response_model=LoginReply, openapi_extra=body_schema(LoginRequest, _EXAMPLE))
def login(context: Shared, body: Annotated[LoginRequest, Depends(body_of(LoginRequest))]) -> dict[str, Any]:
    """A bearer token for a signed EIP-712 Login, for at most 24 hours. It cannot trade or move funds."""
    account = read_address(body.account, "account")
    expires_at = read_small_integer(body.expires_at, "expiresAt")
    token = context.authenticator.login(account, expires_at, read_signature(body.signature))
    return {"token": token, "account": to_checksum(account), "expiresAt": str(expires_at)}
