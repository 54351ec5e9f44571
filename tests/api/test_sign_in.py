"""Signing in: a wallet's Login becomes a token; anything else does not."""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from api.auth import SECRET_NAME, load_secret
from cxdex.eip712 import to_checksum


def test_a_token_opens_the_own_account_only(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    token = exchange.login(alice)
    assert exchange.get(f"/v1/accounts/{alice.address}/balances", token).status_code == 200
    other = exchange.get(f"/v1/accounts/{bob.address}/balances", token)
    assert (other.status_code, other.json()["code"]) == (401, "AUTH_INVALID")
    assert other.headers["www-authenticate"] == "Bearer"
    listing = exchange.get(f"/v1/orders?account={bob.address}", token)
    assert listing.json()["code"] == "AUTH_INVALID"


@pytest.mark.parametrize("seconds", [-1, 0, 86_400 + 120, 10**12])
def test_a_login_lives_at_most_a_day(exchange: Any, seconds: int) -> None:
    alice = exchange.person()
    reply = exchange.post("/v1/auth/login", alice.login_body(int(time.time()) + seconds))
    assert (reply.status_code, reply.json()["code"], reply.json()["field"]) == (401, "AUTH_INVALID", "expiresAt")


def test_another_key_cannot_log_in(exchange: Any) -> None:
    alice, bob = exchange.person(), exchange.person()
    body = {**bob.login_body(int(time.time()) + 60), "account": alice.address}
    assert exchange.post("/v1/auth/login", body).json()["code"] == "AUTH_INVALID"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"account": 5}, "NUMBER_NOT_STRING"),
        ({"account": "0x1"}, "FIELD_INVALID"),
        ({"expiresAt": "soon"}, "DECIMAL_INVALID"),
        ({"expiresAt": 1.5}, "NUMBER_NOT_STRING"),
        ({"signature": "0x"}, "SIGNATURE_MALFORMED"),
        ({"remember": True}, "FIELD_UNKNOWN"),
    ],
)
def test_a_bad_login_says_why(exchange: Any, change: dict[str, Any], code: str) -> None:
    body = exchange.person().login_body(int(time.time()) + 60)
    assert exchange.post("/v1/auth/login", {**body, **change}).json()["code"] == code


def test_forged_tokens_are_refused(exchange: Any) -> None:
    alice = exchange.person()
    path = f"/v1/accounts/{alice.address}/balances"
    claims = jwt.decode(exchange.login(alice), options={"verify_signature": False})
    secret = (exchange.state / "api.secret").read_bytes()
    forged = [
        jwt.encode(claims, b"x" * 32, "HS256"),
        jwt.encode({**claims, "exp": 1}, secret, "HS256"),
        jwt.encode({**claims, "aud": "1:0x0"}, secret, "HS256"),
        jwt.encode({**claims, "sub": "nobody"}, secret, "HS256"),
        unsigned(claims),
        "nonsense",
    ]
    for token in forged:
        assert exchange.get(path, token).json()["code"] == "AUTH_INVALID", token


def test_the_secret_is_the_owners_alone(exchange: Any) -> None:
    path = exchange.state / "api.secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32


def test_the_reply_names_account_and_end(exchange: Any) -> None:
    alice = exchange.person()
    expires_at = int(time.time()) + 60
    reply = exchange.post("/v1/auth/login", alice.login_body(expires_at)).json()
    assert reply["account"] == to_checksum(alice.account)
    assert reply["expiresAt"] == str(expires_at)


def unsigned(claims: dict[str, Any]) -> str:
    """A token with "alg": "none"."""
    parts = (json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(claims))
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + "."


def test_a_secret_that_a_crash_left_half_made_stops_no_later_start(tmp_path: Path) -> None:
    """In a container the process number is always the same."""
    (tmp_path / f".{SECRET_NAME}.{os.getpid()}").write_bytes(b"half")
    secret = load_secret(tmp_path)
    assert (len(secret), load_secret(tmp_path)) == (32, secret)
