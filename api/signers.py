"""Whose signature it is: the account's own key, a session key of the account, or a contract that is the account.

Owns:     the step from a signature to its kind, for whatever an account may sign off chain, and the small memory that
          keeps strangers from making this process ask the node for every forged signature.
Promises: an account's own key is recognised without asking anybody. A session key is one that the engine knows, a
          contract's word is asked of the node at its present state (ERC-1271), with the gas that the contracts allow
          it; the chain checks everything again. At most NODE_QUESTIONS questions are with the node at a time.
Never:    decides what a session may trade; the engine does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.node import Node
from api.order_json import domain_to_json
from api.problems import DetailedProblem
from cxdex.eip712 import Domain, to_checksum
from cxdex.order import SignatureKind
from cxdex.problem import Problem
from cxdex.signature import ECDSA_SIGNATURE_BYTES, SignatureProblem, recover
from relayer.client import EngineClient

NODE_QUESTIONS = 4
MOST_WAITING = 64
NO_CODE_SECONDS = 30.0
MOST_REMEMBERED = 4_096

Message = Callable[[], dict[str, Any]]
"""What was signed, for the answer to a signature that does not fit."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """signature: with v as 27 or 28. key: whose it is; None when no key can have made it, and `problem` says why."""

    signature: bytes
    key: bytes | None
    problem: SignatureProblem | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """signature: in the form that the chain takes. session: the session key; empty for other kinds."""

    kind: SignatureKind
    signature: bytes
    session: bytes = b""


def recover_key(digest: bytes, raw: bytes) -> Recovered:
    """Signers that write v as 0 or 1 mean 27 or 28."""
    is_short_v = len(raw) == ECDSA_SIGNATURE_BYTES and raw[-1] <= 1
    signature = raw[:-1] + bytes((raw[-1] + 27,)) if is_short_v else raw
    try:
        return Recovered(signature, recover(digest, signature))
    except SignatureProblem as problem:
        problem.field = "signature"
        return Recovered(signature, None, problem)


class Signers:
    def __init__(self, domain: Domain, engine: EngineClient, node: Node) -> None:
        self._domain = domain
        self._engine = engine
        self._node = node
        self._sessions: dict[tuple[bytes, bytes], None] = {}
        self._without_code: dict[bytes, float] = {}
        self._asking = asyncio.Semaphore(NODE_QUESTIONS)
        self._waiting = 0

    def recognise(self, account: bytes, found: Recovered) -> Signer | None:
        """Who signed, when that is known without asking anybody: the account's own key, or a session that was asked
        for before."""
        if found.key == account:
            return Signer(SignatureKind.ACCOUNT, found.signature)
        if found.key is not None and (account, found.key) in self._sessions:
            return Signer(SignatureKind.SESSION, found.signature, found.key)
        return None

    async def judge(
        self, account: bytes, digest: bytes, raw: bytes, found: Recovered, message: Message, *, sessions: bool = True
    ) -> Signer:
        """Raises SIGNATURE_MISMATCH, SIGNATURE_MALFORMED, RATE_LIMITED or NODE_UNAVAILABLE."""
        if found.key == account:
            return Signer(SignatureKind.ACCOUNT, found.signature)
        if sessions and found.key is not None and await self._is_session(account, found.key):
            return Signer(SignatureKind.SESSION, found.signature, found.key)
        if await self._wallet_accepts(account, digest, raw):
            return Signer(SignatureKind.CONTRACT, raw)
        if found.key is None:
            raise found.problem or Problem("SIGNATURE_MALFORMED", "no key can have made this signature")
        raise DetailedProblem(
            "SIGNATURE_MISMATCH",
            "the account did not sign this: another key signed, or other bytes were signed",
            {"digest": "0x" + digest.hex(), "domain": domain_to_json(self._domain), "message": message()},
            field="signature",
            given=f"signature of {to_checksum(found.key)} over our digest",
            allowed=f"signature of {to_checksum(account)}, or of a session key that it has set on chain",
        )

    async def _is_session(self, account: bytes, key: bytes) -> bool:
        """Whether the engine knew the key for this account when it was last asked. What it may do, the engine says."""
        if (account, key) not in self._sessions:
            known = (await self._engine.account(account)).sessions
            if key not in (session.key for session in known):
                return False
            _remember(self._sessions, (account, key), None)
        return True

    async def _wallet_accepts(self, account: bytes, digest: bytes, signature: bytes) -> bool:
        if self._without_code.get(account, 0.0) > time.monotonic():
            return False
        if self._waiting >= MOST_WAITING:
            raise Problem("RATE_LIMITED", "too many signatures of contract wallets are being checked")
        self._waiting += 1
        try:
            async with self._asking:
                has_code, accepts = await self._node.apart(self._ask, account, digest, signature)
        finally:
            self._waiting -= 1
        if not has_code:
            _remember(self._without_code, account, time.monotonic() + NO_CODE_SECONDS)
        return accepts

    def _ask(self, account: bytes, digest: bytes, signature: bytes) -> tuple[bool, bool]:
        if not self._node.has_code(account):
            return False, False
        return True, self._node.accepts_signature(account, self._domain.verifying_contract, digest, signature)


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    """The oldest entries make room: strangers must not fill the memory."""
    if len(memory) >= MOST_REMEMBERED:
        del memory[next(iter(memory))]
    memory[key] = value
