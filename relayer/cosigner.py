"""The key that lets money out at once, next to the engine and nowhere else.

Owns:     COSIGNER's key in this process, and the Vault's signing domain.
Promises: signs one kind of message: an InstantWithdrawal that the engine has set aside. The key leaves this object only
          as signatures.
Never:    decides whether a withdrawal is possible; the engine did, and its decision is on disk.
"""

from __future__ import annotations

from pathlib import Path

from cxdex.deployment import Deployment
from cxdex.eip712 import Domain, InstantWithdrawal
from cxdex.wallet import LocalWallet
from relayer.engine.core import SetAside


class Cosigner:
    def __init__(self, wallet: LocalWallet, vault_domain: Domain) -> None:
        self._wallet = wallet
        self._domain = vault_domain

    @classmethod
    def from_file(cls, key_file: Path, deployment: Deployment) -> Cosigner:
        """Raises Problem KEY_MISSING or KEY_INVALID."""
        domain = Domain(deployment.chain_id, deployment.contracts["Vault"])
        return cls(LocalWallet.from_file(key_file), domain)

    @property
    def address(self) -> str:
        return self._wallet.address

    def sign(self, held: SetAside) -> bytes:
        """65 bytes: r, s, v. The same withdrawal always gives the same ones."""
        withdrawal = InstantWithdrawal(
            account=held.account,
            asset=held.asset,
            amount=held.amount,
            as_cxpt=held.as_cxpt,
            recipient=held.recipient,
            nonce=held.nonce,
            deadline=held.deadline,
        )
        return self._wallet.sign_instant_withdrawal(self._domain, withdrawal)
