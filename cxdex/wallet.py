"""A wallet in this process: a private key that signs orders, cancels, sign-ins and transactions.

Promises: the key leaves this object only as signatures; it is in no repr, log or error message.
Never:    talks to a network.

A hardware or remote signer can stand in for it: see `Wallet`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from eth_account import Account

from cxdex.eip712 import (
    Domain,
    InstantWithdrawal,
    cancel_orders_digest,
    instant_withdrawal_digest,
    login_digest,
    order_digest,
    to_checksum,
)
from cxdex.keccak import keccak
from cxdex.order import Order, SignatureKind, SignedOrder
from cxdex.price_report import PriceReport, SignedReport, sign_report
from cxdex.problem import Problem
from cxdex.signature import CURVE_ORDER, address_of, sign_digest

PERMIT_TYPEHASH = keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")


class Wallet(Protocol):
    """What the client needs of a signer."""

    @property
    def account(self) -> bytes: ...

    def sign_order(self, domain: Domain, order: Order) -> SignedOrder: ...

    def sign_cancel(self, domain: Domain, nonces: list[int], deadline: int) -> bytes: ...

    def sign_login(self, domain: Domain, expires_at: int) -> bytes: ...

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes: ...


@runtime_checkable
class PermitSigner(Protocol):
    """A signer that can allow a token's transfer by signature (EIP-2612); others send an approval first."""

    def sign_permit(self, token_domain: bytes, spender: bytes, amount: int, nonce: int, deadline: int) -> bytes: ...


class LocalWallet:
    """``LocalWallet("0x…64 hex digits…")``, or `from_file` for a key file or an encrypted keystore."""

    __slots__ = ("_key", "account")

    def __init__(self, private_key: str | bytes) -> None:
        """Raises Problem KEY_INVALID."""
        self._key = _read_key(private_key)
        self.account = address_of(self._key)

    @classmethod
    def from_file(cls, path: Path | str, password: str | None = None) -> Self:
        """A file with a hex key, or a JSON keystore (version 3). Raises Problem KEY_MISSING or KEY_INVALID."""
        try:
            text = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Problem("KEY_MISSING", f"cannot read the key file {path}: {error}") from None
        if not text.startswith("{"):
            return cls(text)
        if password is None:
            raise Problem(
                "KEY_PASSWORD_MISSING",
                f"{path} is an encrypted keystore and needs its password",
                allowed="CXDEX_KEYSTORE_PASSWORD, or type it at the prompt",
            )
        try:
            return cls(bytes(Account.decrypt(json.loads(text), password)))
        except (ValueError, KeyError, TypeError, NotImplementedError):
            raise Problem("KEY_INVALID", f"{path}: the password is wrong, or the keystore is damaged") from None

    @property
    def address(self) -> str:
        """EIP-55 checksummed."""
        return to_checksum(self.account)

    def as_session_of(self, owner: str | bytes) -> SessionWallet:
        """This key as a session key of another account."""
        return SessionWallet(self._key, owner)

    def sign_order(self, domain: Domain, order: Order) -> SignedOrder:
        """The signed order; its digest is its id, known before anything is sent."""
        if order.account != self.account:
            raise Problem(
                "SIGNATURE_MISMATCH",
                "the order belongs to another account than this wallet",
                field="account",
                given=to_checksum(order.account),
                allowed=self.address,
            )
        digest = order_digest(domain, order)
        return SignedOrder(order, sign_digest(self._key, digest), digest)

    def sign_cancel(self, domain: Domain, nonces: list[int], deadline: int) -> bytes:
        return sign_digest(self._key, cancel_orders_digest(domain, self.account, nonces, deadline))

    def sign_login(self, domain: Domain, expires_at: int) -> bytes:
        return sign_digest(self._key, login_digest(domain, self.account, expires_at))

    def sign_price(self, oracle_domain: Domain, report: PriceReport) -> SignedReport:
        return sign_report(self._key, oracle_domain, report)

    def sign_instant_withdrawal(self, vault_domain: Domain, withdrawal: InstantWithdrawal) -> bytes:
        """As COSIGNER: what lets `withdrawal.account` take this out of the Vault at once."""
        return sign_digest(self._key, instant_withdrawal_digest(vault_domain, withdrawal))

    def sign_permit(self, token_domain: bytes, spender: bytes, amount: int, nonce: int, deadline: int) -> bytes:
        """Lets `spender` take exactly this much of a token. token_domain: the token's DOMAIN_SEPARATOR."""
        fields = (self.account, spender, amount, nonce, deadline)
        words = (f.rjust(32, b"\0") if isinstance(f, bytes) else f.to_bytes(32, "big") for f in fields)
        struct_hash = keccak(PERMIT_TYPEHASH + b"".join(words))
        return sign_digest(self._key, keccak(b"\x19\x01" + token_domain + struct_hash))

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Raw bytes of an EIP-1559 transaction, ready for eth_sendRawTransaction."""
        return bytes(Account.sign_transaction(transaction, self._key).raw_transaction)

    def __repr__(self) -> str:
        return f"LocalWallet({self.address})"


class SessionWallet:
    """A session key: signs orders and cancels for the account `owner`, which has set it on chain, and nothing else.

    ``SessionWallet("0x…64 hex digits…", "0x…the owner's address…")``. Orders must end before the session does: say
    ``expires_in`` when placing.
    """

    __slots__ = ("_key", "account", "key_account")

    def __init__(self, private_key: str | bytes, owner: str | bytes) -> None:
        """Raises Problem KEY_INVALID or FIELD_INVALID."""
        self._key = _read_key(private_key)
        self.account = owner if isinstance(owner, bytes) else _read_owner(owner)
        self.key_account = address_of(self._key)

    @property
    def address(self) -> str:
        """Of the session key, EIP-55 checksummed: what `Exchange.set_session` names."""
        return to_checksum(self.key_account)

    def sign_order(self, domain: Domain, order: Order) -> SignedOrder:
        digest = order_digest(domain, order)
        return SignedOrder(order, sign_digest(self._key, digest), digest, SignatureKind.SESSION)

    def sign_cancel(self, domain: Domain, nonces: list[int], deadline: int) -> bytes:
        return sign_digest(self._key, cancel_orders_digest(domain, self.account, nonces, deadline))

    def sign_login(self, _domain: Domain, _expires_at: int) -> bytes:
        raise _beyond_session("sign in")

    def sign_transaction(self, _transaction: dict[str, Any]) -> bytes:
        raise _beyond_session("send transactions")

    def __repr__(self) -> str:
        return f"SessionWallet({self.address} for {to_checksum(self.account)})"


def _beyond_session(what: str) -> Problem:
    return Problem("SESSION_CANNOT", f"a session key cannot {what}", allowed="the account's own key")


def _read_owner(text: str) -> bytes:
    with suppress(ValueError):
        owner = bytes.fromhex(text.removeprefix("0x"))
        if len(owner) == 20:
            return owner
    raise Problem(
        "FIELD_INVALID", "the owner is not an address", field="owner", given=text[:80], allowed="0x…40 digits"
    )


def _read_key(private_key: str | bytes) -> bytes:
    key = b""
    if isinstance(private_key, bytes):
        key = private_key
    else:
        with suppress(ValueError):
            key = bytes.fromhex(private_key.strip().removeprefix("0x"))
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < CURVE_ORDER:
        # Never echo what was given: it may be most of a real key.
        raise Problem("KEY_INVALID", "this is not a private key", allowed="0x and 64 hexadecimal digits")
    return key
