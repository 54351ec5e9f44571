"""Who is asking: a wallet signs a Login once, and gets a bearer token for at most a day.

Owns:     the Login check, the token (HS256), and the secret file that signs tokens.
Promises: a token proves control of one account, on this deployment only, until it expires. It permits reading
          private data and cancelling: every new order still needs its own signature.
Never:    stores sessions: any API process that has the same secret file accepts the same token.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

import jwt

from api.signers import recover_key
from cxdex.eip712 import Domain, login_digest, to_checksum
from cxdex.problem import Problem

SECRET_NAME = "api.secret"  # noqa: S105 - the file's name, not the secret
SECRET_BYTES = 32
MAX_LOGIN_SECONDS = 86_400
CLOCK_SKEW_SECONDS = 60
_ALGORITHM = "HS256"


class Authenticator:
    """Turns a signed Login into a token, and a token back into its account."""

    def __init__(self, secret: bytes, domain: Domain) -> None:
        self._secret = secret
        self._domain = domain
        self._audience = f"{domain.chain_id}:{to_checksum(domain.verifying_contract)}"

    def login(self, account: bytes, expires_at: int, signature: bytes) -> str:
        """A token for a login that the account's own key signed. Raises AUTH_INVALID or SIGNATURE_*."""
        require_login_time(expires_at)
        found = recover_key(login_digest(self._domain, account, expires_at), signature)
        if found.problem is not None:
            raise found.problem
        if found.key != account:
            raise Problem("AUTH_INVALID", "the login was not signed by the account", field="signature")
        return self.token(account, expires_at)

    def token(self, account: bytes, expires_at: int) -> str:
        """A token that lives until `expires_at` (unix seconds), for an account that has signed."""
        claims = {"sub": "0x" + account.hex(), "exp": expires_at, "iat": int(time.time()), "aud": self._audience}
        return jwt.encode(claims, self._secret, _ALGORITHM)

    def session_of(self, token: str) -> tuple[bytes, int]:
        """(account, expiry in unix seconds) that the token speaks for. Raises AUTH_INVALID."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                [_ALGORITHM],
                audience=self._audience,
                options={"require": ["exp", "sub", "aud"]},
            )
            return bytes.fromhex(claims["sub"][2:]), int(claims["exp"])
        except jwt.ExpiredSignatureError:
            raise Problem("AUTH_INVALID", "the token has expired; sign in again") from None
        except (jwt.InvalidTokenError, ValueError):
            raise Problem("AUTH_INVALID", "this is not a token of this exchange") from None

    def account_of_header(self, header: str | None) -> bytes:
        """The account of an `Authorization` header. Raises AUTH_REQUIRED or AUTH_INVALID."""
        if not header:
            raise Problem("AUTH_REQUIRED", "this needs a bearer token", allowed="Authorization: Bearer <token>")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(
                "AUTH_INVALID",
                "the Authorization header is not a bearer token",
                allowed="Authorization: Bearer <token>",
            )
        return self.session_of(token.strip())[0]


def require_login_time(expires_at: int) -> None:
    """Raises AUTH_INVALID."""
    now = int(time.time())
    if not now < expires_at <= now + MAX_LOGIN_SECONDS + CLOCK_SKEW_SECONDS:
        raise Problem(
            "AUTH_INVALID",
            "expiresAt must lie in the next 24 hours",
            field="expiresAt",
            given=str(expires_at),
            allowed=f"after {now}, at most {now + MAX_LOGIN_SECONDS}",
        )


def load_secret(state: Path) -> bytes:
    """The token secret of this state directory, created on first use with mode 0600.

    Two API processes that start together agree: the file appears whole, by a hard link, for the first of them.
    """
    path = state / SECRET_NAME
    if not path.exists():
        state.mkdir(parents=True, exist_ok=True)
        draft = state / f".{SECRET_NAME}.{secrets.token_hex(8)}"  # a process number comes again after a crash
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first
                path.hardlink_to(draft)
        finally:
            draft.unlink()
    return path.read_bytes()
